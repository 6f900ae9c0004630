"""The output contract: stdout is the result, the formats say the same, nothing is overwritten."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import Cli, event

from analyzer.archive.accounting import Accounting
from analyzer.questions.options import StatsOptions
from analyzer.questions.report import Report
from analyzer.questions.stats import measure_columns
from analyzer.render.display import display_table
from analyzer.render.table import write_table
from analyzer.table import COUNT, RATIO, Column, Table

HEADINGS = measure_columns(StatsOptions())
EVENTS = [
    event(hash="a", duration=93_784_000, timestamp="2026-03-02T10:00:00Z", slug="web|<b>"),
    event(hash="b", event="MISS", timestamp="2026-03-03T10:00:00.5Z"),
]

BY_DAY_TABLE = """
 day            sessions   lookups   hit rate   local hit rate   remote hit rate   time saved   duration coverage
 ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
 2026-03-02 *          1         1    100.0 %          100.0 %                 —      1 d 2 h             100.0 %
 2026-03-03 *          1         1      0.0 %            0.0 %                 —          0 s                   —
"""


def test_a_table_is_for_people(cli: Cli, log: Any) -> None:
    out = cli("stats", log(EVENTS), "--by", "day").out
    assert "\x1b" not in out
    lines = [line.rstrip() for line in out.splitlines()]
    start = next(n for n, line in enumerate(lines) if line.startswith(" day"))
    assert lines[start : start + 4] == BY_DAY_TABLE.strip("\n").splitlines()
    assert "* partial:" in out
    assert "not shown: events, hits" in out


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
def test_no_number_is_cut_in_a_narrow_terminal(columns: int) -> None:
    table = Table(
        "by_day", (Column("day", "", ""), *HEADINGS), [("2026-03-02", *[1234567] * (len(HEADINGS) - 2), None, None)]
    )
    found = display_table(table, columns)
    assert found.columns[0].name == "day"
    widths = [max(len(row[n]) for row in found.cells) for n in range(len(found.columns))]
    assert sum(widths) + 3 * len(widths) - 1 <= columns
    left_out = {heading.name for heading in HEADINGS} - {heading.name for heading in found.columns}
    assert all(name in found.notes[-1] for name in left_out)


class Screen(io.BytesIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def on_screen(table: Table, columns: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the lines that a terminal of so many columns shows of a table."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    write_table(Report("test", Accounting(0, 0, 0, 0, 0, 0), [table], table), screen)
    return re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue().decode()).splitlines()


@pytest.mark.parametrize("columns", range(44, 120, 3))
def test_a_terminal_cuts_no_number(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles are folded and measures left out, but what is shown is whole, and no line is broken."""
    headings = [Column("side", "", ""), *(Column(f"remote_hit_rate_{n}", RATIO, "") for n in range(8))]
    table = Table("sides", headings, [("A: the 7 days before", *[0.819] * 8), ("B", *[0.911] * 8)])
    lines = on_screen(table, columns, monkeypatch)
    assert max(map(len, lines)) <= columns
    count = len(display_table(table, columns).columns) - 1
    assert [[line.count(rate) for rate in ("81.9 %", "91.1 %")] for line in lines if "%" in line] == [
        [count, 0],
        [0, count],
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_name_moves_no_cursor(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    names = ["\x1b[31mred\x1b]0;title\x07", "\u202egnorw", "a\rb", "one\ntwo", "日本"]
    table = Table("by_team", [Column("team", "", ""), Column("n", COUNT, "")], [(name, 1) for name in names])
    screen = Screen() if terminal else io.BytesIO()
    monkeypatch.setenv("TERM", "xterm")
    write_table(Report("test", Accounting(0, 0, 0, 0, 0, 0), [table], table), screen)
    text = re.sub(r"\x1b\[[12]m|\x1b\[0m", "", screen.getvalue().decode())
    assert all(character.isprintable() or character == "\n" for character in text), text
    assert [line.split() for line in text.splitlines()[3:-1]] == [
        ["\\x1b[31mred\\x1b]0;title\\x07", "1"],
        ["\\u202egnorw", "1"], ["a\\rb", "1"], ["one", "1"], ["two"], ["日本", "1"],
    ]  # fmt: skip


def test_markdown_escapes(cli: Cli, log: Any) -> None:
    out = cli("stats", log(EVENTS), "--by", "team", "--format", "markdown").out
    assert "| web\\|\\<b\\> | 1 | 1 | 100.0 % |" in out
    assert "| --- | ---: |" in out


def test_json_describes_itself(cli: Cli, log: Any) -> None:
    document = cli("stats", log(EVENTS), "--by", "day", "--format", "json").json
    assert (document["schema_version"], document["command"]) == (1, "stats")
    assert document["input"] == {"read": 2, "kept": 2, "rejected": 0, "filtered": 0, "duplicate": 0, "files": 1}
    assert [table["name"] for table in document["tables"]] == ["totals", "by_day"]
    for table in document["tables"]:
        names = [column["name"] for column in table["columns"]]
        assert all(list(row) == names for row in table["rows"])
        assert all(column["description"] for column in table["columns"])
    assert document["tables"][1]["rows"][0]["first_at"] == "2026-03-02T10:00:00.000Z"


def test_the_data_formats_agree(cli: Cli, log: Any, tmp_path: Path) -> None:
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
def test_what_is_written_is_read_back(cli: Cli, log: Any, tmp_path: Path, suffix: str) -> None:
    first = [event(hash=f"{n}", timestamp=f"2026-03-02T10:00:0{n}Z", slug="a" if n else None) for n in range(5)]
    path = log([*first, event(duration=None, ci='"quoted", é')])
    out = tmp_path / f"out{suffix}"
    query = "SELECT * EXCLUDE (file, position, team) FROM events"
    assert cli("sql", path, query, "-o", out).code == 0
    again = cli("stats", out, "--format", "json")
    assert again.err == ""
    assert again.out == cli("stats", path, "--format", "json").out


def test_nothing_is_overwritten(cli: Cli, log: Any, tmp_path: Path) -> None:
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
