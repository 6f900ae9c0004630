"""Programs from npm: turbo and the common self-hosted cache server, installed once a session."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

SERVER = "turborepo-remote-cache@2.12.0"
TURBO = "turbo@2.11.11"
TOKEN = "token-of-these-tests-alone"  # noqa: S105  (of servers on this machine)


def install(directory: Path, *packages: str) -> Path:
    """Install packages, by default both programs, and return the directory of their commands."""
    subprocess.run(
        ["npm", "install", "--no-fund", "--no-audit", "--prefix", str(directory), *(packages or (SERVER, TURBO))],
        check=True,
        capture_output=True,
    )
    return directory / "node_modules" / ".bin"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def server_log(storage: Path) -> Path:
    """Where the cache server that stores into a directory logs."""
    return storage.with_name(f"{storage.name}.log")


@contextmanager
def running(program: Path, storage: Path, **more: str) -> Iterator[str]:
    """Run the cache server; its address."""
    port = free_port()
    environment = {
        **os.environ, "HOST": "127.0.0.1", "PORT": str(port), "AUTH_MODE": "static", "TURBO_TOKEN": TOKEN,
        "STORAGE_PROVIDER": "local", "STORAGE_PATH": str(storage), "STORAGE_PATH_USE_TMP_FOLDER": "false", **more,
    }  # fmt: skip
    with server_log(storage).open("wb") as log:
        process = subprocess.Popen([program], env=environment, stdout=log, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                httpx.get(f"{url}/v8/artifacts/status", headers={"authorization": f"Bearer {TOKEN}"})
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()
