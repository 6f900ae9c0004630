"""The fast reading of NDJSON gives what reading every line by its text gives, whatever is wrong with the log."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import Cli, event, ndjson

from analyzer.archive import database, doubt, item_file, stager

ALL = (
    "SELECT * EXCLUDE (file) FROM events ORDER BY position",
    "SELECT * EXCLUDE (session_id, hash_id) FROM lookups ORDER BY ALL",
    "SELECT line, item, reason, text FROM rejects ORDER BY line",
    "SELECT read, kept, rejected, unknown_keys FROM files",
)

# The text of a line is known to be no UTF-8 only where the line itself is read.
ALIKE = {"not valid UTF-8": "not JSON"}

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


def spoiled(seed: int) -> bytes:
    """Write a log of a few hundred events in which a few lines are spoiled."""
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
        found = [connection.execute(question).fetchall() for question in ALL]
    archive.unlink()
    found[2] = [(line, item, ALIKE.get(reason, reason), text) for line, item, reason, text in found[2]]
    return found


@pytest.mark.parametrize("seed", range(60))
def test_faults_are_found_either_way(
    seed: int, cli: Cli, log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, archive = log(spoiled(seed)), tmp_path / "a.duckdb"
    monkeypatch.setattr(stager, "LARGE_BYTES", 0)
    fast = relations(cli, path, archive)
    monkeypatch.setattr(stager.Stager, "direct", lambda *_: None)
    assert relations(cli, path, archive) == fast


def test_lines_in_doubt_alone_are_read_again(
    cli: Cli, log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log with few faults never takes the slow way."""
    slow: list[Any] = []
    monkeypatch.setattr(stager.Stager, "_stage_checked", lambda *arguments: slow.append(arguments))
    path = log(ndjson([event(hash=f"h{n}") for n in range(100)]) + '{"sessionId":\n' + ndjson([event(duration=1.5)]))
    assert relations(cli, path, tmp_path / "a.duckdb")[2] == [(101, 1, "not JSON", '{"sessionId":')]
    assert not slow


def test_a_blank_line_moves_no_doubt(cli: Cli, log: Any, tmp_path: Path) -> None:
    """The line before the one in doubt is a character longer, as much as the blank one takes: sizes add up."""
    many = [event(hash=f"h{n:03d}") for n in range(100)]
    doubted, before = event(hash="h", duration=1.5), event(hash="b", event="MISS", duration=0)
    before["hash"] += "x" * (len(json.dumps(doubted)) + 1 - len(json.dumps(before)))
    lines = [*many, before, doubted]
    blank = ndjson(many) + "\n" + ndjson([before, doubted])
    found = [relations(cli, log(text), tmp_path / "a.duckdb")[0] for text in (ndjson(lines), blank)]
    last = [("MISS", before["hash"], 0), ("HIT", "h", 1.5)]
    assert [[row[2:5] for row in rows[-2:]] for rows in found] == [last, last]


def test_contexts_that_few_events_have_are_looked_up(
    cli: Cli, log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stager, "LARGE_BYTES", 0)
    contexts: list[dict[str, Any]] = [
        {}, {"ci": "A"}, {"slug": "B"}, {"teamId": "C", "slug": "é\"'"}, {"interactive": 1}, {"interactive": False},
        *({"slug": f"t{n}", "ci": f"c{n}"} for n in range(40)),
    ]  # fmt: skip
    path = log([event(sessionId=f"s{n}", hash=f"h{n}", **context) for n, context in enumerate(contexts)])
    found = relations(cli, path, tmp_path / "a.duckdb")[0]
    written = [(c.get("teamId"), c.get("slug"), c.get("ci"), _flag(c.get("interactive"))) for c in contexts]
    assert [(row[6], row[7], row[9], row[10]) for row in found] == written


def _flag(value: Any) -> bool | None:
    return None if value is None else bool(value)


def test_most_doubt_takes_the_slow_way(cli: Cli, log: Any, tmp_path: Path) -> None:
    path = log(json.dumps(event()) + "\n" + ndjson([event(duration=1.5)] * 3))
    assert doubt.MOST < 0.5
    assert relations(cli, path, tmp_path / "a.duckdb")[3] == [(4, 4, 0, 0)]


@pytest.mark.parametrize("gathered", ["an event a line", "a batch a line"])
def test_lines_that_fill_the_memory_are_read_in_pieces(
    gathered: str, cli: Cli, log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = list[object]()
    monkeypatch.setattr(
        item_file,
        "whole_line_pieces",
        lambda chunks, pieces=item_file.whole_line_pieces: cut.append(chunks) or pieces(chunks),
    )
    monkeypatch.setattr(database, "MEMORY_MB_BASE", 250)
    monkeypatch.setattr(database, "MEMORY_MB_A_THREAD", 0)
    long = [event(hash=f"h{n}", note="x" * (n and 1 << 20)) for n in range(100)]
    lines = [json.dumps([one] if "batch" in gathered else one) for one in long]
    lines[7] = lines[7][:30]
    events, _, rejects, files = relations(cli, log("\n".join(lines)), tmp_path / "a.duckdb")
    assert [(row[3], row[-1]) for row in events] == [(f"h{n}", n + 1) for n in range(100) if n != 7]
    assert [reject[:3] for reject in rejects] == [(8, 1, "not JSON")]
    assert files == [(100, 99, 1, 99)]
    assert cut
