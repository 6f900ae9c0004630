"""Ctrl-C, pipes and terminals, in processes of their own."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import RECORDED

from replay.server import TOKEN, Strict

LOG = RECORDED / "requests.ndjson"


def started(
    strict: Strict, tmp_path: Path, *options: str, stderr: int = subprocess.PIPE, ignored: Sequence[signal.Signals] = ()
) -> subprocess.Popen[str]:
    """Start a replay that ignores some signals from outside, whatever these tests were started with."""

    command = [
        sys.executable, "-m", "analyzer", "replay", str(LOG), "--api", strict.url, "--journal", str(tmp_path / "j"),
        "--execute", "--chunk-size", "10", "--format", "csv", *options,
    ]  # fmt: skip
    environment = {**os.environ, "TURBO_TOKEN": TOKEN}

    def heed() -> None:
        for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(one, signal.SIG_IGN if one in ignored else signal.SIG_DFL)

    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True, preexec_fn=heed,  # noqa: PLW1509  (it takes no lock)
    )  # fmt: skip


def wait_for(strict: Strict, requests: int) -> None:
    for _ in range(1000):
        if len(strict.bodies) >= requests:
            return
        time.sleep(0.02)
    raise AssertionError("no requests came")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_ends_after_the_request_under_way(sent: signal.Signals, strict: Strict, tmp_path: Path) -> None:
    strict.answer_seconds = 0.3
    process = started(strict, tmp_path, "--requests-per-minute", "0")
    wait_for(strict, 2)
    process.send_signal(sent)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted; run this again to go on" in err
    header, row = out.splitlines()
    found = dict(zip(header.split(","), row.split(","), strict=True))
    assert int(found["confirmed"]) == len(strict.taken) == 10 * len(strict.bodies)
    assert found["uncertain"] == "0"


@pytest.mark.parametrize("ignored", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_is_ignored_from_outside_ends_nothing(
    ignored: signal.Signals, strict: Strict, tmp_path: Path
) -> None:
    process = started(strict, tmp_path, "--requests-per-minute", "0", "--limit", "300", ignored=[ignored])
    wait_for(strict, 2)
    process.send_signal(ignored)
    process.communicate(timeout=60)
    assert (process.returncode, len(strict.taken)) == (0, 300)


def test_ctrl_c_ends_a_wait_at_once(strict: Strict, tmp_path: Path) -> None:
    process = started(strict, tmp_path, "--requests-per-minute", "0.5")
    wait_for(strict, 1)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert (process.returncode, len(strict.bodies)) == (130, 1)


def test_on_a_terminal_a_bar_is_drawn(strict: Strict, tmp_path: Path) -> None:
    strict.answer_seconds = 0.02
    reader, writer = pty.openpty()
    process = started(strict, tmp_path, "--requests-per-minute", "0", "--limit", "300", stderr=writer)
    os.close(writer)
    drawn = b""
    while True:
        try:
            piece = os.read(reader, 4096)
        except OSError:
            break
        if not piece:
            break
        drawn += piece
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert b"sending" in drawn
    assert b"events/s" in drawn


def test_a_narrow_terminal_shows_every_number(strict: Strict, tmp_path: Path) -> None:
    """A table that does not fit however it is folded stands upright: a number cut off would be a wrong one."""
    strict.script = [(401, "who are you, and what is all this")]
    started(strict, tmp_path).communicate(timeout=20)
    command = [sys.executable, "-m", "analyzer", "journal", "status", "--journal", str(tmp_path / "j")]
    reader, writer = pty.openpty()
    done = subprocess.Popen(command, stdout=writer, env={**os.environ, "COLUMNS": "60"})
    os.close(writer)
    drawn = b""
    with suppress(OSError):
        while piece := os.read(reader, 4096):
            drawn += piece
    assert done.wait() == 0
    assert re.search(rb"unsent +3,819", drawn)
    assert b"who are you, and what is all this" in b" ".join(drawn.split()), "wrapped between words"
