"""What a command writes costs nobody a file."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, event, ndjson

GOOD = ndjson([event()]) + "broken\n"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with a log, an archive of it, a link to each, and what is none."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.ndjson").write_text(GOOD)
    (tmp_path / "logs" / "old.csv").write_text("an older answer\n")
    command = [sys.executable, "-m", "analyzer", "load", "logs/a.ndjson", "--into", "a.duckdb"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "link.ndjson").symlink_to("logs/a.ndjson")
    (tmp_path / "link.csv").symlink_to("a.duckdb")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    return tmp_path


def held(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


REFUSED = {
    "a source": ("stats logs/a.ndjson -o logs/a.ndjson", "is read as SOURCE"),
    "a link to a source": ("stats logs/a.ndjson -o link.ndjson", "is read as SOURCE"),
    "a source that is a link": ("stats link.ndjson -o logs/a.ndjson", "is read as SOURCE"),
    "a log in a directory": ("stats logs -o logs/a.ndjson", "is read as SOURCE"),
    "a log that a pattern matches": ("stats logs/*.ndjson -o logs/../logs/a.ndjson", "is read as SOURCE"),
    "an archive": ("stats a.duckdb -o a.duckdb --format csv", "is read as SOURCE"),
    "a link to an archive": ("stats a.duckdb -o link.csv", "is read as SOURCE"),
    "one of two logs": ("compare logs/a.ndjson link.ndjson -o logs/a.ndjson", "is read as SOURCE"),
    "a log that is asked SQL": ("sql logs/a.ndjson FROM_events -o logs/a.ndjson", "is read as SOURCE"),
    "a source for rejects": ("stats logs/a.ndjson --rejects logs/a.ndjson", "is read as SOURCE"),
    "one file for both": ("stats logs/a.ndjson -o new.csv --rejects logs/../new.csv", "already uses"),
    "the archive that is loaded": ("load logs --into a.duckdb -o a.duckdb --format csv", "already uses"),
    "an archive to be made": ("load logs --into new.csv -o new.csv", "already uses"),
    "an archive for rejects": ("load logs --into a.duckdb --rejects link.csv", "already uses"),
    "the journal": ("replay logs --journal j.csv -o j.csv", "already uses"),
    "dead letters": ("replay logs --dead-letters d.csv -o d.csv", "already uses"),
    "a link to itself": ("stats logs/a.ndjson -o loop.csv", "leads back to itself"),
}


@pytest.mark.parametrize(("line", "word"), REFUSED.values(), ids=REFUSED)
def test_files_that_a_command_needs(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch, line: str, word: str
) -> None:
    monkeypatch.chdir(here)
    before = held(here)
    result = cli(*(part.replace("_", " ") for part in line.split()), "--force")
    assert (result.code, word in result.err) == (2, True), result.err
    assert held(here) == before


def test_an_older_answer_among_logs_is_overwritten(cli: Cli, here: Path) -> None:
    """It is no log, so it is not read."""
    assert cli("stats", here / "logs", "-o", here / "logs" / "old.csv", "--force").code == 0
    assert (here / "logs" / "old.csv").read_text().startswith("events,")


def test_the_journal_is_not_what_verify_rejects(cli: Cli, log: Any, tmp_path: Path) -> None:
    path = log(GOOD)
    result = cli("journal", "verify", path, "--rejects", path, "--journal", tmp_path / "j")
    assert (result.code, path.read_text()) == (2, GOOD)


def test_verify_overwrites_with_force(cli: Cli, log: Any, tmp_path: Path) -> None:
    (mine := tmp_path / "mine.ndjson").write_text("precious\n")
    refused = cli("journal", "verify", log(GOOD), "--journal", tmp_path / "j", "--rejects", mine)
    assert (refused.code, mine.read_text()) == (2, "precious\n")
    assert "exists already; --force overwrites it" in refused.err


def test_a_file_of_the_users_is_not_taken_for_an_unfinished_one(cli: Cli, log: Any, tmp_path: Path) -> None:
    (mine := tmp_path / "x.csv.part").write_text("mine")
    assert cli("stats", log([event()]), "-o", tmp_path / "x.csv").code == 0
    assert mine.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.ndjson", "x.csv", "x.csv.part"]


def test_permissions_are_those_of_a_plain_file(cli: Cli, log: Any, tmp_path: Path) -> None:
    path, out = log([event()]), tmp_path / "x.csv"
    before = os.umask(0o027)
    try:
        assert cli("stats", path, "-o", out).code == 0
        assert stat.S_IMODE(out.stat().st_mode) == 0o640
        out.chmod(0o604)
        assert cli("stats", path, "-o", out, "--force").code == 0
        assert stat.S_IMODE(out.stat().st_mode) == 0o604
    finally:
        os.umask(before)


def test_a_device_is_written_into(log: Any) -> None:
    command = [sys.executable, "-m", "analyzer", "stats", str(log([event()])), "--format", "csv"]
    for out in ("/dev/stdout", "/dev/null"):
        done = subprocess.run([*command, "-o", out], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("events,") == (out == "/dev/stdout")
