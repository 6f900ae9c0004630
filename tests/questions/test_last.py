"""The filter --last: it counts back from the end of the log, however old that is."""

from datetime import timedelta
from typing import Any

import pytest
from conftest import Cli, event, report_of

import analyzer

# Lookups of 2026-03-01, 02, 03 and 04, each at 10:00.
EVENTS = [event(sessionId=f"s{day}", hash="h", timestamp=f"2026-03-0{day}T10:00:00Z") for day in range(1, 5)]


@pytest.mark.parametrize(("age", "lookups"), [("23h", 1), ("1d", 1), ("25h", 2), ("2d", 2), ("1w", 4)])
def test_it_counts_back_from_the_last_lookup(age: str, lookups: int, cli: Cli, log: Any, tmp_path: Any) -> None:
    """The period excludes what is exactly as old as it is long."""
    path, archive = log(EVENTS), tmp_path / "a.duckdb"
    assert cli("load", path, "--into", archive).code == 0
    for source in (path, archive):
        assert report_of(cli, "stats", source, "--last", age).table("totals")[0]["lookups"] == lookups
    with analyzer.load(path) as opened:
        assert opened.stats(last=age)["lookups"].item() == lookups


def test_with_other_limits_the_narrower_one_counts(cli: Cli, log: Any) -> None:
    path = log(EVENTS)
    since = report_of(cli, "stats", path, "--last", "3d", "--since", "2026-03-04").table("totals")[0]
    until = report_of(cli, "stats", path, "--last", "3d", "--until", "2026-03-04").table("totals")[0]
    assert (since["lookups"], until["lookups"]) == (1, 2)


def test_a_log_without_times_has_no_end(cli: Cli, log: Any) -> None:
    assert report_of(cli, "stats", log([event()]), "--last", "7d").table("totals")[0]["lookups"] == 0


@pytest.mark.parametrize(("age", "problem"), [("seven", "is not a length of time"), ("0d", "is not longer than zero")])
def test_other_ages_are_refused(age: str, problem: str, cli: Cli, log: Any) -> None:
    result = cli("stats", log(EVENTS), "--last", age)
    assert (result.code, problem in result.err) == (2, True)
    with analyzer.load(log(EVENTS)) as opened, pytest.raises(analyzer.UsageError, match="is not a length of time"):
        opened.stats(last=timedelta() if age == "0d" else age)
