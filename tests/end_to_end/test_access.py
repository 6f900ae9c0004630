"""Access logs of real runs: nginx's, and that of the cache server itself, give the remote hits that turbo printed."""

import json

import pytest
from conftest import Cli, report_of

from end_to_end.scenarios import Scenario, World


def remote_lookups(played: Scenario) -> tuple[int, int]:
    """The remote hits and misses of all runs, by what turbo wrote down: a miss asked the remote cache too."""
    tasks = [task for run in played.runs for task in json.loads(run.summary.read_text())["tasks"]]
    caches = [task["cache"] for task in tasks if task["resolvedTaskDefinition"]["cache"]]
    hits = sum(cache.get("source") == "REMOTE" for cache in caches)
    return hits, sum(cache["status"] == "MISS" for cache in caches)


@pytest.mark.parametrize("source", ["nginx", "server"])
def test_remote_hits_are_those_that_turbo_printed(source: str, cli: Cli, world: World, everyday: Scenario) -> None:
    path = everyday.log.with_name("access.log") if source == "nginx" else world.server_log
    result = report_of(cli, "stats", path, "--team", everyday.team)
    (totals,) = result.table("totals")
    assert (totals["remote_hits"], totals["misses"]) == remote_lookups(everyday)
    assert (totals["local_hits"], totals["local_hit_rate"], totals["time_saved_ms"]) == (0, None, None)
    assert totals["sessions"] > 1


def test_events_win(cli: Cli, everyday: Scenario) -> None:
    reported = report_of(cli, "stats", everyday.log).table("totals")
    both = report_of(cli, "stats", everyday.log, everyday.log.with_name("access.log"))
    assert both.table("totals") == reported
    assert "lookups derived from access logs are left out: events report the same team and time" in both.err
