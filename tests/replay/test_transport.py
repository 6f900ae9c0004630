"""From answers and failures to outcomes: each exception of httpx, each status, the wire itself."""

import ssl
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
from loopback import served

from analyzer.errors import UsageError
from analyzer.replayer import transport
from analyzer.replayer.chunk import Chunk
from analyzer.replayer.outcome import TIMED_OUT, Kind, Outcome, classify_status, parse_retry_after, remedy_for
from analyzer.replayer.settings import Server
from analyzer.replayer.teams import Context
from analyzer.replayer.transport import Transport
from replay.server import TOKEN, Strict, serving

CHUNK = Chunk(Context("team_1", "a&b=ü", "CI\u00e9", interactive=True), '{"a":1}\n{"b":2}', bytes(32))

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
AMBIGUOUS = (
    httpx.ReadTimeout, httpx.WriteTimeout, httpx.ReadError, httpx.WriteError, httpx.CloseError,
    httpx.RemoteProtocolError, httpx.DecodingError, httpx.TooManyRedirects,
)  # fmt: skip


def outcome_of(answer: Any) -> Outcome:
    def handle(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with Transport(Server("https://cache.example.com", TOKEN), httpx.MockTransport(handle)) as transport:
        return transport.send(CHUNK)


@pytest.mark.parametrize("kind", NOT_SENT)
def test_what_failed_before_the_request_was_not_sent(kind: type[Exception]) -> None:
    words = f"cannot connect to https://cache.example.com: {kind.__name__}: why"
    assert outcome_of(kind("why")) == Outcome(Kind.NOT_SENT, None, words)


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_what_failed_after_it_began_is_ambiguous(kind: type[Exception]) -> None:
    code = TIMED_OUT if issubclass(kind, httpx.TimeoutException) else ""
    assert outcome_of(kind(f"with {TOKEN}")) == Outcome(Kind.AMBIGUOUS, None, f"{kind.__name__}: with [token]", code)


def test_every_exception_of_httpx_is_classed() -> None:
    classed = {*NOT_SENT, *AMBIGUOUS, httpx.LocalProtocolError, httpx.UnsupportedProtocol}
    families = {
        httpx.RequestError,
        httpx.TransportError,
        httpx.TimeoutException,
        httpx.NetworkError,
        httpx.ProtocolError,
    }
    found = {one for one in vars(httpx).values() if isinstance(one, type) and issubclass(one, httpx.RequestError)}
    assert found - families == classed


def test_what_cannot_be_a_request_is_no_doubt() -> None:
    assert outcome_of(httpx.LocalProtocolError("bad header")).kind is Kind.REFUSED
    assert outcome_of(httpx.UnsupportedProtocol("ftp")).kind is Kind.FORBIDDEN


def test_a_certificate_that_is_not_trusted_stops_and_says_the_remedy() -> None:
    error = httpx.ConnectError("failed")
    error.__cause__ = distrust = ssl.SSLCertVerificationError("self-signed")
    distrust.verify_code = 18
    found = outcome_of(error)
    assert found.kind is Kind.FORBIDDEN
    assert "ca_file" in remedy_for(found)
    distrust.verify_code = 62  # of another name
    other = outcome_of(error)
    assert other.kind is Kind.FORBIDDEN
    assert "ca_file" not in remedy_for(other)


STATUSES = {
    Kind.CONFIRMED: (200, 201, 202, 204),
    Kind.REFUSED: (400, 422),
    Kind.FORBIDDEN: (301, 302, 303, 307, 308, 401, 402, 403, 404, 405, 410, 415, 431, 451),
    Kind.AMBIGUOUS: (408, 500, 501, 502, 503, 504, 520),
    Kind.TOO_BIG: (413,),
    Kind.THROTTLED: (429,),
}


@pytest.mark.parametrize(("kind", "status"), [(kind, status) for kind, many in STATUSES.items() for status in many])
def test_every_status(kind: Kind, status: int) -> None:
    assert classify_status(status) is kind
    assert outcome_of(httpx.Response(status)).kind is kind


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ('{"error": {"code": "remote_caching_paused", "message": "Paused."}}', "remote_caching_paused", "Paused."),
        ('{"error": "plain"}', "", "plain"),
        ('{"message": "fastify"}', "", "fastify"),
        ("<html>\n no  JSON", "", "<html> no JSON"),
        ("[1]", "", "[1]"),
        ("", "", ""),
    ],
)
def test_the_servers_words(body: str, code: str, words: str) -> None:
    found = outcome_of(httpx.Response(403, text=body))
    assert (found.code, found.message) == (code, words)


def test_an_answer_whose_body_breaks_off_counts_by_its_status() -> None:
    class Broken(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            yield b"{"
            raise httpx.ReadError("gone")

    assert outcome_of(httpx.Response(200, stream=Broken())).kind is Kind.CONFIRMED
    assert outcome_of(httpx.Response(503, stream=Broken())).kind is Kind.AMBIGUOUS


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("7", 7), (" 7 ", 7), ("Thu, 01 Jan 2026 00:00:05 GMT", 5), ("Wed, 31 Dec 2025 00:00:00 GMT", 0),
     ("soon", None), ("", None), (None, None), ("-3", None), ("1e3", None), ("٣", None), ("9" * 400, 999999999)],
)  # fmt: skip
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, "Thu, 01 Jan 2026 00:00:00 GMT") == seconds


def test_a_date_to_retry_after_goes_by_the_servers_clock() -> None:
    slow = {"date": "Thu, 01 Jan 2026 00:00:00 GMT", "retry-after": "Thu, 01 Jan 2026 00:00:05 GMT"}
    assert outcome_of(httpx.Response(429, headers=slow)).retry_after_seconds == 5


def test_nobody_waits_long_for_the_words_of_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(BaseHTTPRequestHandler):
        """Sends its body only after its reader has had enough time to go."""

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.wfile.write(b"HTTP/1.1 400 Bad\r\ncontent-length: 4\r\n\r\n")
            self.wfile.flush()
            self.connection.settimeout(3)
            try:
                self.connection.recv(1)
            except TimeoutError:
                self.wfile.write(b"late")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    monkeypatch.setattr(transport, "BODY_SECONDS", 0.1)
    with served(Late, 0) as url, Transport(Server(url, TOKEN)) as sender:
        found = sender.send(CHUNK)
    assert (found.kind, found.message) == (Kind.REFUSED, "")


@pytest.mark.parametrize(
    ("name", "value"),
    [("HTTPS_PROXY", "socks5://127.0.0.1:1"), ("ALL_PROXY", "ftp://x"), ("HTTPS_PROXY", "http://[::1"),
     ("SSL_CERT_FILE", "/nowhere")],
)  # fmt: skip
def test_surroundings_that_cannot_be_used_are_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=f"{name}.*; correct or unset it"):
        Transport(Server("https://x", TOKEN))


@pytest.mark.parametrize("place", ["https://host:port/login", "//[", "", "https://other.example.com"])
def test_a_redirect_is_one_wherever_it_leads(place: str) -> None:
    found = outcome_of(httpx.Response(302, headers={"location": place}))
    assert (found.kind, found.status, found.message) == (Kind.FORBIDDEN, 302, f"redirected to {place}".strip())


def test_the_request_on_the_wire() -> None:
    with serving(Strict()) as strict, Transport(Server(strict.url, TOKEN)) as transport:
        body = '{"sessionId":"s","source":"LOCAL","event":"HIT","hash":"é"}'
        assert transport.send(Chunk(CHUNK.context, body, bytes(16))).kind is Kind.CONFIRMED
    ((team, slug, ci, interactive, _),) = strict.taken
    assert (team, slug, (ci or "").encode("latin-1").decode(), interactive) == ("team_1", "a&b=ü", "CIé", "1")
    assert strict.bodies == [f"[{body}]".encode()]


def test_slow_answers_are_ambiguous() -> None:
    with (
        serving(Strict(answer_seconds=0.5)) as strict,
        Transport(Server(strict.url, TOKEN), answer_seconds=0.1) as transport,
    ):
        found = transport.send(Chunk(Context(), "{}", bytes(16)))
    assert (found.kind, found.message) == (Kind.AMBIGUOUS, "ReadTimeout: timed out")


def test_a_server_shows_no_token() -> None:
    assert TOKEN not in repr(Server("https://x", TOKEN))


def test_certificates_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for path in (tmp_path / "ca.pem", tmp_path / "none.pem"):
        with pytest.raises(UsageError, match="ca_file"):
            Transport(Server("https://x", TOKEN, path))
