"""Servers behind certificates of their own, and servers that come up late."""

import contextlib
import json
import shutil
import socketserver
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import RECORDED, Cli, event

from analyzer.replayer.transport import Transport
from replay.server import TOKEN, Strict, served, serving

LOG = RECORDED / "requests.ndjson"


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_a_private_authority_is_trusted_when_it_is_named(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*make, *names], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    monkeypatch.setenv("TURBO_TOKEN", TOKEN)
    with serving(Strict(), tls=tls) as strict:
        options = [LOG, "--api", strict.url, "--execute", "--journal", tmp_path / "j", "--requests-per-minute", "0"]
        refused = cli("replay", *options, "--format", "json")
        assert (refused.code, refused.json["unsent"], strict.bodies) == (7, 4115, [])
        assert "--ca-file" in refused.err
        found = cli("replay", *options, "--ca-file", certificate, "--format", "json")
    assert (found.code, len(strict.taken)) == (0, 4115)


def test_a_server_that_comes_up_late_is_waited_for(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURBO_TOKEN", TOKEN)
    with serving(Strict()) as first:
        url = first.url
    late, tried, done = Strict(), threading.Event(), threading.Event()
    send = Transport.send

    def noted(*arguments: Any) -> Any:
        answer = send(*arguments)
        tried.set()
        return answer

    monkeypatch.setattr(Transport, "send", noted)

    def start() -> None:
        tried.wait()
        with serving(late, int(url.rpartition(":")[2])):
            done.wait()

    thread = threading.Thread(target=start)
    thread.start()
    options = ["--api", url, "--execute", "--journal", tmp_path / "j", "--requests-per-minute", "0", "--retries", "50"]
    found = cli("replay", LOG, "--limit", "30", *options, "--format", "json")
    done.set()
    thread.join()
    assert (found.code, len(late.taken), found.json["uncertain"]) == (0, 30, 0)
    assert found.json["retries"] > 0


class StrayAnswers(socketserver.StreamRequestHandler):
    """Records the first request of a connection and answers it twice; later ones of the connection are lost."""

    delay_seconds = 0.0
    recorded: list[bytes]

    def handle(self) -> None:
        is_first = True
        while line := self.rfile.readline():
            headers = dict(header.split(": ", 1) for header in iter(self._header, ""))
            body = self.rfile.read(
                int({name.lower(): value for name, value in headers.items()}.get("content-length", 0))
            )
            if not is_first:
                return
            if line.startswith(b"POST"):
                self.recorded.append(body)
                is_first = False
            answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
            self.wfile.write(answer)
            time.sleep(self.delay_seconds)
            with contextlib.suppress(OSError):
                self.wfile.write(answer)

    def _header(self) -> str:
        return self.rfile.readline().decode().strip()


@pytest.mark.parametrize("delay_seconds", [0, 0.001, 0.01, 0.05])
def test_a_stray_answer_confirms_no_other_request(
    delay_seconds: float, cli: Cli, log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURBO_TOKEN", TOKEN)
    recorded: list[bytes] = []
    handler = type("Bound", (StrayAnswers,), {"delay_seconds": delay_seconds, "recorded": recorded})
    source = log([event(hash=f"h{number}") for number in range(60)])
    with served(handler, 0, None) as url:
        options = ["--api", url, "--execute", "--journal", tmp_path / "j", "--requests-per-minute", "0"]
        result = cli("replay", source, *options, "--chunk-size", "5", "--format", "json")
    events = [item["hash"] for body in recorded for item in json.loads(body)]
    assert (result.code, result.json["confirmed"], len(set(events)), len(events)) == (0, 60, 60, 60)
