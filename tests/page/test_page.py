"""The page: it has the numbers of the commands, compares periods, and shows a dash for what is unknown."""

import re
from importlib import util
from pathlib import Path
from typing import Any

import pytest
from conftest import RECORDED, Cli, event, ndjson

from analyzer.questions.doctor.report import FINDINGS

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
    monkeypatch.setattr("analyzer.cli.output.find_spec", lambda name: None if name == "jinja2" else real(name))
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


def test_the_cards_show_the_change_from_the_period_before(sample_archive: Path, cli: Cli) -> None:
    rows = {row["measure"]: row for row in cli("report", sample_archive, "--format", "json").table("answer")}
    compared = cli("compare", sample_archive, "--format", "json")
    (change,) = compared.table("change")
    assert rows["hit_rate"]["change"] == change["hit_rate_change"]
    assert rows["time_saved"]["change"] == change["time_saved_change_ms"]
    assert rows["time_lost"]["change"] == change["time_lost_change_ms"]
    weeks = [("--since", a, "--until", b) for a, b in (("2026-11-01", "2026-11-08"), ("2026-11-08", "2026-11-15"))]
    before, after = (cli("misses", sample_archive, *week, "--format", "json").table("misses")[0] for week in weeks)
    requested = cli("report", sample_archive, *weeks[1], "--format", "json").table("answer")
    (avoidable,) = (row for row in requested if row["measure"] == "avoidable_time")
    assert avoidable["change"] == after["avoidable_time_ms"] - before["avoidable_time_ms"] != 0
    markdown = cli("report", sample_archive).out
    assert "- **Hit rate: 87.0 %.** -4.8 points, the last 7 days against the 7 days before. " in markdown
    assert "-22 min 46 s, the last 7 days against the 7 days before (durations are known for fewer hits). " in markdown


def test_no_change_is_stated_where_it_is_unknown(log: Any, cli: Cli) -> None:
    path = log(LOGS["local alone"][:2])
    assert {row["change"] for row in cli("report", path, "--format", "json").table("answer")} == {None}
    assert "the 7 days before" not in cli("report", path).out
    two_weeks = [event(hash=str(n), timestamp=f"2026-09-{n + 1:02}T00:00:00Z") for n in range(14)]
    card = "0.0 points, the last 7 days against the 7 days before (too few sessions to be sure)."
    assert card in cli("report", log(two_weeks)).out
    unknown = [event(duration=0, hash=str(n), timestamp=f"2026-09-{n + 1:02}T00:00:00Z") for n in range(14)]
    rows = {row["measure"]: row["change"] for row in cli("report", log(unknown), "--format", "json").table("answer")}
    assert (rows["hit_rate"], rows["time_saved"]) == (0, None)


def test_the_biggest_loss_comes_first_even_if_it_was_not_avoidable(log: Any, cli: Cli) -> None:
    days = [f"2026-09-{day:02}T10:{minute:02}:00Z" for day in range(1, 29) for minute in range(20)]
    events = [
        event(source="REMOTE", hash="same" if n < 400 or n % 3 else f"new {n}", sessionId=f"s{n}", timestamp=day,
              event="HIT" if n and (n < 400 or n % 3) else "MISS")
        for n, day in enumerate(days)
    ]  # fmt: skip
    out = cli("report", log(events)).out
    assert "- **Avoidable time: 0 s.**" in out
    assert "Most misses are cold (likely: new work): 53 of 54. See Why lookups missed." in out.split("\n")[2]


def test_short_markdown_begins_with_the_verdict(sample_archive: Path, cli: Cli) -> None:
    lines = cli("report", sample_archive).out.splitlines()
    assert len(lines) <= 80
    assert lines[2].startswith(
        "87.0 % of 63,280 lookups were hits. The hit rate fell by 4.8 points: 88.7 % in the 7 days"
    )
    assert "See What invalidated the cache." in lines[2]
    # A short page refers to no section that it does not have.
    headings = [line[3:] for line in lines if line.startswith("## ")]
    assert {see for line in lines for see in re.findall(r"See ([A-Z][a-z ]+)[.]", line)} <= set(headings)


@pytest.mark.parametrize("arguments", [("--format", "json"), ("-o", "page.html")])
def test_only_markdown_can_be_full(arguments: tuple[str, str], cli: Cli, log: Any) -> None:
    result = cli("report", log([event()]), "--full", *arguments)
    assert (result.code, result.out) == (2, "")
    assert "--full is for Markdown; --format" in result.err


def test_findings_link_to_the_sections_they_concern(sample_archive: Path, cli: Cli, tmp_path: Path) -> None:
    cli("report", sample_archive, "-o", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    anchors = re.findall(r'<section [^>]*id="([^"]+)"', page)
    assert anchors == [
        "explore", "changes", "hit-rate", "time-saved", "misses", "causes", "top-misses", "team", "ci", "task",
        "package", "sessions", "week", "retention", "data-quality", "definitions", "provenance", "notes",
    ]  # fmt: skip
    assert '<a href="#hit-rate" title="Hit rate over time">outages</a>' in page
    assert {finding.section for findings in FINDINGS.values() for finding in findings} <= set(anchors)


def test_charts_mark_outages_changes_and_partial_days(sample_archive: Path, cli: Cli, tmp_path: Path) -> None:
    cli("report", sample_archive, "-o", tmp_path / "page.html")
    hit_rate = (tmp_path / "page.html").read_text().split('id="hit-rate"')[1].split("</section>")[0]
    wide = hit_rate.split('class="chart narrow"')[0]
    assert {"outage", "hit rate changed", "100 %"} <= set(re.findall(r"<text[^>]*>([^<]*)</text>", wide))
    partial = [
        row for row in cli("report", sample_archive, "--format", "json").table("hit_rate_over_time") if row["partial"]
    ]
    # A bar has a part for each cache.
    assert wide.count('stroke-dasharray="2,2"') == 2 * len(partial) > 0


def test_charts_write_durations_as_tables_do(sample_archive: Path, cli: Cli, tmp_path: Path) -> None:
    cli("report", sample_archive, "-o", tmp_path / "page.html")
    saved = (tmp_path / "page.html").read_text().split('id="time-saved"')[1]
    assert {"1 h 30 min", "30 min", "0 s", "2 d"} <= set(re.findall(r"<text[^>]*>([^<]*)</text>", saved))
