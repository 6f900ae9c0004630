"""Pages of unusual logs: control characters in names, changes of the clock, infinite numbers."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, event, ndjson

from analyzer.render.time_series import Buckets


def of(count: int, **fields: Any) -> list[dict[str, Any]]:
    """Remote lookups of 20 days, three of four hits; a field that is a function gets their number."""
    return [
        event(
            **{"sessionId": f"s{n % 7}", "hash": f"h{n}", "source": "REMOTE", "event": "HIT" if n % 4 else "MISS"}
            | {"timestamp": f"2026-09-{n % 20 + 1:02d}T10:00:00Z"}
            | {name: value(n) if callable(value) else value for name, value in fields.items()},
        )
        for n in range(count)
    ]  # fmt: skip


def page_of(cli: Cli, log: Any, tmp_path: Path, events: list[dict[str, Any]], *arguments: str) -> str:
    result = cli("report", log(events), "-o", tmp_path / "page.html", "--force", *arguments)
    assert result.code == 0, result.err
    return (tmp_path / "page.html").read_text()


def labels(page: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", page)


@pytest.mark.parametrize("name", ["a\x01b\x1b[31m", "\x00", "\ufffe\uffff", 'x role="', 'aria-b="c" <b>&amp;'])
def test_names_with_control_characters(name: str, cli: Cli, log: Any, tmp_path: Path) -> None:
    page = page_of(cli, log, tmp_path, of(60, slug=lambda n: name if n % 2 else "good", sessionId=name))
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", page)
    assert page.count("<svg") == page.count("</svg>") >= 4
    assert ">good</td>" in page


def test_names_with_a_common_start_are_separate_bars(cli: Cli, log: Any, tmp_path: Path) -> None:
    start = "github-enterprise-platform-engineering-team"
    page = page_of(cli, log, tmp_path, of(300, slug=lambda n: f"{start}-{'alpha' if n % 2 else 'beta'}"))
    bars = re.findall(rf">{start}-(alpha|beta)</td>.*?--bar:([0-9.]+)\"", page)
    assert sorted(bars) == [("alpha", "1.000"), ("beta", "0.500")]


def test_the_lowest_group_may_be_one_that_is_not_listed(cli: Cli, log: Any) -> None:
    many = [
        one for n in range(30) for one in of(200, slug=f"t{n:02d}", sessionId=f"s{n}", hash=lambda m, n=n: f"{n} {m}")
    ]
    few = [{**one, "event": "MISS"} for one in of(100, slug="low", sessionId="low")]
    page = cli("report", log(many + few), "--full").out
    assert "Lowest hit rate of a team with at least 100 lookups: low, 0.0 % of 100 lookups." in page
    assert "31 teams have lookups; the table lists the 20 with the most lookups." in page


def test_two_hours_of_one_name_are_two_bars() -> None:
    rows = [{"hour": "2026-10-25T02:00+02:00"}, {"hour": "2026-10-25T02:00+01:00"}]
    found = Buckets.of("hour", rows)
    assert found is not None
    assert [end - start for start, end, _ in found.rows] == [3_600_000, 3_600_000]
    assert found.rows[1][0] - found.rows[0][0] == 3_600_000


def test_hours_are_in_order_where_summer_time_ends(cli: Cli, log: Any) -> None:
    events = of(200, timestamp=lambda n: f"2026-10-25T0{n % 2}:30:00Z", duration=lambda n: 1 if n % 2 == 0 else 1000)
    page = cli("report", log(events), "--tz", "Europe/Berlin", "--format", "json")
    rows = page.table("time_saved_over_time")
    assert [row["hour"] for row in rows] == ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"]
    assert rows[0]["cumulative_time_saved_ms"] == rows[0]["time_saved_ms"] < rows[1]["time_saved_ms"]


def test_charts_do_not_depend_on_where_they_are_drawn(tmp_path: Path) -> None:
    log = tmp_path / "log.ndjson"
    log.write_text(ndjson(of(200, timestamp=lambda n: f"2026-10-25T{n % 20:02d}:30:00Z")))
    pages = []
    for zone in ("UTC", "America/Los_Angeles"):
        command = [sys.executable, "-m", "analyzer", "report", str(log), "-o", "page.html", "--force"]
        subprocess.run(command, cwd=tmp_path, env={**os.environ, "TZ": zone}, check=True, capture_output=True)
        pages.append(re.sub(r"Made at .*? by", "", (tmp_path / "page.html").read_text()))
    assert pages[0] == pages[1]
    assert "Oct 25 00:00" in labels(pages[0])


@pytest.mark.parametrize("format_name", ["html", "markdown", "table"])
@pytest.mark.parametrize("arguments", [(), ("--cost-per-minute", "1e308")])
def test_infinite_numbers(arguments: tuple[str, ...], format_name: str, cli: Cli, log: Any) -> None:
    result = cli("report", log(of(60, duration=1e308)), "--format", format_name, *arguments)
    assert result.code == 0, result.err
    assert not re.search(r"\b(inf|nan)\b", result.out)


@pytest.mark.parametrize(
    "arguments",
    [("--since", "2026-09-05", "--until", "9999-12-31"), ("--since", "0001-01-02")],
)
def test_far_dates(arguments: tuple[str, ...], cli: Cli, log: Any) -> None:
    page = cli("report", log(of(60)), *arguments, "--format", "markdown")
    assert page.code == 0, page.err
    assert "The log has no earlier period of the same length, so the last two weeks are compared." in page.out


@pytest.mark.parametrize("since", ["9999-12-31", "9999-12-31T23:59:59Z"])
def test_a_period_after_the_log(since: str, cli: Cli, log: Any) -> None:
    page = cli("report", log(of(60)), "--since", since, "--format", "markdown")
    assert (page.code, page.out.count("There are no lookups.")) == (0, 5)


EVIL = (
    "![i](http://evil.example/y.png)", "[l](http://evil.example)", "x\r\r## Approved\r\r", "@acme/web",
    "a\\|b &lt;c&gt;", "`c` *d* ~~e~~ www.evil.example",
)  # fmt: skip


def test_a_name_stays_text_in_markdown(cli: Cli, log: Any) -> None:
    page = cli("report", log(of(300, slug=lambda n: EVIL[n % 6])), "--full").out
    assert "\r" not in page
    assert not re.search(
        r"(?<!\\)!?\[[^\]]*\]\(|@\w|https?://|www\.|(?<!\\)[`*~]{1,2}\w+(?<!\\)[`*~]", page.split("## By team")[1]
    )
    table = page.split("## By team")[1].split("\n| ")
    assert {line.count(" | ") for line in table[1:7]} == {6}


def test_markdown_fits_into_a_comment(cli: Cli, log: Any) -> None:
    page = cli("report", log(of(300, slug=lambda n: f"{n % 30}" + "x" * 10_000)), "--full").out
    assert len(page.encode()) < 60_000


def test_what_changed_distinguishes_rates_from_the_mix(sample_archive: Path, cli: Cli) -> None:
    fell = cli("report", sample_archive, "--since", "2026-11-09", "--until", "2026-11-16", "--format", "markdown").out
    assert "Compares this period (2026-11-09 to 2026-11-15) with the period before (2026-11-02 to 2026-11-08)." in fell
    assert "Hit rate fell by 4.8 points; time saved fell by 22 min 46 s." in fell
    assert "Most of the change is from team web: it accounts for -6.5 points;" in fell
    assert "its own hit rate went from 91.5 % to 75.7 %." in fell


def test_a_change_of_the_mix(cli: Cli, log: Any) -> None:
    """Each team has the rate that it had, but `good` has most lookups in the second week, on a single day."""
    hits = {"good": 9, "bad": 1}  # of 10

    def lookups(day: int, team: str, number: int) -> list[dict[str, Any]]:
        return [
            event(
                slug=team, source="REMOTE", event="HIT" if n % 10 < hits[team] else "MISS", hash=f"{team}{day}{n}",
                sessionId=f"{team}{day}{n // 10}", timestamp=f"2026-11-{day:02}T10:00:{n % 60:02}Z",
            )
            for n in range(number)
        ]  # fmt: skip

    before = [one for day in range(2, 9) for one in (*lookups(day, "good", 20), *lookups(day, "bad", 60))]
    page = cli("report", log(before + lookups(15, "good", 900) + lookups(15, "bad", 100)), "--format", "markdown").out
    assert "the mix of teams: it accounts for +52.0 points, their own hit rates for 0.0 points." in page
    assert "the number of days with lookups is 7 in the 7 days before, but 1 in the last 7 days." in page


def test_the_page_names_its_filters(sample_archive: Path, cli: Cli, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert cli("report", sample_archive, "--team", "web", "--since", "2026-11-01", "-o", page).code == 0
    text = page.read_text()
    assert "<title>Remote build cache report: team web, since 2026-11-01</title>" in text
    assert "120,426 events read = 7,581 kept" in text


def test_a_log_shorter_than_two_weeks(cli: Cli, log: Any) -> None:
    page = cli("report", log(of(60)), "--until", "2026-09-04", "--full").out
    assert "The log is too short to estimate the effect of retention 7 d → 14 d." in page
    assert re.search(r"^\| absolute.*\| 7 \| 66.7 % \| — \|", page, re.MULTILINE)


def test_many_teams_and_days_leave_the_page_small(cli: Cli, log: Any, tmp_path: Path) -> None:
    events = of(4000, slug=lambda n: f"team {n % 200:03}", timestamp=lambda n: f"2026-09-{n % 28 + 1:02}T10:00:00Z")
    page = page_of(cli, log, tmp_path, [*events, *of(900, slug=None, sessionId="none")])
    assert len(page) < 1_000_000
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', page)
    explored = json.loads(data)
    assert len(explored["groups"]) == 21
    assert {"(no team)", "(other teams)"} <= set(explored["groups"])
    assert sum(row[3] for row in explored["rows"]) == 4900


def test_a_page_of_one_day(cli: Cli, log: Any, tmp_path: Path) -> None:
    """It has nothing to explore, to mark or to compare."""
    page = page_of(cli, log, tmp_path, of(60, timestamp="2026-09-01T10:00:00Z"))
    assert "application/json" not in page
    assert 'class="change' not in page
    assert "hit rate changed" not in labels(page)


def test_marks_are_in_the_time_zone_of_the_buckets(cli: Cli, log: Any, tmp_path: Path) -> None:
    online = [event(hash=f"{n}", sessionId=f"s{n // 5}", source=source, event="MISS" if source == "LOCAL" else "HIT",
                    timestamp=f"2026-09-{n // 40 + 1:02}T{n // 5 % 8 + 6:02}:00:00Z")
              for n in range(400) for source in ("LOCAL", "REMOTE")]  # fmt: skip
    offline = [
        event(hash=f"{n}", sessionId=f"t{n // 5}", event="MISS", timestamp=f"2026-09-06T{n // 5 + 17:02}:00:00Z")
        for n in range(30)
    ]
    pages = [page_of(cli, log, tmp_path, online + offline, "--tz", zone) for zone in ("UTC", "Asia/Tokyo")]
    assert all("outage" in labels(page) for page in pages)
    bands = [re.search(r'<path[^>]*?d="M([0-9.]+)[^>]*fill="var\(--mark\)"', page) for page in pages]
    starts = [float(band[1]) for band in bands if band]
    # Nine hours later, of ten days.
    assert starts[1] - starts[0] == pytest.approx(0.0375 * 900, abs=3), starts
