"""The page: it has the numbers of the commands, compares periods, and shows a dash for what is unknown."""

import re
from importlib import util
from pathlib import Path
from typing import Any

import pytest
from conftest import RECORDED, Cli, event, ndjson

FORMATS = ("html", "markdown", "json", "table", "csv")


@pytest.mark.parametrize("chosen", [[], ["--where", "duration < 4000"]])
def test_the_page_has_the_numbers_of_the_commands(sample_archive: Path, cli: Cli, chosen: list[str]) -> None:
    filters = ["--team", "data", "--since", "2026-09-20", "--until", "2026-11-10", *chosen]
    page = cli("report", sample_archive, *filters, "--format", "json")
    assert page.code == 0, page.err
    stats = cli("stats", sample_archive, *filters, "--by", "day", "--format", "json")
    misses = cli("misses", sample_archive, *filters, "--limit", "15", "--format", "json")
    (totals,), (missed,) = stats.table("totals"), misses.table("misses")
    answer = {row["measure"]: row["value"] for row in page.table("answer")}
    assert answer["hit_rate"] == totals["hit_rate"]
    assert answer["time_saved"] == totals["time_saved_ms"]
    assert answer["avoidable_time"] == missed["avoidable_time_ms"]
    by_day = {row["day"]: row for row in stats.table("by_day")}
    for row in page.table("hit_rate_over_time"):
        day = by_day[row["day"]]
        assert row["hit_rate"] == day["hit_rate"]
        assert row["local_share"] + row["remote_share"] == pytest.approx(day["hit_rate"])
    saved = page.table("time_saved_over_time")
    assert saved[-1]["cumulative_time_saved_ms"] == pytest.approx(totals["time_saved_ms"])
    assert {row["class"]: row["misses"] for row in page.table("classes")} == {
        row["class"]: row["misses"] for row in misses.table("classes")
    }
    costliest = page.table("top")
    assert costliest == [{name: row[name] for name in costliest[0]} for row in misses.table("top")]
    assert page.table("curve") == cli("retention", sample_archive, *filters, "--format", "json").table("curve")
    assert page.table("findings") == cli("doctor", sample_archive, *filters, "--format", "json").table("findings")
    week = page.table("by_weekday_and_hour")
    assert sum(row["lookups"] for row in week) == totals["lookups"]
    spread = [row for row in page.table("scatter") if row["outlier"] is None]
    assert sum(row["sessions"] for row in spread) == totals["sessions"]
    assert page.json["input"] == stats.json["input"]


def test_the_period_before_has_the_same_length(sample_archive: Path, cli: Cli) -> None:
    page = cli(
        "report", sample_archive, "--team", "web", "--since", "2026-09-10", "--until", "2026-09-20", "--format", "json"
    )
    before, after = page.table("sides")
    assert (before["side"], after["side"]) == ("the period before", "this period")
    chosen = [sample_archive, "--where", "duration < 4000", "--format", "json"]
    changed, weeks = cli("report", *chosen).table("sides"), cli("compare", *chosen).table("sides")
    assert [row["lookups"] for row in changed] == [row["lookups"] for row in weeks]
    compared = cli(
        "compare",
        sample_archive,
        "2026-08-31..2026-09-10",
        "2026-09-10..2026-09-20",
        "--team",
        "web",
        "--format",
        "json",
    )
    names = set(before) - {"side"}
    wanted = compared.table("sides")
    assert [{name: row[name] for name in names} for row in (before, after)] == [
        {name: row[name] for name in names} for row in wanted
    ]


def test_without_a_period_the_last_week_is_compared(sample_archive: Path, cli: Cli) -> None:
    page, compared = (
        cli("report", sample_archive, "--format", "json"),
        cli("compare", sample_archive, "--format", "json"),
    )
    sides = [{**row, "side": row["side"].partition(": ")[2]} for row in compared.table("sides")]
    assert page.table("sides") == sides


LOGS: dict[str, list[dict[str, Any]]] = {
    "one event": [event()],
    "one miss at a time": [event(event="MISS", timestamp="2026-09-01T00:00:00Z")],
    "no duration is known": [event(duration=0, hash=str(n), timestamp="2026-09-01T00:00:00Z") for n in range(3)],
    "local alone": [
        event(hash=str(n), sessionId=str(n % 3), timestamp=f"2026-09-0{n + 1}T00:00:00Z") for n in range(9)
    ],
    "no times": [event(hash=str(n), source="REMOTE", sessionId=str(n % 3)) for n in range(9)],
}  # fmt: skip


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("name", LOGS)
def test_minimal_logs(name: str, format_name: str, log: Any, cli: Cli) -> None:
    result = cli("report", log(LOGS[name]), "--format", format_name)
    assert result.code == 0, result.err
    assert "Traceback" not in result.err
    assert not re.search(r"\b(nan|None|inf)\b", result.out)


def test_an_unknown_value_is_a_dash_with_the_reason(log: Any, cli: Cli) -> None:
    page = cli("report", log(LOGS["no duration is known"]), "--format", "markdown").out
    assert "- **Time saved: —.** No hit has a known duration" in page
    assert "- **Hit rate: 100.0 %.**" in page
    nothing = cli("report", log(LOGS["one event"]), "--until", "2001-01-01", "--format", "markdown").out
    assert nothing.count(": —.** There are no lookups.") == 4
    missed = cli("report", log(LOGS["one miss at a time"]), "--format", "markdown").out
    assert "- **Time saved: 0 s.** No lookup was a hit." in missed
    assert "- **Avoidable time: 0 s.** No miss is known to be avoidable; 0 could not be classified." in missed
    untimed = cli("report", log([event(event="MISS", source="REMOTE", timestamp=None)]), "--format", "markdown").out
    assert "- **Avoidable time: —.** Unknown for every miss" in untimed
    twice = [
        event(event="MISS", source="REMOTE", sessionId=f"s{n}", timestamp=f"2026-09-0{n + 1}T00:00:00Z") for n in (0, 1)
    ]
    unknown = cli(
        "report", log([event(timestamp="2026-01-01T00:00:00Z", hash="old"), *twice]), "--format", "markdown"
    ).out
    assert "- **Avoidable time: —.** 1 misses were avoidable, but the duration of their tasks" in unknown


@pytest.mark.parametrize("source", [RECORDED / "runs", RECORDED / "requests.ndjson", RECORDED / "events.har"])
def test_recordings(source: Path, cli: Cli, tmp_path: Path) -> None:
    assert cli("report", source, "-o", tmp_path / "page.html").code == 0
    text = (tmp_path / "page.html").read_text()
    assert text.count("<svg") == text.count("</svg>") >= 3


def test_markdown_is_small_and_has_sparklines(sample_archive: Path, cli: Cli) -> None:
    page = cli("report", sample_archive, "--full").out
    assert len(page.encode()) < 60_000
    assert re.search(
        r"^Hit rate by day, 2026-09-17 to 2026-11-15: [▁▂▃▄▅▆▇█·]{60} \(last 79.3 %\)$", page, re.MULTILINE
    )
    headings = re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert headings[:3] == ["What changed", "Hit rate over time", "Time saved"]
    assert headings[-3:] == ["Data quality", "Definitions", "Provenance"]


def test_names_stay_text_in_markdown(log: Any, cli: Cli) -> None:
    evil = "</h1><script>x</script>[a](javascript:b)|`c`"
    events = [event(slug=evil if n % 2 else "good", hash=str(n), source="REMOTE") for n in range(300)]
    page = cli("report", log(events), "--full").out
    assert "<script>" not in page
    assert "\\[a\\](javascript:b)" in page


def test_single_events_cannot_be_chosen(sample_archive: Path, cli: Cli) -> None:
    result = cli("report", sample_archive, "--source", "REMOTE")
    assert result.code == 2
    assert "`report` needs both events of a lookup" in result.err


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, cli: Cli, log: Any, tmp_path: Path
) -> None:
    real = util.find_spec
    monkeypatch.setattr("analyzer.cli.output.find_spec", lambda name: None if name == "altair" else real(name))
    result = cli("report", log([event()]), "-o", tmp_path / "page.html")
    assert result.code == 2
    assert "pip install 'cache-event-analyzer[report]' (from a checkout: pip install -e '.[report]')" in result.err
    assert cli("report", log([event()]), "--format", "markdown").code == 0


def test_the_page_forbids_the_network(cli: Cli, log: Any, tmp_path: Path) -> None:
    (tmp_path / "more.ndjson").write_text(ndjson([event(hash="more")]))
    assert cli("report", log([event()]), tmp_path / "more.ndjson", "-o", tmp_path / "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=\"(?!#)", page)


def test_other_answers_can_be_pages_too(sample_archive: Path, cli: Cli, tmp_path: Path) -> None:
    assert cli("stats", sample_archive, "--by", "team", "-o", tmp_path / "stats.html").code == 0
    page = (tmp_path / "stats.html").read_text()
    assert page.count("<table>") == 2
    assert "<svg" not in page
