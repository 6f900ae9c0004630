"""Sends chunks over HTTP and reads the answers. The only module that imports httpx."""

import json
import os
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx

from analyzer.errors import Option, UsageError
from analyzer.replayer.chunk import Chunk
from analyzer.replayer.outcome import (
    TIMED_OUT,
    UNTRUSTED,
    Kind,
    Outcome,
    classify_status,
    parse_rate_reset,
    parse_retry_after,
)
from analyzer.replayer.settings import Server
from analyzer.replayer.teams import Context

EVENTS_PATH, STATUS_PATH = "/v8/artifacts/events", "/v8/artifacts/status"
MAX_MESSAGE_CHARS, MAX_STATUS_CHARS = 300, 20
MAX_BODY_BYTES, BODY_SECONDS = 1 << 16, 5.0
CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 60.0

LOCATION = "location"
# OpenSSL's codes for certificates that no known authority signed; other codes mean a wrong name or an expired one.
UNKNOWN_AUTHORITY = (18, 19, 20, 21)
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
UNSENDABLE = (httpx.UnsupportedProtocol, httpx.InvalidURL)


class Transport:
    """A connection to a server; safe to use from several threads."""

    def __init__(
        self, server: Server, transport: httpx.BaseTransport | None = None, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self._token, self._api = server.token, server.api
        with _certificate_and_proxy_errors(server.ca_file):
            self._client = httpx.Client(
                base_url=server.api,
                headers={
                    "authorization": f"Bearer {server.token}",
                    "user-agent": "cache-event-analyzer",
                    "connection": "close",
                },
                timeout=httpx.Timeout(answer_seconds, connect=min(CONNECT_SECONDS, answer_seconds)),
                verify=ssl.create_default_context(cafile=str(server.ca_file)) if server.ca_file else True,
                # A connection carries one request: a stray second answer on it would be taken for that of the next
                # request, whose events would count as confirmed. The threads limit how many are open at once.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
                follow_redirects=False,
                transport=transport,
                event_hooks={"response": [_take_location]},
                trust_env=server.api.startswith("https:"),  # plain HTTP is loopback, which no proxy reaches
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def send(self, chunk: Chunk) -> Outcome:
        """Post a chunk and return the outcome; failures of the network are outcomes too, not exceptions."""
        headers = {"content-type": "application/json", **_headers(chunk.context)}
        return self._request("POST", EVENTS_PATH, chunk.context, content=chunk.body(), headers=headers)

    def preflight(self, context: Context) -> Outcome:
        """Request the team's remote caching status, which becomes the outcome's message if the server answers."""
        return self._request("GET", STATUS_PATH, context)

    def _request(self, method: str, path: str, context: Context, **content: Any) -> Outcome:
        query = {"teamId": context.team_id, "slug": context.slug}
        params = {name: value for name, value in query.items() if value}
        try:
            request = self._client.build_request(method, path, params=params, **content)
        except (*UNSENDABLE, ValueError) as error:
            return Outcome(Kind.FORBIDDEN, message=self._describe(error))
        try:
            response = self._client.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return self._failure(error)
        return self._answer(response)

    def _failure(self, error: Exception) -> Outcome:
        """Return the outcome of a request that raised: ambiguous unless the request surely did not reach the server."""
        message = self._describe(error)
        if isinstance(error, UNSENDABLE):
            return Outcome(Kind.FORBIDDEN, message=message)
        # httpx refused to write these headers, so the events themselves are at fault.
        if isinstance(error, httpx.LocalProtocolError):
            return Outcome(Kind.REFUSED, message=message)
        if isinstance(error, NOT_SENT):
            message = f"cannot connect to {self._api}: {message}"
            invalid_certificate = _certificate_error(error)
            if invalid_certificate is None:
                return Outcome(Kind.NOT_SENT, message=message)
            code = UNTRUSTED if invalid_certificate.verify_code in UNKNOWN_AUTHORITY else ""
            return Outcome(Kind.FORBIDDEN, message=message, code=code)
        code = TIMED_OUT if isinstance(error, httpx.TimeoutException) else ""
        return Outcome(Kind.AMBIGUOUS, message=message, code=code)

    def _answer(self, response: httpx.Response) -> Outcome:
        """Return the outcome of an answer; its status counts even if its body cannot be read."""
        text = _read_text(response)
        kind, (code, message) = classify_status(response.status_code), _parse_error(text)
        if kind is Kind.CONFIRMED:
            status = self._clean(str(_parse_object(text).get("status", "")))
            return Outcome(kind, response.status_code, status[:MAX_STATUS_CHARS])
        if LOCATION in response.extensions:
            message = f"redirected to {response.extensions[LOCATION]}"
        headers, date = response.headers, response.headers.get("date")
        wait = parse_retry_after(headers.get("retry-after"), date)
        if wait is None and kind is Kind.THROTTLED:
            wait = parse_rate_reset(headers.get("x-ratelimit-reset"), date)
        return Outcome(kind, response.status_code, self._clean(message), self._clean(code), wait)

    def _describe(self, error: Exception) -> str:
        return self._clean(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)

    def _clean(self, text: str) -> str:
        """Return a text as one short line, without the token in case a server echoes it."""
        clean = text.encode("utf-8", "replace").decode().replace(self._token or "\0", "[token]")
        return " ".join(clean.split())[:MAX_MESSAGE_CHARS]


def _take_location(response: httpx.Response) -> None:
    """Move a redirect's location out of the headers: httpx raises on an invalid one even without following it."""
    if response.is_redirect:
        response.extensions[LOCATION] = response.headers.pop("location", "")


def _read_text(response: httpx.Response) -> str:
    """Return the beginning of an answer's body, as far as it arrives within a few seconds."""
    parts: list[bytes] = []
    until = time.monotonic() + BODY_SECONDS
    response.request.extensions.get("timeout", {})["read"] = BODY_SECONDS
    with closing(response), suppress(httpx.HTTPError, OSError, ValueError):
        for part in response.iter_bytes():
            parts.append(part)
            if sum(map(len, parts)) > MAX_BODY_BYTES or time.monotonic() > until:
                break
    return b"".join(parts).decode("utf-8", "replace")


def _headers(context: Context) -> dict[str, Any]:
    """Return the headers of a context, encoded as UTF-8 here because httpx encodes as ASCII."""
    headers: dict[str, Any] = {"x-artifact-client-ci": context.ci.encode("utf-8", "replace")} if context.ci else {}
    if context.interactive is not None:
        headers["x-artifact-client-interactive"] = str(int(context.interactive))
    return headers


@contextmanager
def _certificate_and_proxy_errors(ca_file: Path | None) -> Iterator[None]:
    """Raise UsageError for an unusable `ca_file`, or proxies and certificates of the environment, which httpx reads."""
    try:
        yield
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        names = [name for name in os.environ if name.upper() in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")]
        raise UsageError(f"{', '.join(names)}: not a usable proxy ({error}); correct or unset it") from None
    except OSError as error:
        if ca_file:
            problem = f": not a readable PEM file of certificates ({error})"
            raise UsageError(Option("ca_file", str(ca_file)), problem) from None
        names = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ]
        raise UsageError(f"{', '.join(names)}: no readable certificates ({error}); correct or unset it") from None


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """Return the certificate error among an error and its causes."""
    while error:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _parse_error(text: str) -> tuple[str, str]:
    """Return the code and message of an error's body; a body of another shape is the message."""
    body = _parse_object(text)
    error = body.get("error")
    if isinstance(error, dict):
        return str(error.get("code") or ""), str(error.get("message") or error.get("code") or text)
    return "", str(body.get("message") or error or text)


def _parse_object(text: str) -> dict[str, Any]:
    """Return a JSON object; an empty one if the text is anything else."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
