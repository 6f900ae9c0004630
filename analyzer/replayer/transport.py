"""Sends chunks over HTTP. The one place that knows httpx."""

import json
import os
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from analyzer.errors import Option, UsageError
from analyzer.replayer.chunk import Chunk
from analyzer.replayer.outcome import TIMED_OUT, UNTRUSTED, Kind, Outcome, date_of, kind_of, seconds_of
from analyzer.replayer.teams import Context

EVENTS_PATH = "/v8/artifacts/events"
STATUS_PATH = "/v8/artifacts/status"
WORDS_CHARS, STATUS_CHARS = 300, 20
BODY_BYTES, BODY_SECONDS = 1 << 16, 5.0
CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 60.0

LOCATION = "redirected_to"
NO_AUTHORITY = (18, 19, 20, 21)
"""OpenSSL's codes of certificates that no known authority has signed; others are of another name, or too old."""

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
NEVER_SENT = (httpx.UnsupportedProtocol, httpx.InvalidURL)


@dataclass(frozen=True)
class Server:
    """A server of the API. The token shows in no repr."""

    api: str
    token: str = field(repr=False)
    ca_file: Path | None = None


class Transport:
    """A connection to a server; safe to use from several threads."""

    def __init__(
        self,
        server: Server,
        transport: httpx.BaseTransport | None = None,
        answer_seconds: float = ANSWER_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._token, self._api, self._now = server.token, server.api, now
        with _usable_surroundings():
            self._client = httpx.Client(
                base_url=server.api,
                headers={"authorization": f"Bearer {server.token}", "user-agent": "cache-event-analyzer"},
                timeout=httpx.Timeout(answer_seconds, connect=min(CONNECT_SECONDS, answer_seconds)),
                verify=_certificates(server.ca_file),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
                follow_redirects=False,
                transport=transport,
                event_hooks={"response": [_not_followed]},
                trust_env=server.api.startswith("https:"),  # plain HTTP goes to this machine itself, past any proxy
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def send(self, chunk: Chunk) -> Outcome:
        """Post a chunk, and say what became of it; this raises nothing."""
        headers = {"content-type": "application/json", **_headers(chunk.context)}
        return self._ask("POST", EVENTS_PATH, chunk.context, content=chunk.body(), headers=headers)

    def preflight(self, context: Context) -> Outcome:
        """Ask whether the team's remote caching is on; `words` has the status it says, where it says one."""
        return self._ask("GET", STATUS_PATH, context)

    def _ask(self, method: str, path: str, context: Context, **request: Any) -> Outcome:
        try:
            built = self._client.build_request(method, path, params=_query(context), **request)
        except (*NEVER_SENT, ValueError) as error:
            return Outcome(Kind.FORBIDDEN, words=self._said(error))
        try:
            response = self._client.send(built, stream=True)
        except NEVER_SENT as error:
            return Outcome(Kind.FORBIDDEN, words=self._said(error))
        except httpx.LocalProtocolError as error:
            return Outcome(Kind.REFUSED, words=self._said(error))
        except NOT_SENT as error:
            words = f"cannot connect to {self._api}: {self._said(error)}"
            distrust = _distrust(error)
            if distrust:
                code = UNTRUSTED if distrust.verify_code in NO_AUTHORITY else ""
                return Outcome(Kind.FORBIDDEN, words=words, code=code)
            return Outcome(Kind.NOT_SENT, words=words)
        except httpx.TimeoutException as error:
            return Outcome(Kind.AMBIGUOUS, words=self._said(error), code=TIMED_OUT)
        except (httpx.HTTPError, OSError, ValueError) as error:
            return Outcome(Kind.AMBIGUOUS, words=self._said(error))
        return self._answer(response)

    def _answer(self, response: httpx.Response) -> Outcome:
        """Read an answer; its status counts even where its body cannot be read."""
        text = _text_of(response)
        kind, (code, words) = kind_of(response.status_code), _error_in(text)
        if kind is Kind.CONFIRMED:
            return Outcome(kind, response.status_code, self._clean(_status_in(text))[:STATUS_CHARS])
        if LOCATION in response.extensions:
            words = f"redirected to {response.extensions[LOCATION]}"
        now = date_of(response.headers.get("date")) or self._now()  # dates go by the server's own clock
        wait = seconds_of(response.headers.get("retry-after"), now)
        return Outcome(kind, response.status_code, self._clean(words), self._clean(code), wait)

    def _said(self, error: Exception) -> str:
        return self._clean(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)

    def _clean(self, words: str) -> str:
        """Leave out the token, should somebody echo it, and what is too long for a line."""
        clean = words.encode("utf-8", "replace").decode().replace(self._token or "\0", "[token]")
        return " ".join(clean.split())[:WORDS_CHARS]


def _not_followed(response: httpx.Response) -> None:
    """Take away where a redirect leads: httpx fails on an address that is none, even where it does not follow."""
    if response.is_redirect:
        response.extensions[LOCATION] = response.headers.pop("location", "")


def _text_of(response: httpx.Response) -> str:
    """Return the beginning of an answer's body, as far as it comes: nobody waits long for words."""
    parts: list[bytes] = []
    until = time.monotonic() + BODY_SECONDS
    response.request.extensions.get("timeout", {})["read"] = BODY_SECONDS
    try:
        for part in response.iter_bytes():
            parts.append(part)
            if sum(map(len, parts)) > BODY_BYTES or time.monotonic() > until:
                break
    except (httpx.HTTPError, OSError, ValueError):
        pass
    finally:
        response.close()
    return b"".join(parts).decode("utf-8", "replace")


def _query(context: Context) -> dict[str, str]:
    named = {"teamId": context.team_id, "slug": context.slug}
    return {name: value for name, value in named.items() if value}


def _headers(context: Context) -> dict[str, Any]:
    """Return the headers of a context, encoded here: httpx takes only ASCII."""
    headers: dict[str, Any] = {"x-artifact-client-ci": context.ci.encode("utf-8", "replace")} if context.ci else {}
    if context.interactive is not None:
        headers["x-artifact-client-interactive"] = str(int(context.interactive))
    return headers


@contextmanager
def _usable_surroundings() -> Iterator[None]:
    """Say what is wrong with the environment's proxies and certificates; httpx looks at them as it is made."""
    try:
        yield
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        names = [name for name in os.environ if name.upper() in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")]
        raise UsageError(f"{', '.join(names)}: no proxy that can be used ({error}); correct or unset it") from None
    except OSError as error:
        names = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ]
        raise UsageError(f"{', '.join(names)}: no readable certificates ({error}); correct or unset it") from None


def _certificates(ca_file: Path | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise UsageError(Option("ca_file", str(ca_file)), f": no readable PEM file of certificates ({error})") from None


def _distrust(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """Return the error of a certificate that is behind another error."""
    while error:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _error_in(text: str) -> tuple[str, str]:
    """Return the code and message of an error's body; a body of another shape is the message."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return "", text
    error = found.get("error") if isinstance(found, dict) else None
    if isinstance(error, dict):
        return str(error.get("code") or ""), str(error.get("message") or error.get("code") or text)
    message = found.get("message") if isinstance(found, dict) else None
    return "", str(message or error or text)


def _status_in(text: str) -> str:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    return str(found.get("status", "")) if isinstance(found, dict) else ""
