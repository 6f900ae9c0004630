"""The archive: each file once, wholly or not at all, whatever happens."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import RECORDED, Cli, event, ndjson

ANALYZER = [sys.executable, "-m", "analyzer"]


def relations(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What an archive holds, in an order of its own; not when and in what order it was loaded."""
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return {
            "events": connection.execute("SELECT * EXCLUDE (file, position) FROM events ORDER BY ALL").fetchall(),
            "lookups": connection.execute("FROM lookups ORDER BY ALL").fetchall(),
            "sessions": connection.execute("FROM sessions ORDER BY ALL").fetchall(),
            "session_quarters": connection.execute("FROM session_quarters ORDER BY ALL").fetchall(),
        }


def test_any_duckdb_client_opens_it(cli: Cli, tmp_path: Path) -> None:
    assert cli("load", RECORDED / "requests.ndjson", "--into", tmp_path / "a.duckdb").code == 0
    with duckdb.connect(str(tmp_path / "a.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (4115,)
        outcomes = connection.execute("SELECT outcome, count(*) FROM lookups GROUP BY 1 ORDER BY 1").fetchall()
        assert outcomes == [("local_hit", 894), ("miss", 403), ("remote_hit", 1264)]
        assert connection.execute("SELECT sum(hits), sum(time_saved_ms) FROM sessions").fetchone() == (2158, 2254126)
        assert connection.execute("SELECT read, kept, rejected FROM files").fetchall() == [(4115, 4115, 0)]
        assert connection.execute("SELECT count(*) FROM rejects").fetchone() == (0,)


def test_the_same_content_is_loaded_once(cli: Cli, tmp_path: Path) -> None:
    data = (RECORDED / "requests.ndjson").read_bytes()
    (tmp_path / "renamed").write_bytes(data)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(data))
    archive = tmp_path / "a.duckdb"
    cli("load", RECORDED / "requests.ndjson", "--into", archive)
    before = relations(archive)
    again = cli("load", tmp_path / "renamed", tmp_path / "packed.gz", "--into", archive, "--format", "json")
    assert again.json["input"] == {
        "read": 8230, "kept": 0, "rejected": 0, "filtered": 0, "duplicate": 8230, "files": 2,
    }  # fmt: skip
    assert again.err.count("the same content as") == 2
    assert relations(archive) == before


def test_copies_in_one_command_count_once(cli: Cli, log: Any, tmp_path: Path) -> None:
    first = log([event()])
    (tmp_path / "copy").write_bytes(first.read_bytes())
    result = cli("stats", first, tmp_path / "copy", first, "--format", "json")
    assert result.json["input"] == {
        "read": 3, "kept": 1, "rejected": 0, "filtered": 0, "duplicate": 2, "files": 3,
    }  # fmt: skip


def test_identical_events_are_real(cli: Cli, log: Any) -> None:
    totals = cli("stats", log([event(), event()]), "--format", "json").table("totals")[0]
    assert (totals["events"], totals["lookups"]) == (2, 1)


def test_the_context_of_a_lookup_is_that_of_its_first_event(cli: Cli, log: Any, tmp_path: Path) -> None:
    late = log([event(slug="late", timestamp="2026-03-02T10:00:00Z", source="REMOTE")], "late")
    early = log([event(slug="early", timestamp="2026-03-02T09:00:00Z", event="MISS")], "early")
    for number, files in enumerate(([late, early], [early, late])):
        archive = tmp_path / f"{number}.duckdb"
        for file in files:
            cli("load", file, "--into", archive)
        rows = cli("stats", archive, "--by", "team", "--format", "json").table("by_team")
        assert [(row["team"], row["lookups"], row["remote_hits"]) for row in rows] == [("early", 1, 1)]


@pytest.mark.slow
def test_killed_at_any_moment_and_run_again(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for number in range(12):
        rows = [event(sessionId=f"s{n % 50}", hash=f"{number}-{n}", timestamp=n) for n in range(20_000)]
        (logs / f"{number}.ndjson").write_text(ndjson(rows))
    whole, killed = tmp_path / "whole.duckdb", tmp_path / "killed.duckdb"
    command = [*ANALYZER, "load", str(logs), "--format", "json", "--into"]
    began = time.monotonic()
    subprocess.run([*command, str(whole)], check=True, capture_output=True)
    seconds = time.monotonic() - began
    for part in range(1, 8):
        process = subprocess.Popen([*command, str(killed)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds * part / 8)
        process.kill()
        process.wait()
        if killed.exists() and killed.stat().st_size:
            with duckdb.connect(str(killed), read_only=True) as connection:
                tables = connection.execute("SELECT count(*) FROM duckdb_views() WHERE view_name = 'files'").fetchone()
                if tables == (1,):
                    query = (
                        "SELECT count(*) FROM store.event e FULL JOIN store.file f ON f.id = e.file_id GROUP BY f.id"
                    )
                    assert {count for (count,) in connection.execute(query).fetchall()} <= {20_000}
                    # What is kept ready belongs to the same transaction.
                    ready = "SELECT coalesce(sum(events), 0), coalesce(sum(lookups), 0) FROM store.session_quarter"
                    counts = "SELECT (SELECT count(*) FROM store.event), (SELECT count(*) FROM store.lookup)"
                    assert connection.execute(ready).fetchall() == connection.execute(counts).fetchall()
    subprocess.run([*command, str(killed)], check=True, capture_output=True)
    assert relations(killed) == relations(whole)


def test_a_second_process_fails_clearly(cli: Cli, log: Any, tmp_path: Path) -> None:
    archive = tmp_path / "a.duckdb"
    path = log([event()])
    cli("load", path, "--into", archive)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import duckdb,time; c=duckdb.connect({str(archive)!r}); print(1,flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout
    holder.stdout.readline()
    try:
        for command in (["load", path, "--into", archive], ["stats", archive]):
            result = cli(*command)
            assert result.code == 1
            assert "another process is using the archive" in result.err
            assert "Traceback" not in result.err
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert cli("stats", archive).code == 0


def test_interrupted_by_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "big.ndjson"
    path.write_text(ndjson([event(hash=f"{n:016x}") for n in range(300_000)]))
    archive = tmp_path / "a.duckdb"
    process = subprocess.Popen(
        [*ANALYZER, "load", str(path), "--into", str(archive)], stderr=subprocess.PIPE, text=True
    )
    while not archive.exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.strip()) == (130, "error: interrupted")
    subprocess.run([*ANALYZER, "load", str(path), "--into", str(archive)], check=True, capture_output=True)
    assert len(relations(archive)["events"]) == 300_000


@pytest.mark.parametrize("content", [b"no database", b"\0" * 5000], ids=["text", "zeros"])
def test_a_foreign_file_is_refused(cli: Cli, log: Any, tmp_path: Path, content: bytes) -> None:
    (archive := tmp_path / "a.duckdb").write_bytes(content)
    result = cli("load", log([event()]), "--into", archive)
    assert result.code == 1
    assert "not an archive" in result.err
    assert archive.read_bytes() == content


def test_a_foreign_database_is_refused(cli: Cli, log: Any, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "a.duckdb")) as connection:
        connection.execute("CREATE TABLE theirs (i INTEGER)")
    for command in (["load", log([event()]), "--into", tmp_path / "a.duckdb"], ["stats", tmp_path / "a.duckdb"]):
        result = cli(*command)
        assert (result.code, "not an archive of this version" in result.err) == (1, True)


def test_rejects_and_damage_are_stored(cli: Cli, log: Any, tmp_path: Path) -> None:
    archive = tmp_path / "a.duckdb"
    cli("load", log(json.dumps(event()) + "\nbad\n" + json.dumps(event(duration=-1)) + "\n"), "--into", archive)
    with duckdb.connect(str(archive), read_only=True) as connection:
        rows = connection.execute("SELECT line, reason FROM rejects ORDER BY line").fetchall()
    assert rows == [(2, "not JSON"), (3, "duration is negative")]
    totals = cli("stats", archive, "--format", "json").json
    assert totals["input"] == {"read": 3, "kept": 1, "rejected": 2, "filtered": 0, "duplicate": 0, "files": 1}


@pytest.mark.parametrize("name", ["x.csv", "x.json", "x.parquet", "x.duckdb", "empty.duckdb"])
def test_a_file_that_stands_there_is_no_archive(cli: Cli, log: Any, tmp_path: Path, name: str) -> None:
    (archive := tmp_path / name).write_text("" if name.startswith("empty") else "a,b\n1,2\n")
    before = archive.read_bytes()
    result = cli("load", log([event()]), "--into", archive)
    assert (result.code, archive.read_bytes()) == (1, before)
    assert "not an archive" in result.err


def test_a_load_tells_of_its_own_rejects(cli: Cli, log: Any, tmp_path: Path) -> None:
    archive = tmp_path / "a.duckdb"
    assert "rejected" in cli("load", log("broken\n" + json.dumps(event()) + "\n"), "--into", archive).err
    assert cli("load", log([event(hash="h2")], "other"), "--into", archive).err == ""


def test_ties_are_settled_by_content(cli: Cli, log: Any, tmp_path: Path) -> None:
    """Two contexts at the same time, or at none: the same answer whatever the order."""
    for at in (..., "2026-03-02T10:00:00Z"):
        pair = [event(slug="b", event="MISS", timestamp=at), event(slug="a", source="REMOTE", timestamp=at)]
        for number, order in enumerate((pair, pair[::-1])):
            archive = tmp_path / f"{number}{at is ...}.duckdb"
            for one in order:
                cli("load", log([one], one["slug"] + str(at)[:4]), "--into", archive)
            for options in ([], ["--where", "true"]):
                rows = cli("stats", archive, "--by", "team", "--format", "json", *options).table("by_team")
                assert [(row["team"], row["lookups"], row["remote_hits"]) for row in rows] == [("a", 1, 1)]
            assert [row[4] for row in relations(archive)["sessions"]] == ["a"]
