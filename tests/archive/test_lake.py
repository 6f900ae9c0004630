"""Lakes: they answer as the archive of the same logs does, nothing is in them twice, and nobody sees half an export."""

import errno
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
from conftest import RECORDED, SAMPLE, Cli, event, ndjson
from obstore.store import from_url
from random_logs import answers, random_events, random_selection, same_report

import analyzer
from analyzer.archive import export as exporting
from analyzer.archive.open_log import ALL, LoadObserver, Needs, open_log
from analyzer.archive.staging import ReadOptions
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
    ("replay", "--team", "web", "--api", "https://cache.example.com", "--journal", "none.sqlite"),
    ("sql", "FROM lookups ORDER BY ALL LIMIT 300"),
    ("sql", "SELECT * FROM events ORDER BY file, position LIMIT 300"),
)  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_a_lake_answers_as_the_archive_does(
    question: tuple[str, ...], sample_lake: Path, sample_archive: Path, cli: Cli
) -> None:
    command, *options = question
    found, expected = (cli(command, source, *options, "--format", "json") for source in (sample_lake, sample_archive))
    assert (found.code, found.err) == (expected.code, expected.err.replace(str(sample_archive), str(sample_lake)))
    assert found.code in {0, 1}
    assert found.out.replace(str(sample_lake), "") == expected.out.replace(str(sample_archive), "")


def check_growth(seed: int, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Export an archive again and again while it grows; sessions are split over logs."""
    rng = random.Random(seed)  # noqa: S311  (no secret)
    events = random_events(rng)
    archive, place = tmp_path / f"{seed}.duckdb", tmp_path / f"{seed}"
    monkeypatch.setattr(exporting, "MAX_BUCKETS", 2)
    monkeypatch.setattr(exporting, "LOOKUPS_PER_BUCKET", rng.choice([1, 1000]))
    monkeypatch.setattr(exporting, "ROWS_AT_ONCE", rng.choice([1, 20, 1000]))
    for part in range(3):
        log = tmp_path / f"{seed}-{part}.ndjson"
        log.write_text(ndjson(events[part::3]))
        assert cli("load", log, "--into", archive).code == 0
        if part != 1:
            assert cli("export", archive, "--to", place).code == 0
    draws = [random.Random(seed), random.Random(seed)]  # noqa: S311  (no secret)
    with opened(archive) as first, opened(place) as second:
        for one, other in zip(answers(first, draws[0]), answers(second, draws[1]), strict=True):
            assert same_report(one, other), (seed, one.command)
        for relation in ("lookups", "sessions", "session_quarters", "events"):
            query = f"SELECT * FROM {relation} ORDER BY ALL"
            hidden = ("session_id", "hash_id")  # numbers in one, names in the other
            frames = [pl.DataFrame(log.connection.sql(query)).drop(hidden, strict=False) for log in (first, second)]
            frames = [frame.sort(frame.columns) for frame in frames]
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


def test_a_lake_follows_an_archive_that_grows(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(2):
        check_growth(seed, cli, tmp_path, monkeypatch)


@pytest.mark.slow
def test_lakes_follow_many_archives_that_grow(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(102, 105):
        check_growth(seed, cli, tmp_path, monkeypatch)


def test_what_logs_know_of_each_other_is_in_the_lake_too(cli: Cli, tmp_path: Path) -> None:
    """Runs match sessions, names and durations come from summaries, and events replace derived lookups: later, too."""
    archive, place = tmp_path / "a.duckdb", tmp_path / "lake"
    sources = ("runs", "requests.ndjson", "versions/2.9.18")
    for source in sources:
        assert cli("load", RECORDED / source, "--into", archive).code == 0
        assert cli("export", archive, "--to", place).code == 0
        for question in (("stats", "--by", "branch"), ("sessions",), ("compare",), ("sql", "FROM runs ORDER BY ALL")):
            found, expected = (cli(*question[:1], one, *question[1:], "--format", "json") for one in (place, archive))
            assert found.out == expected.out, (source, question)


def test_what_was_forgotten_goes_from_the_lake_too(cli: Cli, tmp_path: Path, log: Any) -> None:
    archive, place = tmp_path / "a.duckdb", tmp_path / "lake"
    assert cli("load", log(day(1) + day(3), "x.ndjson"), "--into", archive).code == 0
    assert cli("export", archive, "--to", place).code == 0
    assert cli("forget", archive, "--before", "2026-11-02", "--execute").code == 0
    assert cli("export", archive, "--to", place).code == 0
    found, expected = (cli("stats", one, "--by", "day", "--format", "json") for one in (place, archive))
    assert (found.code, found.out, found.err) == (0, expected.out, expected.err)
    assert not list(place.glob("*/day=2026-11-01"))


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
    place, days = tmp_path / "lake", [log(day(n), f"{n}.ndjson") for n in (1, 2)]
    assert cli("export", days[0], "--to", place).code == 0
    first = {name for name in contents(place) if "day=" in name}
    assert cli("export", *days, "--to", place).code == 0
    second = contents(place)
    assert first < set(second)  # the files of the first day are still the same
    assert cli("stats", place, "--format", "json").json["tables"][0]["rows"][0]["lookups"] == 40
    archive = tmp_path / "a.duckdb"
    assert cli("load", *days, "--into", archive).code == 0
    assert cli("export", archive, "--to", place).code == 0
    again = contents(place)
    assert {name for name in again if "day=" in name} == {name for name in second if "day=" in name}
    result = cli("export", archive, "--to", place)
    assert (result.code, contents(place) == again) == (0, True)
    assert "has all of this already; nothing was written" in result.err
    result = cli("export", log(day(3), "3.ndjson"), "--to", place)
    assert (result.code, contents(place) == again) == (1, True)
    assert "the lake has 2 logs that this source has not, such as" in result.err


@pytest.mark.parametrize("name", ["files/1-notes.txt", "events/0001-mine.ndjson", "lookups/_SUCCESS", "README.md"])
def test_files_of_others_are_never_touched(name: str, cli: Cli, tmp_path: Path, log: Any) -> None:
    place = tmp_path / "place"
    (place / name).parent.mkdir(parents=True)
    (place / name).write_text("mine")
    result = cli("export", log(day(1), "1.ndjson"), "--to", place)
    assert (result.code, result.err) == (
        1, f"error: {place}: not a lake, and not empty ({name}); name an empty place\n",
    )  # fmt: skip
    assert contents(place) == {name: b"mine"}
    (place / name).unlink()
    assert cli("export", log(day(1), "1.ndjson"), "--to", place).code == 0
    (place / name).parent.mkdir(parents=True, exist_ok=True)
    (place / name).write_text("mine")
    assert cli("export", log(day(1), "1.ndjson"), log(day(2), "2.ndjson"), "--to", place).code == 0
    assert contents(place)[name] == b"mine"


@pytest.mark.parametrize("place", ["", "-", "ftp://x/y", "s3:/bucket/x", "s3://bucket/a?b", "s3://bucket/[1]"])
def test_places_that_are_none(place: str, cli: Cli, log: Any) -> None:
    result = cli("export", log(day(1)), "--to", place)
    assert (result.code, result.err.count("\n"), place in result.err) == (2, 1, True)


def test_a_lake_that_cannot_be_read_is_no_empty_log(cli: Cli, tmp_path: Path, log: Any) -> None:
    (tmp_path / "empty/_lake").mkdir(parents=True)
    result = cli("stats", tmp_path / "empty")
    assert (result.code, "_lake has no manifest; export logs to it" in result.err) == (1, True)
    place = tmp_path / "lake"
    assert cli("export", log(day(1), "1.ndjson"), "--to", place).code == 0
    (place / "_lake/README.txt").write_text("no manifest")
    assert cli("stats", place).code == 0
    path = next(place.glob("session_quarters/*/*/*.parquet"))
    for content in (b"PAR1", b"", None):
        path.unlink() if content is None else path.write_bytes(content)
        result = cli("stats", place)
        assert (result.code, result.err.count("\n")) == (1, 1)
        assert f"{path}: this file is missing or damaged" in result.err


def test_a_lake_inside_of_a_source_is_no_log(cli: Cli, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "log.ndjson").write_text(day(1))
    for _ in range(2):
        assert cli("export", source, "--to", source / "lake").code == 0
        result = cli("stats", source, "--format", "json")
        assert (result.json["input"]["read"], result.err) == (20, "")


def test_a_file_system_without_hard_links(cli: Cli, tmp_path: Path, log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    for number in (1, 2):
        days = [log(day(n), f"{n}.ndjson") for n in range(1, number + 1)]
        assert cli("export", *days, "--to", tmp_path / "lake").code == 0
    assert cli("stats", tmp_path / "lake", "--format", "json").json["tables"][0]["rows"][0]["lookups"] == 40


def test_times_that_are_far_away(cli: Cli, tmp_path: Path, log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "ROWS_AT_ONCE", 1)
    path = log(ndjson([event(timestamp="0001-06-01T00:00:00Z", slug="web"), event(hash="h2", slug="web"),
                       event(timestamp="9999-12-30T23:59:59.999999Z", hash="h3", slug="web")]) + day(1))  # fmt: skip
    assert cli("export", path, "--to", tmp_path / "lake").code == 0
    for options in (
        ("--since", "0001-01-01"),
        ("--until", "0900-01-01"),
        ("--last", "9999999d"),
        ("--source", "LOCAL"),
    ):
        found, expected = (cli("stats", one, *options, "--format", "json") for one in (tmp_path / "lake", path))
        assert (found.code, found.out) == (0, expected.out), options


def test_other_programs_read_it(sample_lake: Path, sample_archive: Path) -> None:
    with analyzer.load(sample_archive) as log:
        expected = log.sql("SELECT outcome, team, count(*) AS n FROM lookups GROUP BY ALL ORDER BY ALL")
        events = log.sql("SELECT count(*) FROM events WHERE event = 'HIT'").item()
    query = f"SELECT outcome, team, count(*) AS n FROM '{sample_lake}/lookups/*/*/*.parquet' GROUP BY ALL ORDER BY ALL"
    assert pl.DataFrame(duckdb.sql(query)).equals(expected)
    lookups = pl.scan_parquet(f"{sample_lake}/lookups/**/*.parquet", hive_partitioning=True, try_parse_hive_dates=False)
    counted = lookups.group_by("outcome", "team").agg(n=pl.len()).sort("outcome", "team", nulls_last=True).collect()
    assert counted.rows() == expected.rows()
    first_day = lookups.filter(pl.col("day") == "2026-08-17").select(pl.col("first_at").dt.date().unique()).collect()
    assert [str(one) for one in first_day["first_at"]] == ["2026-08-17"]
    assert pl.scan_parquet(f"{sample_lake}/events/**/*.parquet").filter(event="HIT").collect().height == events


def test_the_reference_names_the_columns(sample_lake: Path) -> None:
    text = (SAMPLE.parent / "REFERENCE.md").read_text()
    table = re.findall(r"^\| `(\w+)/\*.*?` \| .* \| (.*) \|$", text, re.MULTILINE)
    files = {relation: next((sample_lake / relation).rglob("*.parquet"), None) for relation, _ in table}
    without_files = {relation for relation, file in files.items() if not file}
    assert without_files == {"artifacts", "rejects", "transfers", "unlisted_tasks"}
    for relation, columns in table:
        if file := files[relation]:
            assert sorted(pl.read_parquet_schema(file)) == sorted(re.findall(r"`(\w+)`", columns)), relation


def test_two_exports_at_once(tmp_path: Path, log: Any, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    """Another export is committed while one writes: it fails, and leaves nothing."""
    place, days = tmp_path / "lake", [log(day(n), f"{n}.ndjson") for n in (1, 2, 3)]
    assert cli("export", days[0], "--to", place).code == 0
    create = LocalStorage.create

    def late(self: LocalStorage, name: str, content: bytes) -> bool:
        monkeypatch.setattr(LocalStorage, "create", create)
        assert cli("export", days[0], days[2], "--to", place).code == 0
        late.before = contents(place)  # type: ignore[attr-defined]
        return create(self, name, content)

    monkeypatch.setattr(LocalStorage, "create", late)
    result = cli("export", *days[:2], "--to", place)
    assert (result.code, result.err) == (
        1, f"error: {place}: another export was committed in the meantime; run this again\n",
    )  # fmt: skip
    assert set(contents(place)) <= set(late.before)  # type: ignore[attr-defined]
    assert cli("export", *days, "--to", place).code == 0
    assert cli("stats", place, "--format", "json").json["tables"][0]["rows"][0]["lookups"] == 60


def test_many_exports_at_once(tmp_path: Path, log: Any) -> None:
    """Of exports of the same logs, each ends well or is told that another was faster; the lake is whole."""
    place, path = tmp_path / "lake", log(day(1) + day(2))
    command = [sys.executable, "-m", "analyzer", "export", str(path), "--to", str(place), "--quiet"]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) for _ in range(4)]
    ended = [(process.communicate()[1], process.returncode) for process in running]
    late = (b"another export was committed", b"an export may have replaced it: run this again")
    assert all(code == 0 or any(text in message for text in late) for message, code in ended), ended
    assert any(code == 0 for _, code in ended)
    with analyzer.load(place) as found:
        assert found.stats()["lookups"].item() == 40
    listed = {file["path"] for file in json.loads(max((place / "_lake").iterdir()).read_text())["files"]}
    assert {name for name in contents(place) if name.endswith(".parquet")} == listed


def test_a_kill_leaves_the_lake_as_it_was(tmp_path: Path, log: Any, cli: Cli) -> None:
    place = tmp_path / "lake"
    assert cli("export", log(day(1), "1.ndjson"), "--to", place).code == 0
    before, files = cli("stats", place, "--format", "json").out, len(contents(place))
    for calls in range(1, 7):
        sources = [str(SAMPLE / "acme" / "until-11-15.csv.zst"), str(tmp_path / "1.ndjson")]
        command = [sys.executable, "-c", KILLED.format(calls=calls), "export", *sources, "--to", str(place)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
        assert cli("stats", place, "--format", "json").out == before
    assert len(contents(place)) > files + 100  # the last was killed when all its files were there
    # The next export removes what those left.
    assert cli("export", tmp_path / "1.ndjson", log(day(2), "2.ndjson"), "--to", place).code == 0
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
    manifest.write_text(manifest.read_text().replace('"version": 3', '"version": 99'))
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
    assert "has all of this already; nothing was written" in again.err

    def downloaded(*question: str) -> float:
        (size, unit) = re.search(r"note: downloaded from the lake: ([\d.]+) (kB|MB) of", cli(*question).err).groups()
        return float(size) * (1000 if unit == "kB" else 1_000_000)

    of_all = downloaded("stats", place, "--by", "day")
    assert downloaded("stats", place, "--by", "day", "--since", "2026-11-01") < of_all
    assert downloaded("misses", place) >= of_all


@pytest.mark.usefixtures("in_bucket")
def test_of_large_files_only_parts_are_downloaded(cli: Cli, log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place = "s3://bucket/large"
    days = [log(day(number), f"{number}.ndjson") for number in (1, 2, 3)]
    assert cli("export", *days, "--to", place).code == 0
    copied = cli("stats", place, "--by", "day", "--format", "csv")
    monkeypatch.setattr(storage, "MAX_COPIED_BYTES", 0)
    read = cli("stats", place, "--by", "day", "--format", "csv")
    assert (read.code, read.out) == (0, copied.out)
    sizes = [re.search(r"downloaded from the lake: ([\d.]+) kB of ([\d.]+) kB", one.err) for one in (copied, read)]
    assert sizes[0][1] == sizes[0][2] == sizes[1][2]
    # A session that continues: its files are replaced.
    assert cli("export", *days, log(day(4, "s2"), "4.ndjson"), "--to", place).code == 0
    found = cli("sql", place, "SELECT session, sum(events) FROM lookups GROUP BY ALL ORDER BY ALL", "--format", "csv")
    assert found.out.splitlines()[1:] == ["s1,20", "s2,40", "s3,20"]


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
