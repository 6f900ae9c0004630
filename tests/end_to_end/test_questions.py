"""Log and run summaries of real clients together: each session is its run, each miss of the class that was played."""

from collections import Counter
from typing import Any

import pytest
from conftest import Cli

from end_to_end.scenarios import Scenario
from end_to_end.test_recipes import IN_TURN, SCENARIOS, cacheable, sessions

NEVER_COLD = "0.00000001"
"""A retention so short, in days, that nothing can be older than the log."""


def classes(cli: Cli, scenario: Scenario, *more: str) -> dict[str, int]:
    found = cli("misses", scenario.log, scenario.summaries, "--format", "json", *more)
    assert found.code == 0, found.err
    return {row["class"]: row["misses"] for row in found.table("classes")}


def runs(cli: Cli, scenario: Scenario) -> list[dict[str, Any]]:
    query = "SELECT r.id, r.session, s.first_at FROM runs r JOIN sessions s ON s.session = r.session ORDER BY 3"
    return cli("sql", scenario.log, scenario.summaries, query, "--format", "json").json["tables"][0]["rows"]


@pytest.fixture
def played(request: pytest.FixtureRequest) -> Scenario:
    scenario: Scenario = request.getfixturevalue(request.param)
    return scenario


@pytest.mark.parametrize("played", IN_TURN, indirect=True)
def test_each_run_is_its_session(cli: Cli, played: Scenario) -> None:
    matched = runs(cli, played)
    assert [row["session"] for row in matched] == [row["session"] for row in sessions(cli, played)]
    assert [row["id"] for row in matched] == [run.summary.stem for run in played.runs]


def test_runs_at_once_are_each_one_session(cli: Cli, concurrent: Scenario) -> None:
    matched = runs(cli, concurrent)
    assert {row["id"] for row in matched} == {run.summary.stem for run in concurrent.runs}
    assert len({row["session"] for row in matched}) == 3


@pytest.mark.parametrize("played", SCENARIOS, indirect=True)
def test_every_hash_has_its_task(cli: Cli, played: Scenario) -> None:
    by_task = cli("stats", played.log, played.summaries, "--by", "package,task", "--format", "json")
    found = Counter({(row["package"], row["task"]): row["lookups"] for row in by_task.table("by_package_task")})
    assert found == Counter((task["package"], task["task"]) for run in played.runs for task in cacheable(run))


@pytest.mark.parametrize("played", IN_TURN, indirect=True)
def test_summaries_alone_give_what_turbo_printed(cli: Cli, played: Scenario) -> None:
    for run in played.runs:
        totals = cli("stats", run.summary, "--format", "json").table("totals")[0]
        assert (totals["hits"], totals["lookups"]) == (run.cached, len(cacheable(run))), run.what


@pytest.mark.parametrize(
    ("played", "expected"),
    [
        ("everyday", {"unknown_cold": 22}),
        ("concurrent", {"unknown_cold": 5, "concurrent": 5}),
        ("read_only", {"unknown_cold": 10, "repeat": 10}),
        ("cache_down", {"local_only": 10}),
        ("refused_once", {}),
        ("refused_at_the_end", {"unknown_cold": 5}),
    ],
    indirect=["played"],
)
def test_misses_have_the_class_that_was_played(cli: Cli, played: Scenario, expected: dict[str, int]) -> None:
    assert classes(cli, played) == expected


def test_an_edit_is_cold_where_the_log_is_old_enough(cli: Cli, everyday: Scenario) -> None:
    edited = sessions(cli, everyday)[3]["session"]
    assert classes(cli, everyday, "--retention", NEVER_COLD, "--session", edited) == {"cold": 7}
