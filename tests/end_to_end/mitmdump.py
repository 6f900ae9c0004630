"""mitmdump with the command of the README's recipe, its files in one directory."""

import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from npm import free_port

from end_to_end.nginx import Proxy

README = Path(__file__).parent.parent.parent / "README.md"
VERCEL = "https://api.vercel.com"
REPORTS, ALL = "~u /artifacts/events", "~all"
"""Which requests are saved: those of the recipe, and every one."""


def install(directory: Path) -> subprocess.CompletedProcess[str]:
    """Install mitmproxy, which pins what it needs and so has no place in the environment of the tests."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True, capture_output=True)
    pip = [sys.executable, "-m", "pip", "--python", commands(directory) / "python", "install", "--no-compile"]
    return subprocess.run([*pip, "mitmproxy>=11.0.2"], capture_output=True, text=True, check=False)


def commands(directory: Path) -> Path:
    """Where a virtual environment has its commands."""
    return directory / "bin"


def recipe() -> list[str]:
    """The README's command."""
    found = re.search(r"`(mitmdump [^`]+)`", README.read_text())
    assert found, "the README has no recipe for HAR"
    return shlex.split(found[1])


@contextmanager
def in_front_of(
    cache: str, installed: Path, directory: Path, saved: str = REPORTS, stop: signal.Signals = signal.SIGINT
) -> Iterator[Proxy]:
    """Run the recipe before a cache, given by its address; it writes the log as it is stopped."""
    port = free_port()
    proxy = Proxy(f"http://127.0.0.1:{port}", directory / "events.har", directory / "printed")
    with proxy.errors.open("w") as printed:
        command = adapted(cache, installed, directory, port, saved)
        process = subprocess.Popen(command, cwd=directory, stdout=printed, stderr=subprocess.STDOUT)
    try:
        wait_for(port, process, proxy)
        yield proxy
        process.send_signal(stop)
        assert process.wait(30) == 0, proxy.errors.read_text()
    finally:
        process.kill()
        process.wait()


def adapted(cache: str, installed: Path, directory: Path, port: int, saved: str) -> list[str]:
    """The recipe with another cache, a port of this machine alone, and no files in the home directory."""
    program, *options = recipe()
    assert all(any(shipped in option for option in options) for shipped in (VERCEL, REPORTS)), options
    ours = [option.replace(VERCEL, cache).replace(REPORTS, saved) for option in options]
    address = ["--listen-host", "127.0.0.1", "--listen-port", str(port)]
    return [str(commands(installed) / program), *ours, *address, "--set", f"confdir={directory / 'settings'}"]


def wait_for(port: int, process: subprocess.Popen[bytes], proxy: Proxy) -> None:
    """Wait until it listens; the first start in an environment takes seconds."""
    for _ in range(600):
        assert process.poll() is None, proxy.errors.read_text()
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(proxy.errors.read_text())
