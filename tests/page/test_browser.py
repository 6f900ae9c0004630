"""The HTML report in Chromium: desktop and phone, light and dark, by keyboard, and an accessibility audit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, event, ndjson

from analyzer.render.values import format_value
from analyzer.table import MS

SAMPLE = Path(__file__).parents[2] / "sample_data"
EVIL = '<script>window.injected = 1</script><img src=https://evil.example/x onerror="window.injected = 2">\'"&'

CHOICE = ("web", "2026-10-12", "2026-10-25")

Audit = Callable[..., dict[str, Any]]


def audit_report(sources: list[Path], directory: Path, audit: Audit, cli: Cli, *choice: str) -> dict[str, Any]:
    page = directory / "report.html"
    result = cli("report", *sources, "-o", page, "--cost-per-minute", "0.01")
    assert result.code == 0, result.err
    assert page.stat().st_size < 1_000_000
    return audit(page, *choice)


@pytest.mark.parametrize("kind", ["sample data", "malicious names"])
def test_report_in_a_browser(kind: str, tmp_path: Path, audit: Audit, cli: Cli) -> None:
    sources = [SAMPLE]
    if kind == "malicious names":
        events = [
            event(sessionId=f"{EVIL}{n % 7}", hash=f"h{n % 50}", event="HIT" if n % 3 else "MISS",
                  source="REMOTE" if n % 2 else "LOCAL", slug=EVIL if n % 4 else "good", ci=EVIL[:50],
                  timestamp=f"2026-09-{n % 20 + 1:02d}T12:00:00Z")
            for n in range(400)
        ]  # fmt: skip
        (tmp_path / "log.ndjson").write_text(ndjson(events))
        sources = [tmp_path / "log.ndjson"]
    seen = audit_report(sources, tmp_path, audit, cli, *(CHOICE if kind == "sample data" else (EVIL,)))
    assert seen["console"] == []
    assert all(url.startswith("file://") for url in seen["requests"])
    assert seen["injected"] is None
    assert {name: pixels for name, pixels in seen["overflows"].items() if pixels > 0} == {}
    assert {name: violations for name, violations in seen["audits"].items() if violations} == {}
    assert seen["backgrounds"]["light"] != seen["backgrounds"]["dark"]
    assert seen["collapsed"] > seen["stillCollapsed"]
    numbers = [float(value) for value in seen["ascending"] if value is not None]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 1
    assert [float(value) for value in seen["descending"] if value is not None] == sorted(numbers, reverse=True)
    assert seen["sort"] == "ascending"
    assert len(seen["copied"].splitlines()) == seen["firstTable"] > 1
    assert "\t" in seen["copied"]
    assert seen["charts"] >= 6
    assert seen["seriesColor"] == "rgb(0, 114, 178)"
    assert seen["printedButtons"] == 0
    assert seen["deadLinks"] == []
    assert seen["openedByLink"] == 1
    assert {name: boxes for name, boxes in seen["badBoxes"].items() if boxes} == {}
    wide = [table for tables in seen["wideTables"].values() for table in tables]
    assert all(table["sticky"] and table["hasEdge"] for table in wide), wide
    assert any(seen["wideTables"]["phone"])
    assert seen["backgrounds"]["print"] == seen["backgrounds"]["light"] == "rgb(255, 255, 255)"
    assert seen["withoutScript"]["controls"] == 0
    assert min(seen["withoutScript"]["tables"], seen["withoutScript"]["charts"]) > 2
    assert (EVIL in seen["text"]) == (kind == "malicious names")
    if kind == "sample data":
        assert seen["printedPages"] <= 7
        assert seen["all"]["figures"] == ["87.0 %", "63,280", "2 d 16 h", "74.1 %"]
        of_team = ("--team", CHOICE[0], "--since", CHOICE[1], "--until", "2026-10-26")
        stats = cli("stats", SAMPLE, *of_team, "--by", "day", "--format", "json")
        (totals,) = stats.table("totals")
        assert seen["chosen"]["figures"][:2] == [
            f"{totals['hit_rate']:.1%}".replace("%", " %"),
            f"{totals['lookups']:,}",
        ]
        assert seen["chosen"]["figures"][2] == format_value(totals["time_saved_ms"], MS)
        assert seen["chosen"]["bars"] == len(stats.table("by_day")) < seen["all"]["bars"]


def test_readers_see_that_time_saved_is_unknown(tmp_path: Path, audit: Audit, cli: Cli) -> None:
    """On the first day nothing hit, so 0 s was saved; on the others hits have no duration."""
    events = [
        event(sessionId=f"s{day}", hash=f"h{n}", source="REMOTE", event="HIT" if day > 1 else "MISS", duration=0,
              slug="web", timestamp=f"2026-09-{day:02d}T12:00:00Z")
        for day in range(1, 21) for n in range(30)
    ]  # fmt: skip
    (tmp_path / "log.ndjson").write_text(ndjson(events))
    seen = audit_report([tmp_path / "log.ndjson"], tmp_path, audit, cli, "web", "2026-09-01", "2026-09-01")
    assert seen["all"]["figures"] == ["95.0 %", "600", "—", "0.0 %"]
    assert seen["chosen"]["figures"] == ["0.0 %", "30", "0 s", "—"]
