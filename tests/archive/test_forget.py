"""Forgetting: what is older than a date goes, everything else stays as if it alone had been loaded."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import Cli, event, ndjson, report_of
from log_of_misses import run_of, task

ANALYZER = [sys.executable, "-m", "analyzer"]
BEFORE = "2026-06-01"


def at(day: int, minute: int = 0) -> str:
    return f"2026-{5 if day <= 31 else 6:02}-{day if day <= 31 else day - 31:02}T10:{minute:02}:00.000Z"


# Two files that lie on one side, and one on both. Session `cut` has an old and a new lookup; of `straddle`, the second
# event of an old lookup is new.
OLD = [event(sessionId=f"o{n}", hash=f"h{n}", timestamp=at(n % 30 + 1), slug="gone", duration=n) for n in range(60)]
NEW = [
    event(sessionId=f"n{n}", hash=f"h{n % 40}", timestamp=at(32 + n % 20), slug="web", duration=9) for n in range(80)
]
CUT = [
    event(sessionId="cut", hash="c1", timestamp=at(31), slug="web"),
    event(sessionId="cut", hash="c2", timestamp=at(32), slug="web", duration=70),
    event(sessionId="cut", hash="c3", timestamp=at(33), slug="web", duration=80),
    event(sessionId="straddle", hash="c4", event="MISS", timestamp=at(31), slug="web"),
    event(sessionId="straddle", hash="c4", source="REMOTE", timestamp=at(32), slug="web", duration=5),
    event(sessionId="untimed", hash="c5", slug="web"),
    event(sessionId="mixed", hash="c6", timestamp=at(31), slug="gone"),
    event(sessionId="mixed", hash="c7", timestamp=at(32), slug="web", ci="Z"),
    *(event(sessionId="mixed", hash=f"c{n}", timestamp=at(33), slug="api", ci="A") for n in (8, 9)),
]
KEPT_OF_CUT = [CUT[1], CUT[2], CUT[5], *CUT[7:]]
QUESTIONS = [
    ["stats", "--by", "day,team"], ["stats", "--by", "session"], ["misses"], ["retention"], ["sessions"],
    ["compare"], ["sql", "SELECT * EXCLUDE (file, position) FROM events ORDER BY ALL"],
    ["sql", "FROM lookups ORDER BY ALL"], ["sql", "FROM sessions ORDER BY ALL"],
    ["sql", "FROM session_quarters ORDER BY ALL"],
]  # fmt: skip


@pytest.fixture
def archive(cli: Cli, log: Any, tmp_path: Path) -> Path:
    path = tmp_path / "a.duckdb"
    old = log(ndjson(OLD) + "broken\n", "old.ndjson")
    assert cli("load", old, log(ndjson(NEW), "new.ndjson"), log(ndjson(CUT), "cut.ndjson"), "--into", path).code == 0
    return path


def answers(cli: Cli, source: Path) -> list[Any]:
    found = []
    for question, *options in QUESTIONS:
        result = cli(question, source, *options, "--format", "json")
        assert result.code in (0, 5), result.err
        found.append(result.json["tables"])
    return found


def test_what_stays_answers_as_if_it_alone_had_been_loaded(cli: Cli, log: Any, archive: Path, tmp_path: Path) -> None:
    shown = report_of(cli, "forget", archive, "--before", BEFORE)
    counts = {row["what"]: (row["forgotten"], row["kept"]) for row in shown.table("forgotten")}
    assert counts["events"] == (64, 86)
    assert counts["lookups"] == (63, 86)
    assert counts["sessions"] == (61, 83)
    assert counts["rejects"] == (1, 0)
    assert ("nothing is removed yet" in shown.err, "1 events without a time stay" in shown.err) == (True, True)
    assert report_of(cli, "stats", archive).table("totals")[0]["events"] == 150, "shown only"

    done = report_of(cli, "forget", archive, "--before", BEFORE, "--execute")
    assert done.table("forgotten") == shown.table("forgotten")
    other = tmp_path / "other.duckdb"
    assert cli("load", log(ndjson(NEW), "n2"), log(ndjson(KEPT_OF_CUT), "c2"), "--into", other).code == 0
    assert answers(cli, archive) == answers(cli, other)
    with duckdb.connect(str(archive), read_only=True) as connection:
        for table, names in (("session", ["cut", "mixed", "untimed"]), ("hash", ["c2", "c3", "c5", "c7", "c8", "c9"])):
            query = f"SELECT {table} FROM store.{table} WHERE {table}[1] IN ('c', 'u', 'o', 's', 'm') ORDER BY ALL"
            assert [name for (name,) in connection.execute(query).fetchall()] == names
        assert connection.execute(
            "SELECT DISTINCT team FROM store.context WHERE team > '' ORDER BY ALL"
        ).fetchall() == [("api",), ("web",)]
        assert connection.execute("SELECT count(*) FROM store.reject").fetchall() == [(0,)]
    assert not list(tmp_path.glob(".analyzer-*"))
    again = report_of(cli, "forget", archive, "--before", BEFORE, "--execute")
    assert "nothing is older than 2026-06-01 00:00:00 UTC" in again.err


def test_a_forgotten_file_is_known(cli: Cli, archive: Path, tmp_path: Path) -> None:
    assert cli("forget", archive, "--before", BEFORE, "--execute").code == 0
    files = [tmp_path / "old.ndjson", tmp_path / "cut.ndjson"]
    refused = cli("load", *files, "--into", archive)
    assert "old.ndjson: not loaded again: all of its events were forgotten; --reload-forgotten loads it" in refused.err
    assert "cut.ndjson: not loaded again: 4 of its events were forgotten; --reload-forgotten loads only" in refused.err
    assert report_of(cli, "stats", archive).table("totals")[0]["events"] == 86
    assert cli("load", *files, "--into", archive, "--reload-forgotten").code == 0
    result = report_of(cli, "stats", archive)
    assert result.table("totals")[0]["events"] == 86 + 60
    assert result.json["input"]["rejected"] == 1
    assert "already loaded" in cli("load", files[0], "--into", archive, "--reload-forgotten").err


def test_run_summaries_go_by_their_time_and_names_stay(cli: Cli, log: Any, tmp_path: Path) -> None:
    """A run of 2026-01-01 names the hash of a later event; another run is newer than the date."""
    archive = tmp_path / "a.duckdb"
    runs = [run_of(0, [task("h1", "web")]), run_of(1_300_000, [task("h2", "web")])]
    texts = [json.dumps(json.loads(run) | {"id": f"r{number}"}) for number, run in enumerate(runs)]
    paths = [log(text, f"{number}.json") for number, text in enumerate(texts)]
    assert cli("load", *paths, log(ndjson([event(hash="h1", timestamp=at(40))])), "--into", archive).code == 0
    (old, new) = report_of(cli, "sql", archive, "SELECT ended_at FROM runs ORDER BY ALL").table("result")
    assert cli("forget", archive, "--before", new["ended_at"], "--execute").code == 0
    assert report_of(cli, "sql", archive, "SELECT id FROM runs").table("result") == [{"id": "r1"}]
    assert old["ended_at"] < new["ended_at"]
    again = cli("load", paths[0], "--into", archive)
    assert "0.json: not loaded again: all of its runs were forgotten; --reload-forgotten loads it" in again.err
    assert cli("load", paths[0], "--into", archive, "--reload-forgotten").code == 0
    assert len(report_of(cli, "sql", archive, "FROM runs").table("result")) == 2
    assert cli("forget", archive, "--before", new["ended_at"], "--execute").code == 0
    third = json.dumps(json.loads(run_of(1_300_001, [task("h3", "web")])) | {"id": "r2"})
    assert cli("load", log(third, "2.json"), "--into", archive).code == 0
    named = report_of(cli, "sql", archive, "SELECT package FROM lookups").table("result")
    assert named == [{"package": "web"}], "also after names were read again"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_at_any_moment_it_is_whole(number: int, cli: Cli, archive: Path) -> None:
    whole = answers(cli, archive)
    original = archive.read_bytes()
    cli("forget", archive, "--before", BEFORE, "--execute")
    less = answers(cli, archive)
    command = [*ANALYZER, "forget", str(archive), "--before", BEFORE, "--execute"]
    seen = set()
    for step in range(8):
        archive.write_bytes(original)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.1 + step / 13)
        process.send_signal(number)
        process.wait()
        found = answers(cli, archive) if step % 3 == 1 else None
        if found is not None:
            assert found in (whole, less)
            seen.add(found == less)
    assert seen
    assert cli("forget", archive, "--before", BEFORE, "--execute").code == 0
    assert answers(cli, archive) == less


def test_it_fails_clearly(cli: Cli, log: Any, archive: Path) -> None:
    no_archive = cli("forget", log([event()]), "--before", BEFORE)
    assert (no_archive.code, "not an archive; name the file that `load` wrote" in no_archive.err) == (2, True)
    assert cli("forget", archive, "--before", "soon").code == 2
    missing = cli("forget", archive.with_name("none.duckdb"), "--before", BEFORE)
    assert (missing.code, "none.duckdb: no such file; name an archive that `load` wrote" in missing.err) == (2, True)
    with duckdb.connect(str(archive)):
        busy = cli("forget", archive, "--before", BEFORE)
        assert busy.code == 1
        assert "Traceback" not in busy.err
