"""Times at the ends of the calendar: in a log, and in filters."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from conftest import Cli, event, report_of

import analyzer

FIRST, LAST = "0001-01-01T00:00:00Z", "9999-12-30T23:59:59.999999Z"


@pytest.mark.parametrize("at", [FIRST, "0001-01-05T00:00:00Z", LAST])
def test_the_last_two_weeks_of_a_log(cli: Cli, log: Any, at: str) -> None:
    path = log([event(hash=f"h{n}", timestamp=at) for n in range(3)])
    assert [side["lookups"] for side in report_of(cli, "compare", path).table("sides")] == [0, 3]
    assert cli("check", path, "--max-drop", "0.1").code == 0
    assert cli("report", path).code == 0


@pytest.mark.parametrize("at", [FIRST, LAST])
@pytest.mark.parametrize("options", [[], ["--tz", "America/Los_Angeles"], ["--since", "2026-01-01"]])
def test_a_page_of_a_log_of_all_centuries(cli: Cli, log: Any, at: str, options: list[str]) -> None:
    times = ("2026-03-02T08:00:00Z", at)
    path = log([event(hash=f"h{n}", source="REMOTE", timestamp=time) for n, time in enumerate(times)])
    for output in ("markdown", "html"):
        found = cli("report", path, "--format", output, *options)
        assert found.code == 0, found.err


@pytest.mark.parametrize(
    ("filtered", "kept"),
    [
        (["--since", "0001-01-01"], 2),
        (["--until", "9999-12-31"], 2),
        (["--since", "0001-01-01T00:00+02:00"], 2),
        (["--until", "0001-01-01T00:00+02:00"], 0),
        (["--since", "9999-12-31T23:00-02:00"], 0),
        (["--until", "9999-12-31T23:00-02:00"], 2),
        (["--since", "99999999h"], 2),
        (["--until", "99999999h"], 0),
    ],
)
def test_filters(cli: Cli, log: Any, filtered: list[str], kept: int) -> None:
    path = log([event(timestamp=FIRST), event(hash="h2", timestamp=LAST)])
    assert report_of(cli, "stats", path, *filtered).json["input"]["kept"] == kept
    assert report_of(cli, "compare", path, *filtered).json["input"]["kept"] == (1 if kept else 0)


def test_filters_from_python(log: Any) -> None:
    east = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    with analyzer.load(log([event(timestamp=FIRST)])) as found:
        assert found.stats(since=east)["lookups"].item() == 1
