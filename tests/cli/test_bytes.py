"""Names of files and values of options whose bytes are no UTF-8; Python hands them on as surrogates."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, event

BYTES = os.fsdecode(b"\xff")


@pytest.fixture
def named(log: Any, tmp_path: Path) -> Path:
    """A log of a name that is no UTF-8."""
    return log([event()]).rename(tmp_path / os.fsdecode(b"caf\xe9.ndjson"))


@pytest.mark.parametrize("suffix", ["html", "md", "json", "csv"])
def test_a_report_on_such_a_file_into_such_a_file(named: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"nu{BYTES}.{suffix}"
    command = [sys.executable, "-m", "analyzer", "report", os.fsencode(named), "-o", os.fsencode(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert suffix in ("json", "csv") or "caf\ufffd.ndjson" in out.read_text()


def test_sides_are_named_as_files_are_displayed(cli: Cli, named: Path, log: Any) -> None:
    told = cli("compare", named, log([event(sessionId="s2")]), "--format", "json")
    assert told.table("sides")[0]["side"].endswith("caf\ufffd.ndjson")


def test_no_archive_has_such_a_name(cli: Cli, named: Path, tmp_path: Path) -> None:
    result = cli("load", named, "--into", tmp_path / f"{BYTES}.duckdb")
    assert (result.code, "/\ufffd.duckdb: the name is not valid UTF-8" in result.err) == (1, True)
    assert cli("load", named, "--into", tmp_path / "a.duckdb").code == 0
    shutil.copy(tmp_path / "a.duckdb", tmp_path / f"{BYTES}.duckdb")
    assert "not valid UTF-8" in cli("stats", tmp_path / f"{BYTES}.duckdb").err


@pytest.mark.parametrize(
    "arguments",
    [
        *(["stats", "{log}", f"--{name}", BYTES] for name in ("team", "ci", "session", "hash", "where", "since")),
        *(["stats", "{log}", "--by", "day", f"--{name}", BYTES] for name in ("by", "tz", "sort", "view", "from")),
        ["stats", "{log}", "--map", f"hash={BYTES}"],
        ["compare", "{log}", f"team={BYTES}", "team=web"],
        ["compare", "{log}", f"{BYTES}..2026-09-01", "team=web"],
        ["sessions", "{log}", BYTES],
        *(["replay", "{log}", f"--{name}", BYTES] for name in ("api", "slug", "team-id", "as-ci")),
    ],
)
def test_such_a_value_is_refused(cli: Cli, log: Any, arguments: list[str]) -> None:
    path = str(log([event()]))
    assert cli(*(argument.replace("{log}", path) for argument in arguments)).code == 2


def test_sql_that_is_no_text_does_not_run(cli: Cli, log: Any) -> None:
    result = cli("sql", log([event()]), f"SELECT '{BYTES}'")
    assert (result.code, result.err) == (1, "error: the SQL is not valid UTF-8; write it as UTF-8\n")


def test_a_team_of_the_environment(cli: Cli, log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURBO_TEAM", BYTES)
    result = cli("replay", log([event()]))
    assert (result.code, "--slug \ufffd: empty, or has characters" in result.err) == (2, True)
