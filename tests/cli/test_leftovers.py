"""What a command leaves behind: nothing, however it ends; and what a killed one left is removed by the next."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, event, ndjson

from analyzer.archive import leftovers
from analyzer.archive.leftovers import temp_directory, unfinished_path

ENDLESS = "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT count(*) FROM x"


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (directory := tmp_path / "temp").mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr("tempfile.tempdir", None)
    return directory


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command line; it is killed at the end, also of a test that fails."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "analyzer", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def wait_for(directory: Path) -> None:
    until = time.monotonic() + 30
    while not any(directory.iterdir()) and time.monotonic() < until:
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_nothing(number: signal.Signals, temp: Path, tmp_path: Path, start: Any) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = start("stats", fifo, "-o", tmp_path / "x.csv")  # reads the pipe, which nobody closes
    with fifo.open("wb") as pipe:
        wait_for(temp)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        del pipe
    assert (process.returncode, err.strip()) == (128 + number, "error: interrupted")
    assert list(temp.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fifo", "temp"]


def test_ctrl_c_ends_a_step_of_a_query_that_never_ends(temp: Path, log: Any, start: Any) -> None:
    process = start("sql", log([event()]), ENDLESS)
    wait_for(temp)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.strip()) == (130, "error: interrupted")
    assert list(temp.iterdir()) == []


def test_the_directory_of_a_killed_process_is_removed_by_the_next(temp: Path, log: Any, cli: Cli, start: Any) -> None:
    process = start("sql", path := log([event()]), ENDLESS)
    wait_for(temp)
    time.sleep(1)
    (left,) = temp.iterdir()
    os.utime(left, (0, 0))
    assert cli("stats", path).code == 0
    assert left.exists(), "its process is alive"
    process.kill()
    process.communicate()
    os.utime(left, (0, 0))
    assert cli("stats", path).code == 0
    assert not left.exists()


def test_only_old_directories_of_this_user_are_removed(temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("analyzer-old", "analyzer-new", "other-old"):
        (temp / name).mkdir()
        (temp / name / "lock").touch()
    for name in ("analyzer-old", "other-old"):
        os.utime(temp / name, (0, 0))
    with monkeypatch.context() as patched:
        patched.setattr(os, "getuid", lambda: temp.stat().st_uid + 1)
        with temp_directory():
            pass
    assert (temp / "analyzer-old").exists(), "another user's"
    with temp_directory() as own:
        assert sorted(path.name for path in temp.iterdir()) == sorted([own.name, "analyzer-new", "other-old"])


def test_unfinished_files_of_yesterday_are_removed(tmp_path: Path) -> None:
    old, new = unfinished_path(tmp_path / "x.csv"), unfinished_path(tmp_path / "x.csv")
    for path in (old, new):
        path.touch()
    os.utime(old, (time.time() - leftovers.MIN_PART_AGE_SECONDS - 60,) * 2)
    assert unfinished_path(tmp_path / "y.csv").parent == tmp_path
    assert (old.exists(), new.exists()) == (False, True)


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path, log: Any, cli: Cli) -> None:
    path = log([event()])
    target = tmp_path / ("x" * 300 + ".csv")  # a name that no file system takes
    found = cli("stats", path, "-o", target)
    assert (found.code, ".part" in found.err, str(target) in found.err) == (1, False, True)


def test_a_closed_standard_output_is_a_failure(log: Any) -> None:
    command = f"{sys.executable} -m analyzer stats {log([event()])} >&-"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: standard output: it is closed; write to a file with -o\n")


@pytest.mark.parametrize("name", ["md:x", "http://host/x", "s3://bucket/x", "sqlite:x", "postgres:x"])
def test_an_archive_is_a_local_file(name: str, log: Any, cli: Cli, tmp_path: Path, monkeypatch: Any) -> None:
    path = log([event()])
    monkeypatch.chdir(tmp_path)
    found = cli("load", path, "--into", name)
    assert found.code == 2
    assert "no directory" in found.err or "an archive is a local file" in found.err
    assert [one.name for one in tmp_path.iterdir()] == ["log.ndjson"]


def test_a_file_whose_name_has_a_prefix_is_only_a_file(cli: Cli, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "log.ndjson").write_text(ndjson([event()]))
    monkeypatch.chdir(tmp_path)
    assert cli("load", "log.ndjson", "--into", "a.duckdb").code == 0
    Path("a.duckdb").rename("md:a")
    assert cli("stats", "md:a").code == 0
    assert cli("load", "log.ndjson", "--into", "md:a").code == 0
