"""The steps of questions on the parts of a log give what they give on the whole, however it is divided."""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from conftest import event, ndjson
from engines import PartsEngine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_logs import START, answers, random_events

import analyzer
from analyzer.archive.open_log import LoadObserver, OpenLog, open_log
from analyzer.archive.selection import Selection
from analyzer.archive.staging import ReadOptions
from analyzer.cli import run
from analyzer.cluster import divided
from analyzer.cluster.divided import open_divided
from analyzer.errors import UsageError
from analyzer.questions.compare import compare
from analyzer.questions.comparison_sides import ComparisonSide
from analyzer.questions.doctor.report import doctor
from analyzer.questions.misses import misses
from analyzer.questions.options import (
    CompareOptions,
    GroupOptions,
    MissesOptions,
    RetentionOptions,
    SessionsOptions,
    StatsOptions,
)
from analyzer.questions.report import Report
from analyzer.questions.retention import retention
from analyzer.questions.sessions import one_session, sessions
from analyzer.questions.stats import stats
from analyzer.readers.storage import open_storage


@contextmanager
def both_ways(lake: Path, parts: int) -> Iterator[tuple[OpenLog, OpenLog]]:
    """Open a lake for one machine, and in parts."""
    whole = open_log([str(lake)], ReadOptions(), LoadObserver(), "events")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(divided, "MIN_ROWS_PER_TASK", 1)
        with whole as one, open_divided(open_storage(str(lake)), PartsEngine(parts)) as many:
            yield one, many


def assert_same(one: Report, many: Report) -> None:
    """Counts, texts and times are equal, and numbers to 1e-9: they are added up in another order."""
    assert many.command == one.command
    for a, b in zip(one.tables, many.tables, strict=True):
        examined = {row[0] for row in b.rows}
        rows = [row for row in a.rows if a.name != "findings" or row[0] in examined]
        assert_equal(rows, list(b.rows), f"{one.command}: {a.name}")
    if one.command != "doctor":
        assert [note for note in many.notes if not note.startswith(("not examined", "left out"))] == list(one.notes)
    assert many.accounting == one.accounting


def assert_equal(a: Any, b: Any, where: str) -> None:
    if isinstance(a, float) and isinstance(b, float):
        assert math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9), where
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), f"{where}: {a} {b}"
        for one, other in zip(a, b, strict=True):
            assert_equal(one, other, where)
    else:
        assert a == b, where


def make_lake(directory: Path, events: list[dict[str, Any]]) -> Path:
    log, lake = directory / "log.ndjson", directory / "lake"
    log.write_text(ndjson(events))
    assert run(["export", str(log), "--to", str(lake), "--quiet", "-o", str(directory / "made.csv")]) == 0
    return lake


def compare_answers(directory: Path, seed: int, parts: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    lake = make_lake(directory, random_events(rng))
    state = rng.getstate()
    with both_ways(lake, parts) as (one, many):
        rng.setstate(state)
        options = {"chooses_events": bool(seed % 2), "has_page": False}
        expected = list(answers(one, rng, **options))
        rng.setstate(state)
        for report, other in zip(expected, answers(many, rng, **options), strict=True):
            assert_same(report, other)


@settings(max_examples=1, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.integers(1, 7))
def test_random_logs_in_parts(tmp_path_factory: pytest.TempPathFactory, seed: int, parts: int) -> None:
    compare_answers(tmp_path_factory.mktemp("random"), seed, parts)


@pytest.mark.slow
def test_many_random_logs_in_parts(tmp_path_factory: pytest.TempPathFactory) -> None:
    # The page is compared on the sample.
    compare_answers(tmp_path_factory.mktemp("random"), 3, 4)


def test_the_sample_in_parts(sample_lake: Path) -> None:
    rng = random.Random(1)  # noqa: S311
    state = rng.getstate()
    with both_ways(sample_lake, 2) as (one, many):
        expected = list(answers(one, rng))
        rng.setstate(state)
        for report, other in zip(expected, answers(many, rng), strict=True):
            assert_same(report, other)


def test_dimensions_whose_names_are_in_other_relations(sample_lake: Path) -> None:
    with both_ways(sample_lake, 2) as (one, many):
        for by in ("package", "branch", "source", "session", "hash"):
            options = StatsOptions((by,), limit=20)
            assert_same(stats(one, Selection(), options), stats(many, Selection(), options))


def test_medians_of_tasks_and_failures_of_runs_are_those_of_the_whole_log(sample_lake: Path) -> None:
    with both_ways(sample_lake, 5) as (one, many):
        for by in ("task", "hash"):
            options = MissesOptions(groups=GroupOptions((by,), limit=10))
            assert_same(*(misses(log, Selection(), options) for log in (one, many)))


def test_percentiles_by_hand(tmp_path: Path) -> None:
    # Sessions of 1 to 5 hits that took a second each: the median saved 3 s, and a quarter at most 2 s.
    events = [
        event(sessionId=f"s{n}", hash=f"h{n}{i}", source="REMOTE", event="HIT", duration=1000)
        for n in range(1, 6) for i in range(n)
    ]  # fmt: skip
    with both_ways(make_lake(tmp_path, events), 4) as (_, many):
        *_, percentiles = sessions(many, Selection(), SessionsOptions()).tables
        saved = {row["percentile"]: row["time_saved_ms"] for row in percentiles.records()}
        assert (saved["p25"], saved["p50"], saved["p95"]) == (2000, 3000, 4800)
        assert [row["lookups"] for row in percentiles.records()] == [1, 2, 3, 4, 5]


def test_an_empty_lake(tmp_path: Path) -> None:
    with both_ways(make_lake(tmp_path, []), 3) as (one, many):
        expected = list(answers(one, random.Random(3), has_page=False))  # noqa: S311
        for report, other in zip(expected, answers(many, random.Random(3), has_page=False), strict=True):  # noqa: S311
            assert_same(report, other)


def test_what_needs_everything_in_one_place_is_named(sample_lake: Path) -> None:
    with both_ways(sample_lake, 2) as (_, many):
        (note,) = [note for note in doctor(many, Selection()).notes if note.startswith("not examined")]
        assert "gaps" in note
        assert "leave out engine" in note
        with pytest.raises(UsageError, match="a single session is found on this machine"):
            one_session(many, Selection(), "a", SessionsOptions())


@pytest.mark.parametrize("condition", [
    "hash IN (SELECT hash FROM events GROUP BY hash HAVING count(*) > 2)", "EXISTS (FROM lookups)",
    "timestamp > (SELECT max(timestamp) FROM events)",
])  # fmt: skip
def test_a_subquery_needs_all_rows_in_one_place(condition: str, sample_lake: Path) -> None:
    with both_ways(sample_lake, 2) as (_, many), pytest.raises(UsageError, match="a subquery needs all rows"):
        stats(many, Selection(where=("duration > 1", condition)), StatsOptions())


def test_parts_without_a_lookup_that_asked_the_remote_cache(tmp_path: Path) -> None:
    events = [
        event(hash=f"h{number}", source="REMOTE" if number == 3 else "LOCAL", timestamp=START) for number in range(8)
    ]
    with both_ways(make_lake(tmp_path, events), 4) as (one, many):
        assert_same(*(retention(log, Selection(), RetentionOptions()) for log in (one, many)))


def test_retention_of_many_keys_over_a_long_time(tmp_path: Path) -> None:
    """Keys and times are packed in a part; the end of the log is that of the whole."""
    events = [
        event(sessionId=f"s{number}", hash=f"h{number}", slug=f"t{number}", source="REMOTE", event="MISS",
              timestamp=f"2026-01-01T00:00:00.{number:06}Z")
        for number in range(700)
    ]  # fmt: skip
    events.append(event(sessionId="last", source="REMOTE", timestamp="2026-11-27T00:00:00.000001Z"))
    with both_ways(make_lake(tmp_path, events), 1) as (one, many):
        assert_same(*(retention(log, Selection(), RetentionOptions()) for log in (one, many)))
    with both_ways(tmp_path / "lake", 3) as (one, many):
        assert_same(*(retention(log, Selection(), RetentionOptions()) for log in (one, many)))


def test_sides_of_which_one_chooses_events(sample_lake: Path) -> None:
    sides = ComparisonSide("A", {"status": "ok"}), ComparisonSide("B", {"ci": ("GITHUB_ACTIONS",)})
    with both_ways(sample_lake, 2) as (one, many):
        assert_same(*(compare([log], Selection(), sides, CompareOptions()) for log in (one, many)))


def test_python_needs_all_rows_in_one_place_for_sql(sample_lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analyzer.cluster.spark.open_spark", lambda *_: nullcontext(PartsEngine(2)))
    with analyzer.load(sample_lake, engine="local[2]") as log:
        assert log.stats()["lookups"].item() == 63_280
        for name, ask in {"sql": lambda: log.sql("FROM lookups"), "events": log.events, "lookups": log.lookups}.items():
            with pytest.raises(UsageError, match=f"^{name}: all rows in one place are needed"):
                ask()
        with pytest.raises(UsageError, match="reads a lake; leave one of them out"):
            analyzer.load(sample_lake, into="x", engine="local[2]")
