"""Tests of `sessions` against what turbo printed, and against a brute-force oracle on generated logs."""

import gzip
import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import brute
import brute_misses
import pytest
from conftest import RECORDED, Cli, ndjson, report_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_recordings import flat

PERCENTILES = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


@pytest.fixture
def recorded(cli: Cli, tmp_path: Path) -> Path:
    archive = tmp_path / "recorded.duckdb"
    summaries = sorted((RECORDED / "runs").iterdir())
    assert cli("load", RECORDED / "requests.ndjson", *summaries, "--into", archive).code == 0
    return archive


def test_recorded_runs_are_what_turbo_printed(
    cli: Cli, recorded: Path, oracle: list[dict[str, Any]], requests: list[dict[str, Any]]
) -> None:
    """Check outcomes, durations, names and classes of every lookup of every sixth run, found by the run's id."""
    summaries = {
        path.name.removesuffix(".gz"): json.loads(gzip.decompress(path.read_bytes()))
        for path in (RECORDED / "runs").iterdir()
    }
    tasks = [task for summary in summaries.values() for task in summary["tasks"]]
    expected = {
        (miss.lookup.session, miss.lookup.hash): (miss.kind, miss.imputed_ms)
        for miss in brute_misses.classified(flat(requests), 7, tasks)
    }
    runs = [run for run in oracle if run["summary_file"] and len(run["sessions"]) == 1]
    assert len(runs) > 50
    for run in runs[::6]:
        summary = summaries[run["summary_file"]]
        names = {task["hash"]: brute_misses.name_of(task) for task in summary["tasks"]}
        result = report_of(cli, "sessions", recorded, summary["id"])
        (row,) = result.table("session")
        lookups = result.table("lookups")
        assert (row["session"], row["run"]) == (run["sessions"][0], summary["id"])
        assert (row["hits"], row["lookups"]) == (run["hits_all_sent"], run["lookups_all_sent"]), run["desc"]
        assert (row["hits"], row["time_saved_ms"]) == (
            sum(row["outcome"] != "miss" for row in lookups),
            sum(row["duration_ms"] or 0 for row in lookups if row["outcome"] != "miss"),
        )
        assert row["time_saved_ms"] == run["saved_ms_all_sent"], run["desc"]
        assert [row["name"] for row in lookups] == [names.get(row["hash"]) for row in lookups]
        misses = {row["hash"]: (row["class"], row["duration_ms"]) for row in lookups if row["outcome"] == "miss"}
        assert misses == {name: found for (session, name), found in expected.items() if session == row["session"]}
        known = [row["duration_ms"] for row in lookups if row["duration_ms"] is not None]
        assert row["warm_cache_saves_ms"] == pytest.approx(sum(known))
        assert row["warm_cache_coverage"] == len(known) / len(lookups)
        assert row["time_saved_ms"] + row["time_lost_ms"] == pytest.approx(row["warm_cache_saves_ms"])


def test_find_recorded_sessions_by_prefix(cli: Cli, recorded: Path, oracle: list[dict[str, Any]]) -> None:
    """Run ids (KSUIDs) of one day share a prefix, their time; session ids are random."""
    run = next(run for run in oracle if run["run"] == "run010")
    whole = run["summary_file"].removesuffix(".json").removeprefix("run010-")
    session = run["sessions"][0]
    for text in (whole, whole[:12], session, session[:13]):
        assert report_of(cli, "sessions", recorded, text).table("session")[0]["session"] == session
    several = cli("sessions", recorded, "3MU")
    assert (several.code, several.out) == (2, "")
    assert "write more" in several.err


def test_run_summaries_alone(cli: Cli, oracle: list[dict[str, Any]]) -> None:
    run = next(run for run in oracle if run["run"] == "run010")
    path = RECORDED / "runs" / (run["summary_file"] + ".gz")
    result = report_of(cli, "sessions", path, run["summary_file"].removeprefix("run010-")[:10])
    (row,) = result.table("session")
    assert (row["hits"], row["lookups"]) == (run["printed"]["cached"], run["printed"]["total"])
    assert row["time_saved_ms"] == run["summary"]["timeSaved_ms"]
    assert result.json["view"] == "runs"
    assert all(row["name"] for row in result.table("lookups"))


def discrete(values: list[float], at: float) -> float:
    """Return the smallest value with at least the share `at` of the values at or below it."""
    return next(value for value in sorted(values) if sum(one <= value for one in values) >= at * len(values) - 1e-9)


def continuous(values: list[float], at: float) -> float:
    """Return the quantile, interpolated between the two nearest values."""
    place = at * (len(values) - 1)
    below, ordered = math.floor(place), sorted(values)
    above = min(below + 1, len(values) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def brute_sessions(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    known = brute_misses.durations(events)
    found = defaultdict(list)
    for lookup in brute.lookups(events):
        found[lookup[0]["sessionId"]].append(lookup)
    totals_by_session = {}
    for name, lookups in found.items():
        totals = brute.totals_of(lookups)
        missed = [
            x[0]["hash"] for x in lookups if not brute.has(x, "LOCAL", "HIT") and not brute.has(x, "REMOTE", "HIT")
        ]
        totals_by_session[name] = {
            "lookups": totals["lookups"],
            "hit_rate": totals["hit_rate"],
            "time_saved_ms": None if totals["duration_coverage"] == 0 else totals["time_saved_ms"],
            "time_lost_ms": sum(known.get(one, 0) for one in missed)
            if not missed or set(missed) & set(known)
            else None,
            "all_known": totals["duration_coverage"] in (None, 1) and all(one in known for one in missed),
        }
    return totals_by_session


EVENTS = st.fixed_dictionaries(
    {
        "sessionId": st.sampled_from(["s1", "s2", "s3", "s4", "s5", "s6"]),
        "source": st.sampled_from(["LOCAL", "REMOTE"]),
        "event": st.sampled_from(["HIT", "HIT", "MISS"]),
        "hash": st.sampled_from([f"h{n}" for n in range(8)]),
        "duration": st.sampled_from([0, 0.25, 1, 7, 100, 3600_000]),
    },
    optional={"timestamp": st.integers(0, 50).map(lambda n: f"2026-03-0{1 + n % 9}T00:00:{n:02d}Z")},
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENTS, min_size=1, max_size=60), limit=st.integers(1, 7))
def test_against_brute_force(cli: Cli, tmp_path: Path, events: list[dict[str, Any]], limit: int) -> None:
    path = tmp_path / "log.ndjson"
    path.write_text(ndjson(events))
    result = report_of(cli, "sessions", path, "--limit", limit)
    by_day = report_of(cli, "sessions", path, "--by", "day").table("by_day")
    expected = brute_sessions(events)
    columns = ("lookups", "hit_rate", "time_saved_ms", "time_lost_ms")
    pooled = brute.totals(events)["hit_rate"]
    deviations = {
        name: (one["hit_rate"] - pooled) / math.sqrt(pooled * (1 - pooled) / one["lookups"])
        for name, one in expected.items()
        if 0 < pooled < 1 and one["hit_rate"] < pooled - 1e-12
    }
    rows = result.table("low_hit_rate")
    assert [row["deviation"] for row in rows] == pytest.approx(sorted(deviations.values())[:limit])
    assert all(row["deviation"] == pytest.approx(deviations[row["session"]]) for row in rows)
    losses = {name: one["time_lost_ms"] for name, one in expected.items() if one["time_lost_ms"]}
    assert [(row["session"], row["time_lost_ms"]) for row in result.table("time_lost")] == sorted(
        losses.items(), key=lambda one: (-one[1], one[0])
    )[:limit] or len(set(losses.values())) < len(losses)
    for row in [*rows, *result.table("time_lost")]:
        assert [row[name] for name in columns] == [expected[row["session"]][name] for name in columns]
    assert_percentiles(result.table("percentiles"), list(expected.values()))
    days = {
        name: min((one["timestamp"][:10] for one in events if one["sessionId"] == name and "timestamp" in one),
                  default="unknown")
        for name in expected
    }  # fmt: skip
    assert list(dict.fromkeys(row["day"] for row in by_day)) == sorted(set(days.values()))
    for day in set(days.values()):
        rows = [row for row in by_day if row["day"] == day]
        assert_percentiles(rows, [one for name, one in expected.items() if days[name] == day])


def assert_percentiles(rows: list[dict[str, Any]], sessions: list[dict[str, Any]]) -> None:
    spread = {row["percentile"]: row for row in rows}
    timed = ("time_saved_ms", "time_lost_ms") if all(one["all_known"] for one in sessions) else ()
    for name, at in PERCENTILES.items():
        assert spread[name]["sessions"] == len(sessions)
        assert spread[name]["lookups"] == discrete([one["lookups"] for one in sessions], at)
        for column in ("hit_rate", *timed):
            assert spread[name][column] == pytest.approx(continuous([one[column] for one in sessions], at)), column


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENTS, min_size=1, max_size=40))
def test_one_session_against_brute_force(cli: Cli, tmp_path: Path, events: list[dict[str, Any]]) -> None:
    path = tmp_path / "log.ndjson"
    path.write_text(ndjson(events))
    name = events[-1]["sessionId"]
    result = report_of(cli, "sessions", path, name)
    (row,) = result.table("session")
    expected = brute_sessions(events)[name]
    assert {column: row[column] for column in expected if column in row} == {
        column: value for column, value in expected.items() if column in row
    }
    classes = {
        miss.lookup.hash: (miss.kind, miss.imputed_ms)
        for miss in brute_misses.classified(events, 7)
        if miss.lookup.session == name
    }
    lookups = {x[0]["hash"]: x for x in brute.lookups(events) if x[0]["sessionId"] == name}
    assert {row["hash"] for row in result.table("lookups")} == set(lookups)
    for row in result.table("lookups"):
        lookup = lookups[row["hash"]]
        if row["hash"] in classes:
            assert (row["outcome"], row["class"], row["duration_ms"]) == ("miss", *classes[row["hash"]])
        else:
            outcome = "local_hit" if brute.has(lookup, "LOCAL", "HIT") else "remote_hit"
            assert (row["outcome"], row["class"], row["duration_ms"]) == (outcome, None, brute.saved_ms(lookup))
    times = [row["first_at"] or "9" for row in result.table("lookups")]
    assert times == sorted(times)
