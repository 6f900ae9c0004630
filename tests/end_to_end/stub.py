"""A cache in memory that answers reports as it is told to, and that returns the durations of artifacts."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from loopback import served

Artifact = tuple[bytes, str | None]
"""Bytes and `x-artifact-duration`."""


@dataclass
class Stub:
    """`answers` to reports are used up one a request; then each is a 200. `otherwise` is what unknown hashes get."""

    answers: list[int] = field(default_factory=list)
    otherwise: Artifact | None = None
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    hosts: set[str] = field(default_factory=set)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    stub: Stub

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.name() == "status":
            self.answer(200, b'{"status":"enabled"}')
            return
        found = self.stub.artifacts.get(self.name(), self.stub.otherwise)
        if found is None:
            self.answer(404)
        else:
            self.answer(200, found[0], found[1])

    def do_PUT(self) -> None:
        self.stub.artifacts[self.name()] = self.body(), self.headers["x-artifact-duration"]
        self.answer(202, b'{"urls":[]}')

    def do_POST(self) -> None:
        self.body()
        self.stub.hosts.add(self.headers["host"])
        self.answer(self.stub.answers.pop(0) if self.stub.answers else 200, b"{}")

    def name(self) -> str:
        return urlsplit(self.path).path.rpartition("/")[2]

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["content-length"]))

    def answer(self, status: int, body: bytes = b"", duration: str | None = None) -> None:
        self.send_response(status)
        if duration:
            self.send_header("x-artifact-duration", duration)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


@contextmanager
def serving(stub: Stub, tls: ssl.SSLContext | None = None) -> Iterator[Stub]:
    handler = type("Bound", (Handler,), {"stub": stub})
    with served(handler, 0, tls) as stub.url:
        yield stub
