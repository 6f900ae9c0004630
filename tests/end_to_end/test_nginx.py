"""The shipped nginx.conf itself: artifacts go through it intact, and reports are logged whole, whatever they are."""

import itertools
import json
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from conftest import Cli, event
from npm import TOKEN

from end_to_end.nginx import Proxy, in_front_of
from end_to_end.scenarios import World
from end_to_end.stub import Stub, serving

EVENTS = "/v8/artifacts/events?slug=acme"
AUTHORIZATION = {"authorization": f"Bearer {TOKEN}"}
BYTES = AUTHORIZATION | {"content-type": "application/octet-stream"}
JSON = AUTHORIZATION | {"content-type": "application/json"}


@pytest.fixture
def proxy(world: World, tmp_path: Path) -> Iterator[Proxy]:
    with in_front_of(world.cache, tmp_path) as proxy:
        yield proxy


def body(session: int, events: int) -> bytes:
    found = [event(sessionId=f"session-{session}", hash=f"{number:016x}") for number in range(events)]
    return json.dumps(found, separators=(",", ":")).encode()


def report(proxy: Proxy, content: bytes | Iterable[bytes], **headers: str) -> int:
    """Send a report; the status of the answer."""
    sent = httpx.post(proxy.url + EVENTS, content=content, headers=JSON | headers, timeout=30)
    return sent.status_code


def test_artifacts_stream_through(proxy: Proxy) -> None:
    """Neither an upload nor a download that the client is slow to take is written to a file on the way."""
    artifact, url = os.urandom(24_000_000), f"{proxy.url}/v8/artifacts/{7:016x}?slug=stream"
    sent = httpx.put(url, content=artifact, headers=BYTES, timeout=30)
    with httpx.stream("GET", url, headers=AUTHORIZATION, timeout=30) as answer:
        time.sleep(0.5)
        assert (sent.is_success, answer.status_code, answer.read() == artifact) == (True, 200, True)
    assert "temporary file" not in proxy.errors.read_text()
    assert proxy.log.read_text() == ""


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_report_is_logged_whole(proxy: Proxy, cli: Cli, chunked: bool) -> None:  # noqa: FBT001
    large = body(1, 10_000)
    parts = (large[start : start + 50_000] for start in range(0, len(large), 50_000))
    assert report(proxy, parts if chunked else large) == 200
    assert json.loads(proxy.logged(1).read_text())["request_body"] == large.decode()
    result = cli("stats", proxy.log, "--format", "json")
    assert (result.code, result.err, result.json["input"]["kept"]) == (0, "", 10_000)


def test_reports_at_once_do_not_tear_each_other(proxy: Proxy, cli: Cli) -> None:
    sizes = list(itertools.islice(itertools.cycle([10, 100, 1000]), 120))
    with ThreadPoolExecutor(12) as pool:
        answers = set(pool.map(lambda session: report(proxy, body(session, sizes[session])), range(len(sizes))))
    assert answers == {200}
    result = cli("stats", proxy.logged(len(sizes)), "--by", "session", "--format", "json")
    assert (result.code, result.err) == (0, "")
    found = {row["session"]: row["events"] for row in result.table("by_session")}
    assert found == {f"session-{session}": size for session, size in enumerate(sizes)}


def test_headers_and_odd_characters_survive(proxy: Proxy, cli: Cli) -> None:
    odd = 'a "quoted" \\ name,\n\u2028 é 😀 \x01'
    named = {"x-artifact-client-ci": "GITLAB", "x-artifact-client-interactive": "1"}
    assert report(proxy, json.dumps([event(sessionId=odd)], ensure_ascii=False).encode(), **named) == 200
    query = "SELECT session, ci, interactive, status, slug FROM events"
    found = json.loads(cli("sql", proxy.logged(1), query, "--format", "ndjson").out)
    assert found == {"session": odd, "ci": "GITLAB", "interactive": 1, "status": 200, "slug": "acme"}
    assert TOKEN not in proxy.log.read_text()


def test_a_report_over_the_limit_is_refused_with_a_message(proxy: Proxy, cli: Cli) -> None:
    assert (report(proxy, body(1, 60_000)), report(proxy, body(2, 10))) == (413, 200)
    result = cli("stats", proxy.logged(2), "--format", "json")
    assert (result.json["input"]["kept"], result.json["input"]["rejected"]) == (10, 1)
    assert "the request's body was not logged" in result.err


def test_a_token_that_is_refused_shows_in_the_status(proxy: Proxy, cli: Cli) -> None:
    assert report(proxy, body(1, 10), authorization="Bearer wrong") in {401, 403}
    logged = json.loads(proxy.logged(1).read_text())
    assert logged["status"] == logged["upstream_status"]
    assert (
        cli("sql", proxy.log, "SELECT status FROM events LIMIT 1", "--format", "csv").out.split()[1] == logged["status"]
    )


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
@pytest.mark.usefixtures("world")
def test_a_cache_behind_tls_is_named_and_verified(tmp_path: Path) -> None:
    certificate, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*make, *names], check=True, capture_output=True)
    tls, asked_for = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), set()
    tls.load_cert_chain(certificate, key)
    tls.sni_callback = lambda _, name, __: asked_for.add(name)
    trusting, wary = tmp_path / "trusting", tmp_path / "wary"
    trusting.mkdir()
    wary.mkdir()
    with serving(Stub(), tls) as stub:
        with in_front_of(stub.url, wary) as proxy:
            assert (report(proxy, body(1, 10)), stub.hosts) == (502, set())
        with in_front_of(stub.url, trusting, certificate) as proxy:
            assert (report(proxy, body(1, 10)), stub.hosts, asked_for) == (200, {"localhost"}, {"localhost"})
