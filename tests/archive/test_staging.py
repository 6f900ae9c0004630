"""NDJSON is read by DuckDB, by Python, or straight into lookups: all find the same events and the same issues."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import Cli, event, ndjson

import analyzer
from analyzer.archive import database, staging

QUERIES = (
    "SELECT * EXCLUDE (file) FROM events ORDER BY position",
    "FROM lookups ORDER BY ALL",
    "SELECT line, item, reason, text FROM rejects ORDER BY line",
    "SELECT read, kept, rejected, unknown_keys FROM files",
)

# Only Python tells the two apart.
SAME_REASON = {"not valid UTF-8": "not JSON"}

FAULTS: tuple[Callable[[bytes], bytes], ...] = (
    lambda line: line[: len(line) // 2],
    lambda line: line.replace(b'"hash":"', b'"hash":"x","hash":"'),
    lambda line: line.replace(b'"hash":"', b'"task":1,"hash":"'),
    lambda line: line.replace(b'"LOCAL"', b'"local"'),
    lambda line: line.replace(b'"duration":', b'"duration":-'),
    lambda line: line.replace(b'"duration":', b'"duration":1.0'),
    lambda line: line.replace(b'"duration":', b'"duration":0.5e'),
    lambda line: line.replace(b'"duration":', b'"duration": '),
    lambda line: line.replace(b"s1", b"\xff\xfe"),
    lambda line: line.replace(b"s1", b"\\u0073\\n"),
    lambda line: line.replace(b"s1", b"s\\ud800"),
    lambda line: line.replace(b'"s1"', b"12"),
    lambda line: line + line,
    lambda line: b"[" + line + b"]",
    lambda line: line + b"\r",
    lambda line: b"\n" + line,
    lambda line: b"  \n\n" + line,
    lambda _: b"null",
    lambda line: b'"' + line[:20],
    lambda line: line[:-1] + b',"ci":"NEW"}',
    lambda line: line[:-1] + b',"ci":null}',
    lambda line: line[:-1] + b',"timestamp":"2026-13-01T00:00:00Z"}',
)


def corrupted_log(seed: int) -> bytes:
    """Return a log of a few hundred events in which a few lines are corrupted."""
    draw = random.Random(seed)  # noqa: S311  (no secret)
    lines = [
        ndjson([event(hash=f"h{draw.randrange(90)}", duration=draw.randrange(99), slug=draw.choice(["a", "b"]))])
        for _ in range(400)
    ]
    data = [line.encode().rstrip(b"\n") for line in lines]
    for place in draw.sample(range(400), draw.randrange(1, 5)):
        data[place] = draw.choice(FAULTS)(data[place])
    return b"\n".join(data) + draw.choice([b"\n", b"", b"\n\n", b"\n  ", b'\n{"sess'])


def relations(cli: Cli, log: Path, archive: Path) -> list[Any]:
    cli("load", log, "--into", archive)
    with duckdb.connect(str(archive), read_only=True) as connection:
        found = [connection.execute(query).fetchall() for query in QUERIES]
    archive.unlink()
    found[2] = [(line, item, SAME_REASON.get(reason, reason), text) for line, item, reason, text in found[2]]
    return found


@pytest.mark.parametrize("seed", range(40))
def test_all_ways_of_reading_find_the_same(
    seed: int, cli: Cli, log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, archive = log(corrupted_log(seed)), tmp_path / "a.duckdb"
    by_duckdb = relations(cli, path, archive)
    totals = ["stats", path, "--by", "day", "--format", "json"]
    lookups_only = cli(*totals).json
    monkeypatch.setattr(staging.Stager, "read_lines", lambda *_: False)
    assert relations(cli, path, archive) == by_duckdb
    assert cli(*totals).json == lookups_only
    (counts,) = by_duckdb[3]
    assert [lookups_only["input"][name] for name in ("read", "kept", "rejected")] == list(counts[:3])


CELLS = {
    "sessionId": ("s1", "s2", "s 3", "", "NULL", "é", "12"), "source": ("LOCAL", "REMOTE", "local", ""),
    "event": ("HIT", "MISS", "hit"), "hash": ("h1", "h2", "NULL", "\\N", "0012"),
    "duration": ("0", "12.5", "1e3", "-1", "fast", "", "012", "1e400", "NULL"),
    "timestamp": ("2026-09-01T10:00:00.000Z", "1790000000", "2026-09-01 10:00:00,5", "yesterday", "", " 1790000000000"),
    "teamId": ("", "team_1"), "slug": ("web", "a,b", "", "x" * 9), "ci": ("GITHUB_ACTIONS", "", "c" * 300),
    "interactive": ("true", "0", "FALSE", "maybe", ""), "status": ("200", "", "ok", "5e2"),
    "extra": ("", "1", "NULL", "é"), "other key": ("", "\\N", "x"),
}  # fmt: skip


def random_csv(seed: int) -> bytes:
    """Return CSV of a few hundred rows: most values are plain, some odd, and some rows too short or too long."""
    draw = random.Random(seed)  # noqa: S311  (no secret)
    names = ["sessionId", "hash", *draw.sample([name for name in CELLS if name not in ("sessionId", "hash")], 8)]
    delimiter, ending = draw.choice([",", ";", "\t"]), draw.choice(["\n", "\r\n"])
    lines = [delimiter.join(names)]
    for _ in range(300):
        cells = [CELLS[name][0 if draw.random() < 0.8 else draw.randrange(len(CELLS[name]))] for name in names]
        cells = cells[: draw.randrange(9)] if draw.random() < 0.02 else cells
        lines.append(delimiter.join(cells) + delimiter * (draw.random() < 0.02))
    lines = [line.lstrip() or "s1" for line in lines]
    text = (ending.join(lines) + draw.choice([ending, ending, ""])).encode()
    return text.replace(b"12.5", b"\xff", draw.randrange(2))


@pytest.mark.parametrize("seed", range(24))
def test_both_ways_of_reading_csv_find_the_same(
    seed: int, cli: Cli, log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, archive = log(random_csv(seed), "log.csv"), tmp_path / "a.duckdb"
    by_duckdb = relations(cli, path, archive)
    monkeypatch.setattr(staging.Stager, "_read_simple_lines", lambda *_: False)
    assert relations(cli, path, archive) == by_duckdb


NUMBERS = ("0", "-0", "7", "1.5", "1e5", "1E22", "10e21", "100e-1", "1e+2", "0.00001", "18446744073709551616", "1.0")
"""Numbers that DuckDB writes longer, shorter, or as they are."""


def draw_member(draw: random.Random) -> tuple[str, str]:
    return draw.choice([("duration", draw.choice(NUMBERS)), ("", "1"), ("extra", '"x"'), ("timestamp", "1e12"),
                        ("ci", '"\\u0041"'), ("n" * draw.randrange(9), '",}"')])  # fmt: skip


@pytest.mark.parametrize("session", ["sessionId", "s"])
@pytest.mark.parametrize("seed", range(10))
def test_no_key_is_overlooked(seed: int, session: str, cli: Cli, log: Any, tmp_path: Path) -> None:
    """Whatever the length of the line: a number or a name may make up for a key too many."""
    draw = random.Random(seed)  # noqa: S311  (no secret)
    lines, duplicate, unknown = [], 0, 0
    for _ in range(300):
        required = [(session, '"s"'), ("source", '"LOCAL"'), ("event", '"HIT"'), ("hash", '"h"')]
        members = [*required, *(draw_member(draw) for _ in range(draw.randrange(4)))]
        draw.shuffle(members)
        space = " " * (draw.random() < 0.2)
        lines.append("{" + ",".join(f'"{key}":{space}{value}' for key, value in members) + "}")
        keys = [key for key, _ in members]
        duplicate += len(set(keys)) < len(keys)
        known = {session, "source", "event", "hash", "duration", "timestamp", "ci"}
        unknown += sum(key not in known for key in keys)
    options = ["--map", "sessionId=s"] if session == "s" else []
    archive = tmp_path / "a.duckdb"
    assert cli("load", log("\n".join(lines)), "--into", archive, *options).code == 0
    with duckdb.connect(str(archive), read_only=True) as connection:
        assert connection.execute("SELECT read, rejected, unknown_keys FROM files").fetchall() == [
            (300, duplicate, unknown)
        ]


@pytest.mark.slow
@pytest.mark.parametrize("gathered", ["an event a line", "a batch a line"])
def test_lines_that_fill_the_memory_are_read_in_pieces(
    gathered: str, cli: Cli, log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = list[object]()
    monkeypatch.setattr(
        staging,
        "whole_line_pieces",
        lambda chunks, pieces=staging.whole_line_pieces: calls.append(chunks) or pieces(chunks),
    )
    monkeypatch.setattr(database, "BASE_MEMORY_MB", 250)
    monkeypatch.setattr(database, "MEMORY_MB_PER_THREAD", 0)
    long = [event(hash=f"h{n}", note="x" * (n and (1 << 20) - 1000)) for n in range(100)]
    lines = [json.dumps([one] if "batch" in gathered else one) for one in long]
    lines[7] = lines[7][:30]
    events, _, rejects, files = relations(cli, log("\n".join(lines)), tmp_path / "a.duckdb")
    assert [(row[3], row[-1]) for row in events] == [(f"h{n}", n + 1) for n in range(100) if n != 7]
    assert [reject[:3] for reject in rejects] == [(8, 1, "not JSON")]
    assert files == [(100, 99, 1, 99)]
    assert calls


@pytest.mark.parametrize("name", ["bad.ndjson", "bad.csv"])
def test_a_database_error_costs_one_file_alone(name: str, log: Any, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database fails after it has staged events of the file; such as with a full disk."""
    content = ndjson([event()]) if name == "bad.ndjson" else "sessionId,source,event,hash\ns,LOCAL,HIT,h\n"
    bad, good = log(content, name), log([event(hash="h2")], "good.ndjson")
    stage = staging.Stager._stage  # noqa: SLF001  (the place where the database may fail)

    def failing(self: Any, report: Any, *arguments: Any) -> None:
        stage(self, report, *arguments)
        if report.name == str(bad):
            raise duckdb.IOException("IO Error: no space left")

    monkeypatch.setattr(staging.Stager, "_stage", failing)
    result = cli("stats", bad, good, "--by", "hash", "--format", "json")
    assert (result.code, f"{bad}: the database failed (IO Error: no space left)" in result.err) == (3, True)
    assert [row["hash"] for row in result.table("by_hash")] == ["h2"]
    with pytest.raises(analyzer.InputError, match="the database failed"):
        analyzer.load(bad)


def test_python_users_get_no_error_of_the_database(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with analyzer.load(log([event()])) as opened:
        monkeypatch.setattr("analyzer.questions.groups.COVERED_PERIOD", "SELECT error('no space left') FROM log_period")
        with pytest.raises(analyzer.ArchiveError, match=r"^the database failed: .*no space left"):
            opened.stats(by="day")
