"""Loads into a lake by an engine: the lake is that of an archive of the same logs, and nothing is in it twice."""

import random
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import RECORDED, SAMPLE, Cli, event, ndjson
from engines import PartsEngine
from random_logs import answers, random_events
from test_parts import assert_same

import analyzer
from analyzer.archive.lake import read_manifest
from analyzer.archive.open_log import LoadObserver, OpenLog, expand_for_load, open_log
from analyzer.archive.staging import ReadOptions
from analyzer.cli import run
from analyzer.cluster import load as cluster_load
from analyzer.cluster.load import load_into_lake
from analyzer.errors import AnalyzerError, ArchiveError, RejectedError, UsageError
from analyzer.questions.load import load_notes
from analyzer.readers.storage import LocalStorage, open_storage

# The relations of a lake, with the columns that do not depend on which files were loaded together.
RELATIONS = {
    "events/*/*": "* EXCLUDE (file_id)", "lookups/*/*": "*", "sessions/*/*": "* EXCLUDE (time_saved_ms)",
    "session_quarters/*/*": "*", "session_names": "*", "hash_names": "*", "contexts": "*",
    "rejects": "* EXCLUDE (file_id)",
}  # fmt: skip


@contextmanager
def loading(files: Sequence[Path], lake: Path, cores: int = 3, **options: Any) -> Iterator[OpenLog]:
    sources = expand_for_load([str(file) for file in files], lake.parent)
    with load_into_lake(sources, open_storage(str(lake)), ReadOptions(**options), PartsEngine(cores)) as log:
        yield log


def load(files: Sequence[Path], lake: Path, cores: int = 3) -> None:
    with loading(files, lake, cores) as log:
        assert log.load_result.errors == []


def rows_of(lake: Path) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    for relation, columns in RELATIONS.items():
        files = lake / relation / "*.parquet"
        if list(lake.glob(f"{relation}/*.parquet")):
            query = f"SELECT {columns} FROM read_parquet('{files}', hive_partitioning=false) ORDER BY ALL"
            found[relation] = duckdb.sql(query).fetchall()
    durations = f"SELECT hash, max(duration_ms) FROM '{lake}/hash_durations/*.parquet' GROUP BY hash ORDER BY ALL"
    found["durations"] = duckdb.sql(durations).fetchall() if (lake / "hash_durations").exists() else []
    return found


def files_of(lake: Path) -> set[str]:
    return {path.relative_to(lake).as_posix() for path in lake.rglob("*.parquet")}


def export(archive: Path, lake: Path) -> Path:
    assert run(["export", str(archive), "--to", str(lake), "--quiet", "-o", str(lake.parent / f"{lake.name}.csv")]) == 0
    return lake


def load_archive(files: Sequence[Path], archive: Path) -> Path:
    out = ["--quiet", "-o", f"{archive}-{len(list(archive.parent.iterdir()))}.csv"]
    assert run(["load", *map(str, files), "--into", str(archive), *out]) == 0
    return archive


def check_random_loads(directory: Path, seed: int) -> None:
    """Load random events in several loads of several files, so that sessions are in many of them."""
    rng = random.Random(seed)  # noqa: S311
    events = random_events(rng)
    rng.shuffle(events)
    files = []
    for number in range(rng.randint(1, 6)):
        files.append(directory / f"{number}.ndjson")
        some = rng.choices(events, k=rng.randint(0, 200)) if number else events[: len(events) // 2]
        files[-1].write_text(ndjson(some))
    lake, archive = directory / "lake", directory / "archive.duckdb"
    at = 0
    while at < len(files):
        group = files[at : at + rng.randint(1, 3)]
        at += len(group)
        load([*group, *files[: rng.randint(0, at)]], lake, rng.randint(1, 5))
        assert (
            run(["load", *map(str, group), "--into", str(archive), "--quiet", "-o", str(directory / f"{at}.csv")]) == 0
        )
    assert rows_of(lake) == rows_of(export(archive, directory / "exported"))
    assert files_of(lake) == {file.path for file in read_manifest(open_storage(str(lake))).files}
    with (
        open_log([str(archive)], ReadOptions(), LoadObserver()) as one,
        open_log([str(lake)], ReadOptions(), LoadObserver()) as other,
    ):
        state = rng.getstate()
        expected = list(answers(one, rng, has_page=False))
        rng.setstate(state)
        for report, found in zip(expected, answers(other, rng, has_page=False), strict=True):
            if report.command != "doctor":  # whose findings about files depend on how they were loaded
                assert_same(report, found)


@pytest.mark.parametrize("seed", range(2))
def test_random_loads(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_load, "EVENTS_PER_TASK", -1)  # each file has a task
    check_random_loads(tmp_path, seed)


@pytest.mark.slow
def test_many_random_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_load, "EVENTS_PER_TASK", -1)
    check_random_loads(tmp_path, 4)


def test_the_logs_of_the_sample(tmp_path: Path) -> None:
    logs = sorted((SAMPLE / "acme").glob("until-*"))
    load(logs[:3], tmp_path / "lake")
    load(logs, tmp_path / "lake")
    assert (
        run(["load", *map(str, logs), "--into", str(tmp_path / "a.duckdb"), "--quiet", "-o", f"{tmp_path}/a.csv"]) == 0
    )
    assert rows_of(tmp_path / "lake") == rows_of(export(tmp_path / "a.duckdb", tmp_path / "exported"))


def test_the_same_content_is_not_added_twice(log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_load, "EVENTS_PER_TASK", -1)
    one, copy, lake = log([event()]), log([event()], "copy.ndjson"), tmp_path / "lake"
    with loading([one, copy], lake) as first:
        assert [file.duplicate_of for file in first.load_result.files] == [None, str(one)]
    assert [len(rows) for rows in rows_of(lake).values()] == [1, 1, 1, 1, 1, 1, 1, 1]
    before = files_of(lake)
    with loading([copy], lake) as again:
        assert [file.duplicate_of for file in again.load_result.files] == [str(one)]
        assert again.load_result.files[0].read == 1
    assert files_of(lake) == before


def test_a_day_adds_files_and_leaves_those_of_other_days(log: Any, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    load([log([event(timestamp="2026-11-01T10:00:00Z")], "1.ndjson")], lake)
    before = {name for name in files_of(lake) if "day=" in name}
    load([log([event(sessionId="s2", timestamp="2026-11-02T10:00:00Z")], "2.ndjson")], lake)
    assert before < files_of(lake)
    load([log([event(sessionId="s2", hash="h2", timestamp="2026-11-03T10:00:00Z")], "3.ndjson")], lake)
    assert before < files_of(lake)
    (session,) = duckdb.sql(f"SELECT lookups FROM '{lake}/sessions/*/*/*.parquet' WHERE session = 's2'").fetchall()
    assert session == (2,)


def test_rejects_and_notes_are_those_of_an_archive(log: Any, tmp_path: Path) -> None:
    bad = log(ndjson([event(), event(source="X")]) + "{\n")
    with loading([bad], tmp_path / "lake") as loaded, open_log([str(bad)], ReadOptions(), LoadObserver()) as opened:
        assert load_notes(loaded) == load_notes(opened)
        assert loaded.loaded_counts() == opened.loaded_counts()
    with open_log([str(tmp_path / "lake")], ReadOptions(), LoadObserver()) as lake:
        assert lake.counts() == opened_counts(bad)


def opened_counts(path: Path) -> Any:
    with open_log([str(path)], ReadOptions(), LoadObserver()) as opened:
        return opened.counts()


def test_strict_loads_nothing(log: Any, tmp_path: Path) -> None:
    bad = log(ndjson([event(), event(source="X")]))
    with pytest.raises(RejectedError, match=r"log.ndjson:2"), loading([bad], tmp_path / "lake", strict=True):
        pass
    assert not list((tmp_path / "lake").rglob("*"))


def test_what_is_combined_with_all_events_is_not_loaded(tmp_path: Path, log: Any) -> None:
    lake = tmp_path / "lake"
    summary = next((RECORDED / "runs").rglob("*.json*"))
    line = '10.0.0.5 - - [20/Nov/2026:10:00:00 +0000] "GET /v8/artifacts/abc?slug=web HTTP/1.1" 200 123 "-" "turbo"'
    access = log(f"{line}\n", "access.log")
    with loading([log([event()]), summary, access], lake) as loaded:
        messages = [str(error) for error in loaded.load_result.errors]
    assert sorted(message.partition(": ")[2].partition(" ")[0] for message in messages) == ["access", "runs"]
    assert all("load them into an archive, and leave out engine" in message for message in messages)
    with loading([RECORDED / "runs"], tmp_path / "other") as loaded:
        (error,) = map(str, loaded.load_result.errors)
    assert " and 60 more files: runs files are combined with all events in one place" in error
    assert not (tmp_path / "other").exists()


def test_a_lake_with_run_summaries_is_refused(sample_archive: Path, tmp_path: Path, log: Any) -> None:
    lake = export(sample_archive, tmp_path / "lake")
    with pytest.raises(UsageError, match="the lake has runs, which are matched with all events"):
        load([log([event()])], lake)


def test_a_place_with_other_files_is_refused(tmp_path: Path, log: Any) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "note.txt").write_text("mine")
    with pytest.raises(ArchiveError, match="not a lake, and not empty"):
        load([log([event()])], tmp_path / "lake")
    assert [path.name for path in (tmp_path / "lake").iterdir()] == ["note.txt"]


def test_a_load_that_fails_leaves_nothing(tmp_path: Path, log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = tmp_path / "lake"
    load([log([event()])], lake)
    before, more = files_of(lake), log([event(sessionId="s2", timestamp="2026-11-02T10:00:00Z")], "2.ndjson")
    put, read, calls = LocalStorage.put, LocalStorage.read, list[str]()

    def failing(self: LocalStorage, name: str, source: Path) -> None:
        calls.append(name)
        if len(calls) > 5:
            raise analyzer.InputError("the disk is full")
        put(self, name, source)

    with monkeypatch.context() as patched:
        patched.setattr(LocalStorage, "put", failing)
        with pytest.raises(AnalyzerError, match="the disk is full"):
            load([more], lake)
    assert files_of(lake) == before
    with monkeypatch.context() as patched:
        patched.setattr(LocalStorage, "create", lambda *_: False)
        patched.setattr(LocalStorage, "read", lambda storage, name: read(storage, name.replace("2.json", "1.json")))
        with pytest.raises(ArchiveError, match="another export was committed"):
            load([more], lake)
    assert files_of(lake) == before
    load([more], lake)
    assert files_of(lake) > {name for name in before if "day=" in name}


def test_an_archive_of_the_same_logs_can_be_exported_to_it(tmp_path: Path, log: Any, cli: Cli) -> None:
    path, lake = log([event(timestamp="2026-11-01T10:00:00Z")]), tmp_path / "lake"
    load([path], lake)
    more = log([event(sessionId="s2", timestamp="2026-11-02T10:00:00Z")], "2.ndjson")
    assert cli("export", more, "--to", lake).code == 1  # it lacks the other log
    result = cli("export", path, more, "--to", lake, "--format", "json")
    assert result.code == 0
    # The partitions of the first day are as the engine wrote them.
    assert {row["relation"]: row["files"] for row in result.table("relations")}["lookups"] == 1


def test_the_command_line(tmp_path: Path, log: Any, cli: Cli) -> None:
    path, lake = log([event()]), tmp_path / "x"
    assert cli("load", path, "--into", tmp_path).err.startswith(f"error: --into {tmp_path}: a directory; name a file,")
    for arguments, message in (
        ((path, "--reload-forgotten", "--engine", "local"), "nothing is forgotten in a lake"),
        ((path, "--engine", "lokal"), "not an engine"),
        ((tmp_path / "none", "--engine", "local"), "no such file"),
    ):
        result = cli("load", *arguments, "--into", lake)
        assert (result.code in {2, 3}, message in result.err) == (True, True), result.err
    into_a_file = cli("load", path, "--into", path, "--engine", "local").err
    assert into_a_file == f"error: --into {path}: a file; with --engine, name a lake: a directory or s3://bucket/lake\n"


def test_a_load_that_is_interrupted_after_its_commit_stays(
    tmp_path: Path, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = LocalStorage.create

    def interrupted(*arguments: Any) -> bool:
        create(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalStorage, "create", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load([log([event()])], tmp_path / "lake")
    loaded = tmp_path / "lake"
    assert files_of(loaded) == {file.path for file in read_manifest(open_storage(str(loaded))).files} != set()
    lake, archive = tmp_path / "exported", load_archive([log([event()])], tmp_path / "archive.duckdb")
    assert run(["export", str(archive), "--to", str(lake), "--quiet"]) == 130
    assert files_of(lake) == {file.path for file in read_manifest(open_storage(str(lake))).files} != set()


@pytest.mark.parametrize("cores", [1, 2, 3, 5])
@pytest.mark.parametrize("times", [("2026-11-02T00:00:01Z", "2026-11-01T23:59:59Z"), (..., "2026-11-01T23:59:59Z")])
def test_a_partition_that_becomes_empty(times: Any, cores: int, log: Any, tmp_path: Path) -> None:
    """The events of a day move to the day before, or from no day to one."""
    logs = [log([event(timestamp=time)], f"{number}.ndjson") for number, time in enumerate(times)]
    for path in logs:
        load([path], tmp_path / "lake", cores)
    archive = load_archive(logs, tmp_path / "archive.duckdb")
    assert rows_of(tmp_path / "lake") == rows_of(export(archive, tmp_path / "exported"))


def test_a_lake_with_access_logs_is_refused(tmp_path: Path, log: Any) -> None:
    line = '10.0.0.5 - - [20/Nov/2026:10:00:00 +0000] "GET /v8/artifacts/abc?slug=web HTTP/1.1" 404 0 "-" "turbo"'
    archive = load_archive([log(f"{line}\n", "access.log")], tmp_path / "archive.duckdb")
    lake = export(archive, tmp_path / "lake")
    with pytest.raises(UsageError, match="the lake has access logs, which are matched"):
        load([log([event()])], lake)


def test_a_log_that_changes_while_it_is_loaded(tmp_path: Path, log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a worker is lost, its logs are read again, and must be the same."""
    path = log([event()])
    keep = PartsEngine.keep

    @contextmanager
    def reading_again(self: PartsEngine, stages: Any) -> Iterator[Any]:
        with keep(self, stages) as kept:
            path.write_text(ndjson([event(), event(hash="h2")]))
            kept.rows = [row for row in self.run(stages) if not row.name.startswith("=")]
            yield kept

    monkeypatch.setattr(PartsEngine, "keep", reading_again)
    with pytest.raises(AnalyzerError, match="a log changed while it was loaded"):
        load([path], tmp_path / "lake")
    assert files_of(tmp_path / "lake") == set()


def test_what_only_this_machine_can_read(tmp_path: Path, log: Any) -> None:
    with zipfile.ZipFile(tmp_path / "logs.zip", "w") as packed:
        packed.writestr("inner.ndjson", ndjson([event(hash="h2")]))
    sources = expand_for_load([str(log([event()])), str(tmp_path / "logs.zip")], tmp_path)
    engine = PartsEngine(2, is_local=False)
    with load_into_lake(sources, open_storage(str(tmp_path / "lake")), ReadOptions(), engine) as loaded:
        assert [file.read for file in loaded.load_result.files] == [1]
        (error,) = map(str, loaded.load_result.errors)
    assert error.startswith(
        f"{tmp_path}/logs.zip/inner.ndjson: in a container or a pipe, which only this machine reads"
    )


def test_answers_of_a_storage_that_are_lost(tmp_path: Path, log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest is stored although the request fails, or its client finds what it has stored itself."""
    create = LocalStorage.create

    def lost(*arguments: Any) -> bool:
        create(*arguments)
        raise analyzer.InputError("no answer")

    def repeated(*arguments: Any) -> bool:
        create(*arguments)
        return create(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(LocalStorage, "create", lost)
        with pytest.raises(AnalyzerError, match="no answer"):
            load([log([event()])], tmp_path / "lake")
    assert [len(rows) for rows in rows_of(tmp_path / "lake").values()] == [1, 1, 1, 1, 1, 1, 1, 1]
    with monkeypatch.context() as patched:
        patched.setattr(LocalStorage, "create", repeated)
        load([log([event(sessionId="s2")], "2.ndjson")], tmp_path / "lake")
    assert len(rows_of(tmp_path / "lake")["session_names"]) == 2
