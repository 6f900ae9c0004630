"""Against the common self-hosted server, as npm has it."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from conftest import RECORDED, Cli

SERVER = "turborepo-remote-cache@2.12.0"
LOG = RECORDED / "requests.ndjson"

pytestmark = pytest.mark.skipif(not shutil.which("npm"), reason="Node.js is not installed")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server, installed from npm."""
    directory = tmp_path_factory.mktemp("npm")
    subprocess.run(
        ["npm", "install", "--no-fund", "--no-audit", "--prefix", str(directory), SERVER],
        check=True,
        capture_output=True,
    )
    return directory / "node_modules" / ".bin" / "turborepo-remote-cache"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def running(program: Path, storage: Path, **more: str) -> Iterator[str]:
    port = free_port()
    environment = {
        **os.environ, "HOST": "127.0.0.1", "PORT": str(port), "AUTH_MODE": "static", "TURBO_TOKEN": "theirs",
        "STORAGE_PROVIDER": "local", "STORAGE_PATH": str(storage), "STORAGE_PATH_USE_TMP_FOLDER": "false", **more,
    }  # fmt: skip
    process = subprocess.Popen([program], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                httpx.get(f"{url}/v8/artifacts/status", headers={"authorization": "Bearer theirs"})
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()


def test_replays_on_the_self_hosted_server(
    program: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(program, tmp_path) as url:
        options = [
            LOG, "--api", url, "--execute", "--journal", tmp_path / "j", "--requests-per-minute", 0, "--format", "json",
        ]  # fmt: skip
        monkeypatch.setenv("TURBO_TOKEN", "wrong")
        refused = cli("replay", *options)
        assert (refused.code, refused.json["unsent"], refused.json["confirmed"]) == (7, 4115, 0)
        assert "set TURBO_TOKEN" in refused.err
        monkeypatch.setenv("TURBO_TOKEN", "theirs")
        first, again = cli("replay", *options), cli("replay", *options)
        assert (first.code, first.json["confirmed_now"], first.json["requests"]) == (0, 4115, 48)
        assert (again.code, again.json["requests"]) == (0, 0)


def test_a_body_over_its_limit_is_halved(
    program: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURBO_TOKEN", "theirs")
    with running(program, tmp_path, BODY_LIMIT="4000") as url:
        options = ["--api", url, "--execute", "--journal", tmp_path / "j", "--requests-per-minute", 0]
        found = cli("replay", LOG, *options, "--format", "json")
    assert (found.code, found.json["confirmed"], found.json["dead_lettered"]) == (0, 4115, 0)
    assert found.json["requests"] > 48
