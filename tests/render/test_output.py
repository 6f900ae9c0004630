"""Output formats: stdout holds the result only, all formats have the same values, no file is overwritten."""

import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import Cli, event

from analyzer.archive.accounting import Accounting
from analyzer.questions.options import StatsOptions
from analyzer.questions.report import Report
from analyzer.questions.stats import measures_for
from analyzer.render.display import display_table
from analyzer.render.table import write_table
from analyzer.table import COUNT, COVERAGE, MONEY, MS, RATIO, Column, Table

HEADINGS = measures_for(StatsOptions())
EVENTS = [
    event(hash="a", duration=93_784_000, timestamp="2026-03-02T10:00:00Z", slug="web|<b>"),
    event(hash="b", event="MISS", timestamp="2026-03-03T10:00:00.5Z"),
]

BY_DAY_TABLE = """
 day            lookups   hit rate   time saved   duration coverage   local hit rate   remote hit rate   sessions
 ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
 2026-03-02 *         1    100.0 %      1 d 2 h             100.0 %          100.0 %                 —          1
 2026-03-03 *         1      0.0 %          0 s                   —            0.0 %                 —          1
"""


def test_table_in_a_pipe(cli: Cli, log: Any) -> None:
    out = cli("stats", log(EVENTS), "--by", "day").out
    assert "\x1b" not in out
    lines = [line.rstrip() for line in out.splitlines()]
    start = next(n for n, line in enumerate(lines) if line.startswith(" day"))
    assert lines[start : start + 4] == BY_DAY_TABLE.strip("\n").splitlines()
    assert "* partial:" in out
    assert "not shown: events, hits" in out
    assert "; the JSON format has all columns" in out


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
def test_display_table_omits_numbers_that_do_not_fit(columns: int) -> None:
    table = Table(
        "by_day", (Column("day", "", ""), *HEADINGS), [("2026-03-02", *[1234567] * (len(HEADINGS) - 2), None, None)]
    )
    display = display_table(table, columns)
    assert display.columns[0].name == "day"
    widths = [max(len(row[n]) for row in display.cells) for n in range(len(display.columns))]
    assert sum(widths) + 3 * len(widths) - 1 <= columns
    left_out = {heading.name for heading in HEADINGS} - {heading.name for heading in display.columns}
    assert all(name in display.notes[-1] for name in left_out)


class Terminal(io.BytesIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def terminal_lines(table: Table, columns: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the lines that a terminal with `columns` columns displays of a table."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    write_table(Report("test", Accounting(), [table], table), stream)
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue().decode()).splitlines()


@pytest.mark.parametrize("columns", range(44, 120, 3))
def test_numbers_are_complete_on_a_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles are wrapped and measures omitted, but no displayed number is cut and no line exceeds the width."""
    headings = [Column("side", "", ""), *(Column(f"remote_hit_rate_{n}", RATIO, "") for n in range(8))]
    table = Table("sides", headings, [("A: the 7 days before", *[0.819] * 8), ("B", *[0.911] * 8)])
    lines = terminal_lines(table, columns, monkeypatch)
    assert max(map(len, lines)) <= columns
    count = len(display_table(table, columns).columns) - 1
    assert [[line.count(rate) for rate in ("81.9 %", "91.1 %")] for line in lines if "%" in line] == [
        [count, 0],
        [0, count],
    ]


RATES = Table(
    "by_week",
    [Column("week", "", ""), Column("hit_rate", RATIO, ""), Column("lookups", COUNT, "")],
    [("w1", 1.0, 3), ("w2", 0.5, 4), ("w3", None, 0), ("w4", 0.0, 5), ("w5", 0.25, 5)],
    bar="hit_rate",
    in_time_order=True,
)


def test_terminals_draw_rates_and_their_course(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar has 8 cells of 8 steps; the course goes from the lowest rate to the highest."""
    lines = terminal_lines(RATES, 80, monkeypatch)
    assert lines[0] == "hit rate █▅ ▁▃ 0.0 % to 100.0 %"
    assert [line[9:].rstrip() for line in lines[4:9]] == [
        "100.0 % ████████         3",
        " 50.0 % ████             4",
        "      —                  0",
        "  0.0 %                  5",
        " 25.0 % ██               5",
    ]
    # Where the bars do not fit, the numbers are as without them.
    assert not any("█" in line for line in terminal_lines(RATES, 30, monkeypatch))
    unordered = replace(RATES, in_time_order=False)
    assert not any("▅" in line for line in terminal_lines(unordered, 80, monkeypatch))


def test_what_was_asked_for_is_displayed_in_any_width() -> None:
    """Money, and the column to sort by, stay with their time and its coverage, whatever else has to go."""
    columns = [
        Column("team", "", ""), *(Column(f"measure_{n}", COUNT, "") for n in range(5)), Column("time_saved_ms", MS, ""),
        Column("time_saved_cost", MONEY, ""), Column("coverage", RATIO, "", read_with=COVERAGE),
        Column("misses", COUNT, ""),
    ]  # fmt: skip
    table = Table("by_team", columns, [("web", *range(5), 60_000, 1.5, 0.5, 7)], sorted_by=["misses"])
    for width in (45, 60, 80):
        names = [column.name for column in display_table(table, width).columns]
        assert names[0] == "team"
        assert names[-4:] == ["time_saved_ms", "time_saved_cost", "coverage", "misses"]
    assert len(display_table(table, 120).columns) == len(columns)


def test_pipes_have_no_drawings() -> None:
    stream = io.BytesIO()
    write_table(Report("test", Accounting(), [RATES], RATES), stream)
    assert not set("▁▂▃▄▅▆▇█") & set(stream.getvalue().decode())


@pytest.mark.parametrize("terminal", [True, False])
def test_control_characters_are_escaped(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    names = ["\x1b[31mred\x1b]0;title\x07", "\u202egnorw", "a\rb", "one\ntwo", "日本"]
    table = Table("by_team", [Column("team", "", ""), Column("n", COUNT, "")], [(name, 1) for name in names])
    stream = Terminal() if terminal else io.BytesIO()
    monkeypatch.setenv("TERM", "xterm")
    write_table(Report("test", Accounting(), [table], table), stream)
    text = re.sub(r"\x1b\[[12]m|\x1b\[0m", "", stream.getvalue().decode())
    assert all(character.isprintable() or character == "\n" for character in text), text
    assert [line.split() for line in text.splitlines()[3:-1]] == [
        ["\\x1b[31mred\\x1b]0;title\\x07", "1"],
        ["\\u202egnorw", "1"], ["a\\rb", "1"], ["one", "1"], ["two"], ["日本", "1"],
    ]  # fmt: skip


def test_titles_are_words_except_those_of_user_sql() -> None:
    columns, row = (Column("likely_causes", "", ""), Column("a\x1bb", COUNT, "")), ("x", 1)
    assert display_table(Table("top", columns, [row])).titles == ["likely causes", "a\\x1bb"]
    assert display_table(Table("result", columns, [row], write_parquet=print)).titles == ["likely_causes", "a\\x1bb"]


def test_a_pipe_loads_no_rich_console(log: Any) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "analyzer", "stats", log(EVENTS), "--by", "day"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "rich.cells" in result.stderr, "EVENTS are to have characters beyond ASCII"
    assert "rich.console" not in result.stderr


def test_markdown_is_escaped(cli: Cli, log: Any) -> None:
    out = cli("stats", log(EVENTS), "--by", "team", "--format", "markdown").out
    assert "| web\\|\\<b\\> | 1 | 100.0 % |" in out
    assert "| --- | ---: |" in out


def test_json_has_units_and_descriptions(cli: Cli, log: Any) -> None:
    document = cli("stats", log(EVENTS), "--by", "day", "--format", "json").json
    assert (document["schema_version"], document["command"]) == (1, "stats")
    assert document["input"] == {"read": 2, "kept": 2, "rejected": 0, "filtered": 0, "duplicate": 0, "files": 1}
    assert [table["name"] for table in document["tables"]] == ["totals", "by_day"]
    for table in document["tables"]:
        names = [column["name"] for column in table["columns"]]
        assert all(list(row) == names for row in table["rows"])
        assert all(column["description"] for column in table["columns"])
    assert document["tables"][1]["rows"][0]["first_at"] == "2026-03-02T10:00:00.000Z"


def test_data_formats_have_the_same_values(cli: Cli, log: Any, tmp_path: Path) -> None:
    path = log(EVENTS)
    by = ["stats", path, "--by", "day,team"]
    rows = cli(*by, "--format", "json").table("by_day_team")
    assert [json.loads(line) for line in cli(*by, "--format", "ndjson").out.splitlines()] == rows
    read = list(csv.DictReader(io.StringIO(cli(*by, "--format", "csv").out)))
    expected = [{k: "" if v is None else json.dumps(v).strip('"') for k, v in row.items()} for row in rows]
    assert read == expected
    out = tmp_path / "out.parquet"
    assert cli(*by, "-o", out).code == 0
    frame = pl.read_parquet(out).drop("first_at", "last_at").to_dicts()
    assert frame == [{k: v for k, v in row.items() if k not in ("first_at", "last_at")} for row in rows]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".ndjson", ".jsonl"])
def test_written_events_are_read_back(cli: Cli, log: Any, tmp_path: Path, suffix: str) -> None:
    first = [event(hash=f"{n}", timestamp=f"2026-03-02T10:00:0{n}Z", slug="a" if n else None) for n in range(5)]
    path = log([*first, event(duration=None, ci='"quoted", é')])
    out = tmp_path / f"out{suffix}"
    names = 'session AS "sessionId", team_id AS "teamId"'
    query = f"SELECT {names}, * EXCLUDE (session, team_id, file, position, team) FROM events"
    assert cli("sql", path, query, "-o", out).code == 0
    again = cli("stats", out, "--format", "json")
    assert again.err == ""
    assert again.out == cli("stats", path, "--format", "json").out


def test_files_are_overwritten_only_with_force(cli: Cli, log: Any, tmp_path: Path) -> None:
    path, out = log(EVENTS), tmp_path / "out.json"
    out.write_text("mine")
    result = cli("stats", path, "-o", out)
    assert (result.code, out.read_text()) == (2, "mine")
    assert "--force" in result.err
    assert cli("stats", path, "-o", out, "--force").code == 0
    assert json.loads(out.read_text())["command"] == "stats"
    assert cli("stats", path, "-o", tmp_path / "out.xyz").code == 2
    assert cli("stats", path, "-o", tmp_path / "none" / "out.json").code == 2
    assert cli("stats", path, "--rejects", path).code == 2
    assert path.read_text()
    assert not list(tmp_path.glob("*.part"))
