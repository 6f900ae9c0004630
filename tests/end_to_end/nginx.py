"""nginx with the configuration this project ships, run in the foreground with all its files in one directory."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from npm import free_port

SHIPPED = Path(__file__).parent.parent.parent / "sample_data" / "nginx.conf"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def program() -> str | None:
    """Where nginx is: Debian has it in a directory that is in the superuser's PATH alone."""
    return shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")


@dataclass(frozen=True)
class Proxy:
    url: str
    log: Path
    errors: Path

    def logged(self, requests: int) -> Path:
        """The log, as soon as it has that many lines: nginx writes one after the client has its answer."""
        for _ in range(200):
            if self.log.read_bytes().count(b"\n") >= requests:
                break
            time.sleep(0.05)
        return self.log


@contextmanager
def in_front_of(cache: str, directory: Path, authorities: Path | None = None) -> Iterator[Proxy]:
    """Run nginx before a cache, given by its address; `authorities` sign its certificate."""
    command = program()
    assert command
    proxy = Proxy(f"http://127.0.0.1:{free_port()}", directory / "events.ndjson", directory / "errors.log")
    (directory / "nginx.conf").write_text(adapted(cache, proxy, directory, authorities))
    directives = f"daemon off; pid {directory}/pid; error_log {proxy.errors} warn;{' user root;' * (os.geteuid() == 0)}"
    process = subprocess.Popen(
        [command, "-p", directory, "-c", "nginx.conf", "-e", proxy.errors, "-g", directives], stderr=subprocess.DEVNULL
    )
    try:
        wait_for(proxy, process)
        yield proxy
    finally:
        process.terminate()
        process.wait()


def adapted(cache: str, proxy: Proxy, directory: Path, authorities: Path | None) -> str:
    """The shipped file with the lines changed that an operator changes, and its temporary files in the directory."""
    scheme, _, address = cache.partition("://")
    temporary = "".join(f"\n    {kind}_temp_path {directory}/{kind};" for kind in TEMPORARY)
    text = SHIPPED.read_text()
    for shipped, ours in {
        "server api.vercel.com:443;": f"server {address};",
        "default https;": f"default {scheme};",
        "default api.vercel.com;": "default localhost;",
        "listen 8080;": f"listen {proxy.url.removeprefix('http://')};",
        "/var/log/nginx/turbo-events.ndjson": str(proxy.log),
        "/etc/ssl/certs/ca-certificates.crt": str(authorities or "/etc/ssl/certs/ca-certificates.crt"),
        "access_log off;": f"access_log {directory}/access.log combined;",
        "\nhttp {": f"\nhttp {{{temporary}",
    }.items():
        assert shipped in text, shipped
        text = text.replace(shipped, ours)
    return text


def wait_for(proxy: Proxy, process: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        assert process.poll() is None, proxy.errors.read_text()
        try:
            httpx.head(proxy.url)
        except httpx.ConnectError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(proxy.errors.read_text())
