"""Standard streams that are closed before the program begins."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import event


def shell(streams: str, *arguments: object) -> tuple[int, str]:
    """Run a command line with its streams as a shell redirects them; return its exit code and what it printed."""
    command = shlex.join([sys.executable, "-m", "analyzer", *map(str, arguments)])
    done = subprocess.run(["/bin/sh", "-c", f"{command} {streams}"], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize("command", ["stats", "misses", "sql"])
def test_without_stderr_the_answer_is_the_same(log: Any, command: str) -> None:
    path = log([event(), event(source="no source")])
    asked = (command, path, *(["FROM rejects"] if command == "sql" else []))
    found = shell("", *asked)
    assert found[0] == 0
    assert shell("2>&-", *asked) == found


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_without_streams_files_are_written(log: Any, tmp_path: Path, streams: str) -> None:
    path, out, archive = log([event()]), tmp_path / "out.csv", tmp_path / "a.duckdb"
    # The archive is written, but not the table that says what was loaded.
    assert shell(streams, "load", path, "--into", archive, "--verbose")[0] == (1 if ">&-" in streams.split() else 0)
    assert shell(streams, "stats", archive, "-o", out) == (0, "")
    assert out.read_text().startswith("events,lookups")


@pytest.mark.parametrize("source", ["/dev/zero", "- < /dev/zero", "/dev/urandom"])
def test_a_device_that_never_ends_is_refused(source: str) -> None:
    command = f"{sys.executable} -m analyzer stats {source}"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "a device that may never end; name a file or a pipe" in done.stderr) == (3, True)


def test_an_empty_device_is_an_empty_log() -> None:
    assert shell("", "stats", "/dev/null")[0] == 0
