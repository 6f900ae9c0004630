"""Lakes: they answer as the archive of the same logs does, nothing is in them twice, and nobody sees half an export."""

import json
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import obstore
import polars as pl
import pytest
from buckets import make_bucket, s3_server
from conftest import SAMPLE, Cli, event, ndjson
from obstore.store import from_url
from random_logs import answers, random_events, random_selection, same_report

import analyzer
from analyzer.archive import lake
from analyzer.archive.open_log import ALL, LoadObserver, Needs, open_log
from analyzer.archive.staging import ReadOptions
from analyzer.cli import run
from analyzer.questions.options import SessionsOptions, StatsOptions
from analyzer.questions.sessions import sessions
from analyzer.questions.stats import stats
from analyzer.readers import storage
from analyzer.readers.storage import LocalStorage, open_storage

QUESTIONS = (
    ("stats",), ("stats", "--by", "team,week", "--tz", "Asia/Kolkata"), ("stats", "--by", "task", "--limit", "9"),
    ("stats", "--since", "2026-10-01T10:07", "--until", "2026-10-09", "--by", "day"), ("stats", "--by", "source"),
    ("stats", "--view", "runs", "--by", "task"), ("stats", "--where", "duration > 1000", "--by", "branch"),
    ("misses",), ("misses", "--team", "web", "--last", "30d", "--by", "hash", "--limit", "5"), ("retention",),
    ("sessions",), ("sessions", "--session", "3MUcDp3L9BGTmCNWEY8PlgzbsrK"), ("compare",),
    ("compare", "..2026-10-15", "2026-10-15.."), ("check", "--min-hit-rate", "0.5"), ("doctor",),
    *(("sql", f"FROM {name} ORDER BY ALL LIMIT 300") for name in
      ("sessions", "session_quarters", "runs", "tasks", "artifacts", "rejects")),
    ("sql", "SELECT * EXCLUDE (loaded_at) FROM files ORDER BY ALL"),
    ("sql", "SELECT * EXCLUDE (session_id, hash_id) FROM lookups ORDER BY ALL LIMIT 300"),
    ("sql", "SELECT * FROM events ORDER BY file, position LIMIT 300"),
)  # fmt: skip


@pytest.fixture(scope="module")
def sample_lake(tmp_path_factory: pytest.TempPathFactory, sample_archive: Path) -> Path:
    path = tmp_path_factory.mktemp("lake") / "lake"
    assert run(["export", str(sample_archive), "--to", str(path), "--quiet"]) == 0
    return path


@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_a_lake_answers_as_the_archive_does(
    question: tuple[str, ...], sample_lake: Path, sample_archive: Path, cli: Cli
) -> None:
    command, *options = question
    found, expected = (cli(command, source, *options, "--format", "json") for source in (sample_lake, sample_archive))
    assert (found.code, found.err) == (expected.code, expected.err.replace(str(sample_archive), str(sample_lake)))
    assert found.code in {0, 1}
    assert found.out.replace(str(sample_lake), "") == expected.out.replace(str(sample_archive), "")


def check_parts(seed: int, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Export the parts of a log one by one, from themselves or from an archive that grows; sessions are split."""
    rng = random.Random(seed)  # noqa: S311  (no secret)
    events = random_events(rng, durations=(0, 250, 123456, 7))
    archive, place = tmp_path / f"{seed}.duckdb", tmp_path / f"{seed}"
    monkeypatch.setattr(lake, "MAX_BUCKETS", 2)
    for part in range(3):
        log = tmp_path / f"{seed}-{part}.ndjson"
        log.write_text(ndjson(events[part::3]))
        assert cli("load", log, "--into", archive).code == 0
        monkeypatch.setattr(lake, "LOOKUPS_PER_BUCKET", rng.choice([1, 1000]))
        assert cli("export", rng.choice([log, archive]), "--to", place).code == 0
    draws = [random.Random(seed), random.Random(seed)]  # noqa: S311  (no secret)
    with opened(archive) as first, opened(place) as second:
        for one, other in zip(answers(first, draws[0]), answers(second, draws[1]), strict=True):
            assert same_report(one, other), (seed, one.command)
        for relation in ("lookups", "sessions", "session_quarters", "events"):
            query = f"SELECT * FROM {relation} ORDER BY ALL"
            hidden = ("session_id", "hash_id")  # numbers in one, names in the other
            frames = [log.connection.sql(query).pl().drop(hidden, strict=False) for log in (first, second)]
            assert frames[0].equals(frames[1]), (seed, relation)

        check_pruned(rng, archive, place)


def check_pruned(rng: random.Random, archive: Path, place: Path) -> None:
    """Questions about a selection leave out files of other days and teams, and nothing else."""
    for _ in range(3):
        selection, by = random_selection(rng), rng.choice([("day",), ("team", "ci"), ("session",)])
        with opened(archive) as log, opened(place, Needs(selection=selection)) as pruned:
            one, other = (stats(source, selection, StatsOptions(by, "Asia/Kolkata")) for source in (log, pruned))
            assert same_report(one, other), selection
            one, other = (sessions(source, selection, SessionsOptions()) for source in (log, pruned))
            assert same_report(one, other), selection


def opened(source: Path, needs: Needs = ALL) -> Any:
    return open_log([str(source)], ReadOptions(), LoadObserver(), needs=needs)


def test_parts_of_a_log_are_put_together(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(2):
        check_parts(seed, cli, tmp_path, monkeypatch)


@pytest.mark.slow
def test_many_parts_of_logs_are_put_together(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(100, 112):
        check_parts(seed, cli, tmp_path, monkeypatch)


def day(number: int, session: str = "") -> str:
    """Write the events of a day."""
    return ndjson(
        event(sessionId=session or f"s{number}", hash=f"h{n}", timestamp=f"2026-11-{number:02}T10:00:{n:02}Z",
              slug="web", duration=n)
        for n in range(20)
    )  # fmt: skip


def contents(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_a_day_adds_files_and_the_same_content_nothing(cli: Cli, tmp_path: Path, log: Any) -> None:
    place = tmp_path / "lake"
    assert cli("export", log(day(1), "1.ndjson"), "--to", place).code == 0
    first = contents(place)
    assert cli("export", log(day(2), "2.ndjson"), "--to", place).code == 0
    second = contents(place)
    assert first.items() < second.items()
    again = cli("export", log(day(1), "1.ndjson"), log(day(2), "other-name.ndjson"), "--to", place)
    assert (again.code, contents(place) == second) == (0, True)
    assert "has these logs already; nothing was added" in again.err
    assert cli("stats", place, "--format", "json").json["tables"][0]["rows"][0]["lookups"] == 40


def test_other_programs_read_it(sample_lake: Path, sample_archive: Path) -> None:
    with analyzer.load(sample_archive) as log:
        expected = log.sql("SELECT outcome, team, count(*) AS n FROM lookups GROUP BY ALL ORDER BY ALL")
        events = log.sql("SELECT count(*) FROM events WHERE event = 'HIT'").item()
    query = f"SELECT outcome, team, count(*) AS n FROM '{sample_lake}/lookups/*/*/*.parquet' GROUP BY ALL ORDER BY ALL"
    assert duckdb.sql(query).pl().equals(expected)
    lookups = pl.scan_parquet(f"{sample_lake}/lookups/**/*.parquet", hive_partitioning=True)
    counted = lookups.group_by("outcome", "team").agg(n=pl.len()).sort("outcome", "team", nulls_last=True).collect()
    assert counted.rows() == expected.rows()
    first_day = lookups.filter(pl.col("day") == "2026-08-17").select(pl.col("first_at").dt.date().unique()).collect()
    assert [str(one) for one in first_day["first_at"]] == ["2026-08-17"]
    assert pl.scan_parquet(f"{sample_lake}/events/**/*.parquet").filter(event="HIT").collect().height == events


def test_the_readme_names_the_columns(sample_lake: Path) -> None:
    table = re.findall(r"^\| `(\w+)/\*.*?` \| .* \| (.*) \|$", (SAMPLE.parent / "README.md").read_text(), re.MULTILINE)
    context = ["context", "team_id", "slug", "team", "ci", "interactive"]
    assert len(table) == 6
    for relation, text in table:
        named = [
            *re.findall(r"`(\w+)`", text.replace("columns of `contexts`", "")),
            *(context if "of `contexts`" in text else []),
        ]
        found = pl.read_parquet_schema(next((sample_lake / relation).rglob("*.parquet")))
        assert sorted(found) == sorted(named), relation


def test_two_exports_at_once(tmp_path: Path, log: Any, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    """Another export is committed while one writes: it fails, and leaves nothing."""
    place = tmp_path / "lake"
    assert cli("export", log(day(1), "1.ndjson"), "--to", place).code == 0
    create = LocalStorage.create

    def late(self: LocalStorage, name: str, content: bytes) -> bool:
        monkeypatch.setattr(LocalStorage, "create", create)
        assert cli("export", log(day(3), "3.ndjson"), "--to", place).code == 0
        late.before = contents(place)  # type: ignore[attr-defined]
        return create(self, name, content)

    monkeypatch.setattr(LocalStorage, "create", late)
    result = cli("export", log(day(2), "2.ndjson"), "--to", place)
    assert (result.code, result.err) == (
        1, f"error: {place}: another export was committed in the meantime; run this again\n",
    )  # fmt: skip
    assert set(contents(place)) <= set(late.before)  # type: ignore[attr-defined]
    assert cli("export", log(day(2), "2.ndjson"), "--to", place).code == 0
    assert cli("stats", place, "--format", "json").json["tables"][0]["rows"][0]["lookups"] == 60


def test_many_exports_at_once_lose_none(tmp_path: Path, log: Any) -> None:
    place = tmp_path / "lake"
    commands = [
        [sys.executable, "-m", "analyzer", "export", str(log(day(n), f"{n}.ndjson")), "--to", str(place), "--quiet"]
        for n in range(1, 5)
    ]
    waiting = commands
    while waiting:  # each round, at least one is committed
        running = [(command, subprocess.Popen(command, stderr=subprocess.DEVNULL)) for command in waiting]
        failed = [command for command, process in running if process.wait()]
        assert len(failed) < len(waiting)
        waiting = failed
    with analyzer.load(place) as found:
        assert found.stats()["lookups"].item() == 80
    listed = {file["path"] for file in json.loads(max((place / "_lake").iterdir()).read_text())["files"]}
    assert {name for name in contents(place) if name.endswith(".parquet")} == listed


def test_a_kill_leaves_the_lake_as_it_was(tmp_path: Path, log: Any, cli: Cli) -> None:
    place = tmp_path / "lake"
    assert cli("export", log(day(1), "1.ndjson"), "--to", place).code == 0
    before, files = cli("stats", place, "--format", "json").out, len(contents(place))
    for calls in range(1, 7):
        command = [sys.executable, "-c", KILLED.format(calls=calls), "export", str(SAMPLE), "--to", str(place)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
        assert cli("stats", place, "--format", "json").out == before
    assert len(contents(place)) > files + 300  # the last was killed when all its files were there
    # The next export removes what those left.
    assert cli("export", log(day(2), "2.ndjson"), "--to", place).code == 0
    listed = {file["path"] for file in json.loads((place / "_lake/00000002.json").read_text())["files"]}
    assert {name for name in contents(place) if name.endswith(".parquet")} == listed


# Kills itself at the call of that number: of files, and the last at the manifest.
KILLED = """
import os, signal, sys
from analyzer.readers.storage import LocalStorage
from analyzer.cli import run
from analyzer.questions.options import SessionsOptions, StatsOptions
from analyzer.questions.sessions import sessions
from analyzer.questions.stats import stats
calls, put, create = {calls}, LocalStorage.put, LocalStorage.create
def die(*arguments):
    global calls
    calls -= 1
    if calls == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return put(*arguments)
def last(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)
LocalStorage.put, LocalStorage.create = (put, last) if calls == 6 else (die, create)
run(sys.argv[1:])
"""


def test_what_is_no_lake(tmp_path: Path, cli: Cli, log: Any) -> None:
    place = tmp_path / "lake"
    assert cli("export", log(day(1)), "--to", place).code == 0
    (manifest,) = (place / "_lake").iterdir()
    manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 99'))
    result = cli("stats", place)
    assert result.err == f"error: {place}: a lake of another version; export the logs to another place\n"
    manifest.write_text("damaged")
    result = cli("stats", place)
    assert (result.code, "not the manifest of a lake" in result.err) == (1, True)
    result = cli("stats", place, log(day(2)))
    assert "a lake cannot be combined with other sources" in result.err


def test_sql_reads_the_lake_and_no_other_file(sample_lake: Path, cli: Cli) -> None:
    result = cli("sql", sample_lake, "SELECT * FROM read_csv('/etc/hostname')")
    assert (result.code, "file system operations are disabled" in result.err) == (1, True)


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with s3_server() as environment:
        make_bucket(environment, "bucket")
        yield environment


@pytest.fixture
def in_bucket(server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("in_bucket")
def test_a_lake_in_a_bucket(sample_archive: Path, cli: Cli) -> None:
    place = "s3://bucket/lake"
    assert cli("export", sample_archive, "--to", place).code == 0
    for question in (
        ("stats", "--by", "team"),
        ("misses",),
        ("sql", "SELECT outcome, count(*) FROM lookups GROUP BY 1"),
    ):
        command, *options = question
        found, expected = (cli(command, one, *options, "--format", "csv") for one in (place, sample_archive))
        assert (found.code, sorted(found.out.splitlines())) == (0, sorted(expected.out.splitlines()))
    again = cli("export", sample_archive, "--to", place)
    assert "has these logs already; nothing was added" in again.err

    def downloaded(*question: str) -> float:
        (size, unit) = re.search(r"note: downloaded from the lake: ([\d.]+) (kB|MB) of", cli(*question).err).groups()
        return float(size) * (1000 if unit == "kB" else 1_000_000)

    of_all = downloaded("stats", place, "--by", "day")
    assert downloaded("stats", place, "--by", "day", "--since", "2026-11-01") < of_all
    assert downloaded("misses", place) >= of_all


@pytest.mark.usefixtures("in_bucket")
def test_of_large_files_only_parts_are_downloaded(cli: Cli, log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place = "s3://bucket/large"
    for number in (1, 2, 3):
        assert cli("export", log(day(number), f"{number}.ndjson"), "--to", place).code == 0
    copied = cli("stats", place, "--by", "day", "--format", "csv")
    monkeypatch.setattr(storage, "MAX_COPIED_BYTES", 0)
    read = cli("stats", place, "--by", "day", "--format", "csv")
    assert (read.code, read.out) == (0, copied.out)
    sizes = [re.search(r"downloaded from the lake: ([\d.]+) kB of ([\d.]+) kB", one.err) for one in (copied, read)]
    assert sizes[0][1] == sizes[0][2] == sizes[1][2]
    # A session that continues replaces files that are read so, too.
    assert cli("export", log(day(4, "s2"), "4.ndjson"), "--to", place).code == 0
    found = cli("sql", place, "SELECT session, count(*) FROM lookups GROUP BY ALL ORDER BY ALL", "--format", "csv").out
    assert found.splitlines()[1:] == ["s1,20", "s2,20", "s3,20"]


@pytest.mark.usefixtures("in_bucket")
def test_only_one_of_two_exports_to_a_bucket_is_committed() -> None:
    storages = [open_storage("s3://bucket/race") for _ in range(8)]
    won: list[bool] = []
    threads = [
        threading.Thread(target=lambda one=one: won.append(one.create("_lake/1.json", b"x"))) for one in storages
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]
    assert storages[0].names("_lake/") == ["_lake/1.json"]


@pytest.mark.usefixtures("in_bucket")
def test_a_bucket_that_is_not_there(cli: Cli, log: Any) -> None:
    result = cli("export", log(day(1)), "--to", "s3://nowhere/lake")
    assert (result.code, result.err) == (3, "error: s3://nowhere/lake: no such bucket; check its name and AWS_REGION\n")
    result = cli("export", log(day(1)), "--to", "https://127.0.0.1/lake")
    assert "a web server cannot be listed; name a bucket or a directory" in result.err


@pytest.mark.usefixtures("in_bucket")
def test_an_upload_that_fails_leaves_nothing(cli: Cli, log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    put = obstore.put

    def fail(store: Any, name: str, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise obstore.exceptions.GenericError("503 Slow Down")
        return put(store, name, *arguments, **options)

    monkeypatch.setattr(obstore, "put", fail)
    result = cli("export", log(day(1)), "--to", "s3://bucket/failed")
    assert (result.code, "503 Slow Down" in result.err) == (3, True)
    store = from_url("s3://bucket", client_options={"allow_http": True})
    assert [meta for batch in obstore.list(store, prefix="failed") for meta in batch] == []
