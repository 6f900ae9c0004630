"""What real clients do behind the shipped nginx.conf is what the commands tell about its log."""

import json
from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from conftest import Cli, Result
from npm import TOKEN

from end_to_end.scenarios import Scenario
from end_to_end.turbo import Run

SCENARIOS = ("everyday", "concurrent", "read_only", "cache_down", "refused_once", "refused_at_the_end")
IN_TURN = tuple(name for name in SCENARIOS if name != "concurrent")

Counts = dict[str, int]


@pytest.fixture
def played(request: pytest.FixtureRequest) -> Scenario:
    """The scenario of the parameter's name."""
    scenario: Scenario = request.getfixturevalue(request.param)
    return scenario


def stats(cli: Cli, scenario: Scenario) -> Result:
    result = cli("stats", scenario.log, "--by", "session", "--format", "json")
    assert (result.code, result.err) == (0, "")
    return result


def sessions(cli: Cli, scenario: Scenario) -> list[dict[str, Any]]:
    """A row a session, in the order their reports came in."""
    return sorted(stats(cli, scenario).table("by_session"), key=lambda row: row["first_at"])


def requests(scenario: Scenario) -> list[dict[str, Any]]:
    return [json.loads(line) for line in scenario.log.read_text().splitlines()]


def kinds(scenario: Scenario) -> list[Counter[str]]:
    """How many of each event each request reported, as `REMOTE MISS`."""
    bodies = [json.loads(request["request_body"]) for request in requests(scenario)]
    return [Counter(f"{event['source']} {event['event']}" for event in body) for body in bodies]


def missed(scenario: Scenario) -> list[set[str]]:
    """The hashes each request reported as REMOTE MISS."""
    bodies = [json.loads(request["request_body"]) for request in requests(scenario)]
    return [
        {event["hash"] for event in body if (event["source"], event["event"]) == ("REMOTE", "MISS")} for body in bodies
    ]


def milliseconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp() * 1000


def cacheable(run: Run) -> list[dict[str, Any]]:
    tasks = json.loads(run.summary.read_text())["tasks"]
    return [task for task in tasks if task["resolvedTaskDefinition"]["cache"]]


@pytest.mark.parametrize("played", SCENARIOS, indirect=True)
def test_nothing_is_lost(cli: Cli, played: Scenario) -> None:
    events = sum(counts.total() for counts in kinds(played))
    expected = {"read": events, "kept": events, "rejected": 0, "filtered": 0, "duplicate": 0, "files": 1}
    assert expected.items() <= stats(cli, played).json["input"].items()
    assert [run.code for run in played.runs] == [0] * len(played.runs)


@pytest.mark.parametrize("played", IN_TURN, indirect=True)
def test_each_session_is_what_turbo_printed(cli: Cli, played: Scenario) -> None:
    """And what it wrote down: the time saved is the sum over its summary, the time is that of the run."""
    rows = sessions(cli, played)
    assert len(rows) == len(played.runs)
    for row, run in zip(rows, played.runs, strict=True):
        tasks = cacheable(run)
        saved_ms = sum(task["cache"].get("timeSaved", 0) for task in tasks)
        assert (row["hits"], row["lookups"]) == (run.cached, len(tasks)), run.what
        assert row["time_saved_ms"] in {saved_ms, saved_ms or None}, run.what
        assert run.started_ms <= milliseconds(row["first_at"]), run.what
        assert milliseconds(row["last_at"]) < run.ended_ms + 200, run.what


@pytest.mark.parametrize("played", SCENARIOS, indirect=True)
def test_the_team_is_the_slug(cli: Cli, played: Scenario) -> None:
    by_team = cli("stats", played.log, "--by", "team", "--format", "json").table("by_team")
    assert [(row["team"], row["sessions"]) for row in by_team] == [(played.team, len(played.runs))]


@pytest.mark.parametrize("played", SCENARIOS, indirect=True)
def test_the_token_is_nowhere(played: Scenario) -> None:
    assert TOKEN not in played.log.read_text()
    assert TOKEN not in played.errors.read_text()


def test_an_everyday_log(cli: Cli, everyday: Scenario) -> None:
    rows = sessions(cli, everyday)
    assert [(row["local_hits"], row["remote_hits"]) for row in rows] == [(0, 0), (15, 0), (0, 15), (8, 0), (0, 15)]
    assert [row["duration_coverage"] for row in rows] == [None, 1, 0, 0, 0]
    by_ci = cli("stats", everyday.log, "--by", "ci", "--format", "json").table("by_ci")
    assert {row["ci"]: row["lookups"] for row in by_ci} == {None: 60, "GITHUB_ACTIONS": 15}
    assert {request["status"] for request in requests(everyday)} == {"200"}


def test_runs_at_once_miss_the_same(cli: Cli, concurrent: Scenario) -> None:
    rows = sessions(cli, concurrent)
    assert [(row["hits"], row["lookups"]) for row in rows] == [(0, 5), (0, 5), (5, 5)]
    one, two, warm = missed(concurrent)
    assert (one, len(one), warm) == (two, 5, set())
    first, second = (milliseconds(row["first_at"]) for row in rows[:2])
    assert second - first < rows[2]["time_saved_ms"] / 5


def test_artifacts_not_uploaded_are_missed_again(cli: Cli, read_only: Scenario) -> None:
    rows = sessions(cli, read_only)
    assert [(row["hits"], row["lookups"], row["local_only_misses"]) for row in rows] == [
        (0, 10, 0),
        (0, 10, 0),
        (10, 10, 0),
    ]
    one, two, warm = missed(read_only)
    assert (one, len(one), warm) == (two, 10, set())
    assert read_only.runs[0].ended_ms <= read_only.runs[1].started_ms
    assert "read-only" in read_only.runs[0].printed


def test_without_the_cache_misses_are_local(cli: Cli, cache_down: Scenario) -> None:
    rows = sessions(cli, cache_down)
    assert [(row["local_hits"], row["local_only_misses"]) for row in rows] == [(0, 10), (10, 0)]
    assert kinds(cache_down) == [{"LOCAL MISS": 10}, {"LOCAL HIT": 10}]
    assert [request["status"] for request in requests(cache_down)] == ["502", "502"]


def test_a_report_refused_while_the_run_goes_on_is_there_twice(cli: Cli, refused_once: Scenario) -> None:
    refused, again, rest = requests(refused_once)
    assert [request["status"] for request in (refused, again, rest)] == ["500", "200", "200"]
    assert [counts.total() for counts in kinds(refused_once)] == [100, 100, 10]
    assert refused["request_body"] == again["request_body"]
    assert 1900 < again["timestamp"] - refused["timestamp"] < 3500
    (row,) = sessions(cli, refused_once)
    assert (row["events"], row["lookups"], row["remote_hits"], row["time_saved_ms"]) == (210, 55, 55, 55 * 1500)


def test_a_report_refused_as_the_run_ends_is_there_once(cli: Cli, refused_at_the_end: Scenario) -> None:
    query = "SELECT status, count(*) AS events, count(DISTINCT session) AS sessions FROM events GROUP BY 1 ORDER BY 1"
    found = cli("sql", refused_at_the_end.log, query, "--format", "csv").out.splitlines()
    assert found == ["status,events,sessions", "200,10,1", "500,10,1"]
    rows = sessions(cli, refused_at_the_end)
    assert [(row["remote_hits"], row["misses"]) for row in rows] == [(0, 5), (5, 0)]
    assert rows[1]["duration_coverage"] == 1
