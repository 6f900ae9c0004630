"""A strict and hostile server of the API, over real sockets: it validates as the API does and keeps what it took."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from loopback import served

TOKEN = "secret-token-1234567890"  # noqa: S105  (of this server alone)
REQUIRED = {"sessionId": str, "source": str, "hash": str, "event": str}
VALUES = {"source": ("LOCAL", "REMOTE"), "event": ("HIT", "MISS")}

Taken = tuple[str | None, str | None, str | None, str | None, str]
"""teamId, slug, ci and interactive as they came, and the event's JSON text."""


@dataclass
class Strict:
    """What the server does and what it saw. `script` is used up a step a request; then all is well."""

    script: list[Any] = field(default_factory=list)
    poison: Callable[[dict[str, Any]], bool] = lambda _: False
    max_bytes: int | None = None
    answer_seconds: float = 0.0
    preflight: tuple[int, str] = (200, '{"status": "enabled"}')
    token: str = TOKEN
    taken: list[Taken] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    def step(self) -> Any:
        with self.lock:
            return self.script.pop(0) if self.script else "ok"

    def take(self, query: dict[str, str], headers: Any, items: list[dict[str, Any]]) -> None:
        context = (
            query.get("teamId"), query.get("slug"), headers["x-artifact-client-ci"],
            headers["x-artifact-client-interactive"],
        )  # fmt: skip
        with self.lock:
            self.taken += [(*context, json.dumps(item, separators=(",", ":"))) for item in items]

    def events(self) -> list[str]:
        return [taken[4] for taken in self.taken]


def fault_of(item: Any) -> str | None:
    """What the API would refuse."""
    if not isinstance(item, dict):
        return "an item is no object"
    extra = set(item) - {*REQUIRED, "duration"}
    wrong = [key for key, kind in REQUIRED.items() if not isinstance(item.get(key), kind)]
    wrong += [key for key, values in VALUES.items() if item.get(key) not in values]
    duration = item.get("duration", 0)
    if isinstance(duration, bool) or not isinstance(duration, int | float):
        wrong.append("duration")
    return f"invalid: {sorted(extra)} {wrong}" if extra or wrong else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    strict: Strict

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.answer(*self.strict.preflight)

    def do_POST(self) -> None:
        strict = self.strict
        step = strict.step()
        if step == "close before":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        body = self.rfile.read(int(self.headers["content-length"]))
        with strict.lock:
            strict.bodies.append(body)
        if strict.answer_seconds:
            time.sleep(strict.answer_seconds)
        if isinstance(step, tuple):
            self.answer(*step)
        elif step == "garbage":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            self.close_connection = True
        else:
            self.take(step, body)

    def take(self, step: str, body: bytes) -> None:
        refusal = self.refusal(body)
        if refusal:
            self.strict.refusals.append(refusal[1])
            self.answer(*refusal)
            return
        url = urlsplit(self.path)
        self.strict.take(dict(parse_qsl(url.query)), self.headers, json.loads(body))
        if step == "record, close":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if step == "endless":
            self.wfile.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in range(100):
                self.wfile.write(b"1\r\nx\r\n")
                self.wfile.flush()
                time.sleep(0.05)
            return
        if step.startswith("slow"):
            time.sleep(float(step.split()[1]))
        self.answer(int(step) if step.isdecimal() else 200, "{}")
        self.close_connection = step == "close after"
        if step == "stray":
            self.answer(200, "{}")

    def refusal(self, body: bytes) -> tuple[int, str] | None:
        strict = self.strict
        if urlsplit(self.path).path != "/v8/artifacts/events":
            return 404, json.dumps({"error": {"code": "not_found", "message": "no such path"}})
        if self.headers["authorization"] != f"Bearer {strict.token}":
            return 401, json.dumps({"error": {"code": "forbidden", "message": "invalid token"}})
        if strict.max_bytes and len(body) > strict.max_bytes:
            return 413, "too large"
        if set(dict(parse_qsl(urlsplit(self.path).query))) - {"teamId", "slug"}:
            return 400, "unknown query"
        if len(self.headers["x-artifact-client-ci"] or "") > 50:
            return 400, "ci too long"
        if (self.headers["x-artifact-client-interactive"] or "0") not in ("0", "1"):
            return 400, "interactive is not 0 or 1"
        items = json.loads(body)
        fault = next(filter(None, map(fault_of, items)), None) if isinstance(items, list) else "no array"
        if fault:
            return 400, json.dumps({"error": {"code": "bad_request", "message": fault}})
        if any(strict.poison(item) for item in items):
            return 400, json.dumps({"error": {"code": "bad_request", "message": "poison"}})
        return None

    def answer(self, status: int, text: str = "", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())
        self.wfile.flush()


@contextmanager
def serving(strict: Strict, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Strict]:
    """Serve on a port of this machine, a free one unless one is named."""
    handler = type("Bound", (Handler,), {"strict": strict})
    with served(handler, port, tls) as strict.url:
        yield strict


def http_date(seconds: float) -> str:
    """The date so many seconds from now, as HTTP writes it."""
    return formatdate(time.time() + seconds, usegmt=True)
