"""Items longer than the window are one item each, wherever they start, and rejects show no token."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, event, ndjson
from hypothesis import given
from hypothesis import strategies as st

from analyzer.readers import array, delimited, har, item
from analyzer.readers.array import BracketCounter, read_array
from analyzer.readers.item import ReaderOptions

GOOD, COMPACT = json.dumps(event()), ndjson([event()]).strip()
TOKEN = "secret-token-of-the-team"  # noqa: S105  (of nobody)


def entry(number: int, filler: str = "", path: str = "/v8/artifacts/events") -> dict[str, Any]:
    body = json.dumps([event(hash=f"h{number}")]) if path.endswith("events") else filler
    headers = [
        {"name": "authorization", "value": f"Bearer {TOKEN}"},
        {"name": "x-artifact-client-ci", "value": "DRONE"},
    ]
    return {
        "startedDateTime": "2026-09-01T00:00:00Z",
        "request": {"method": "POST" if path.endswith("events") else "PUT", "url": f"https://c.example{path}",
                    "headers": headers, "postData": {"text": body}},
        "response": {"status": 200, "content": {"text": filler}},
    }  # fmt: skip


FILLERS = {
    "base64": "QUJD" * 400_000,
    "quotes and brackets": '"]},{\\' * 300_000,
    "other letters": "😀é\n" * 400_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("packed", ["plain", "gzip"])
@pytest.mark.parametrize("filler", FILLERS)
def test_long_entries_of_a_har_hide_no_events(
    filler: str, packed: str, indent: int | None, tmp_path: Path, cli: Cli
) -> None:
    text, long = FILLERS[filler], "/v8/artifacts/0123"
    entries = [entry(0, text, long), entry(1), entry(2, text, long), entry(3, text), entry(4), entry(5, text, long)]
    content = json.dumps({"log": {"version": "1.2", "entries": entries}}, indent=indent).encode()
    (path := tmp_path / "log.har").write_bytes(gzip.compress(content, 1) if packed == "gzip" else content)
    result = cli("sql", path, "SELECT hash, ci FROM events ORDER BY hash", "--format", "csv")
    assert result.out == "hash,ci\nh1,DRONE\nh3,DRONE\nh4,DRONE\n"
    assert result.err == f"note: {path}: requests or lines that report no events: 3\n"


@pytest.mark.parametrize("broken", ["cut", "a comma less", "a quote less"])
def test_a_broken_har_shows_no_token(broken: str, tmp_path: Path, cli: Cli) -> None:
    entries = [entry(0), entry(1, FILLERS["base64"], "/v8/artifacts/1"), entry(2), entry(3)]
    text = json.dumps({"log": {"entries": entries}})
    spoiled = {
        "cut": text[: len(text) - 700],
        "a comma less": text.replace('"QUJD', '"a" "QUJD', 1),
        "a quote less": text.replace('QJD"', "QJD", 1).replace('"headers"', '"headers', 1),
    }[broken]
    (path := tmp_path / "log.har").write_text(spoiled)
    result = cli("stats", path, "--rejects", tmp_path / "rejects.ndjson", "--format", "json")
    assert result.json["input"]["rejected"] > 0
    assert TOKEN not in (tmp_path / "rejects.ndjson").read_text() + result.err + result.out


def test_an_entry_that_is_too_long_is_one_reject_if_it_may_report_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    for module in (array, har):
        monkeypatch.setattr(module, "MAX_VALUE_CHARS", 3 << 20, raising=False)
    text = "x" * (5 << 20)
    entries = [entry(0), entry(1, text, "/v8/artifacts/1"), entry(2, text), entry(3)]
    (path := tmp_path / "log.har").write_text(json.dumps({"log": {"entries": entries}}))
    result = cli("stats", path, "--rejects", tmp_path / "rejects.ndjson", "--format", "json")
    assert (result.json["input"]["kept"], result.json["input"]["rejected"]) == (2, 1)
    (reject,) = (json.loads(line) for line in (tmp_path / "rejects.ndjson").read_text().splitlines())
    assert reject["reason"].startswith("longer than ")
    assert reject["text"] == '"method": "POST", "url": "https://c.example/v8/artifacts/events"'


@pytest.mark.parametrize("indent", [None, 1])
def test_a_long_item_of_an_array_is_one_item(indent: int | None, log: Any, cli: Cli) -> None:
    events = [event(hash="a"), event(hash="b" * 3_000_000), {**event(hash="c"), "more": [FILLERS["base64"]]}, event()]
    result = cli("stats", log(json.dumps(events, indent=indent)), "--format", "json")
    assert (result.json["input"]["kept"], result.json["input"]["rejected"]) == (2, 2)
    assert result.err.count("longer than 1 MiB, which is not read") == 2
    lines = cli("stats", log(ndjson(events)), "--format", "json")
    assert (lines.json["input"], lines.err.count("longer than 1 MiB")) == (result.json["input"], 2)


def test_a_line_of_many_nested_objects_is_a_reject(log: Any, cli: Cli) -> None:
    """It takes more memory than the database may use."""
    deep = event(hash="deep") | {"x": [{"a": {"b": {}}}] * 300_000}
    for text in (ndjson([event(), deep, event(hash="h2")]), json.dumps([event(), deep, event(hash="h2")])):
        result = cli("stats", log(text), "--format", "json")
        assert (result.json["input"]["kept"], result.json["input"]["rejected"]) == (2, 1), result.err


OPTIONS = ReaderOptions({}, 600)
TEXTS = st.text(st.sampled_from('ab"\\{}[],:\n é😀'), max_size=30)
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(values=st.lists(st.dictionaries(TEXTS, VALUES, max_size=5), max_size=6), indent=st.sampled_from([None, 1]),
       window=st.integers(1, 40), piece=st.integers(1, 9))  # fmt: skip
def test_windows_of_any_size_give_the_same_items(
    values: list[Any], indent: int | None, window: int, piece: int
) -> None:
    content = json.dumps(values, indent=indent, ensure_ascii=False).encode()
    pieces = iter([content[start : start + piece] for start in range(0, len(content), piece)])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(array, "WINDOW_CHARS", window)
        found = list(read_array(pieces, OPTIONS))
    assert [one.problem for one in found] == [None] * len(values)
    assert [json.loads(one.text) for one in found] == values


@given(value=st.dictionaries(TEXTS, VALUES, min_size=1), piece=st.integers(1, 9), after=TEXTS)
def test_brackets_are_counted_across_pieces(value: dict[str, Any], piece: int, after: str) -> None:
    text = json.dumps(value)
    brackets, place = BracketCounter(), 0
    for start in range(0, len(text + after), piece):
        end = brackets.find_end((text + after)[start : start + piece])
        if end is not None:
            place = start + end
            break
    assert place == len(text)


@pytest.mark.parametrize("name", ["authorization", "http_Authorization"])
def test_a_broken_line_of_a_request_log_shows_no_token(name: str, tmp_path: Path, cli: Cli) -> None:
    whole = json.dumps({"received_at": "2026-09-01T00:00:00Z", "method": "POST", "path": "/v8/artifacts/events",
                        "headers": {name: f"Bearer {TOKEN}"}, "status": 200, "body": [event()]})  # fmt: skip
    (path := tmp_path / "log.ndjson").write_text(f"{whole}\n{whole[:-3]}\n{whole}\n")
    result = cli("stats", path, "--rejects", tmp_path / "rejects.ndjson", "--format", "json")
    assert (result.json["input"]["kept"], result.json["input"]["rejected"]) == (2, 1)
    told = (tmp_path / "rejects.ndjson").read_text()
    assert TOKEN not in told + result.err + result.out
    assert '"method' in json.loads(told)["text"]


def test_reading_csv_restores_the_field_size_limit(cli: Cli, log: Any) -> None:
    before = csv.field_size_limit()
    path = log("sessionId,source,event,hash,ci\n" + f"s,LOCAL,HIT,{'h' * (before + 1)},\n", "csv")
    assert cli("stats", path, "--format", "json").json["input"]["kept"] == 1
    assert csv.field_size_limit() == before


def test_concurrent_csv_readers_restore_the_field_size_limit() -> None:
    before = csv.field_size_limit()
    long = f"s,{'h' * (before + 1)}\n".encode()
    first, second = (delimited.reader(",")(iter([b"sessionId,hash\n", long, long]), OPTIONS) for _ in range(2))
    assert [next(first).problem, next(second).problem] == [None, None]
    assert [item.problem for item in first] == [item.problem for item in second] == [None]
    assert csv.field_size_limit() == before


BIG = "y" * (17 << 20)
LONG = {
    "ndjson": lambda: [f"{GOOD}\n{BIG}\n{GOOD}\n", json.dumps(event(hash="a")) + f"\n{BIG}\n{GOOD}"],
    "fast": lambda: [f"{COMPACT}\n{json.dumps(event(hash=BIG))}\n{COMPACT}\n"],
    "nul": lambda: [f"{COMPACT}\n" + "\0" * (4 << 20) + f"\n{COMPACT}\n"],
    "batches": lambda: [f"[{GOOD}]\n[{json.dumps(event(more=BIG))},{GOOD}]\n{BIG}\n"],
    "array": lambda: [f"[{GOOD},\n{json.dumps(event(more=BIG))},\n{GOOD}]"],
    "requests": lambda: [json.dumps({"path": "/v8/artifacts/events", "body": [event(), event(more=BIG), event()]})],
    "csv": lambda: [f"sessionId,source,event,hash,more\ns,LOCAL,HIT,h,\ns,LOCAL,HIT,h,{BIG}\ns,LOCAL,HIT,h,\n"],
}


@pytest.mark.parametrize("kind", LONG)
def test_an_item_that_is_too_long_is_a_reject_and_the_rest_is_loaded(kind: str, log: Any, cli: Cli) -> None:
    for text in LONG[kind]():
        path = log(text)
        for options in ([], ["--by", "session"]):
            result = cli("stats", path, *options, "--rejects", path.with_name("r"), "--force", "--format", "json")
            assert (result.code, result.json["input"]["kept"]) == (0, 2), result.err
            found = [json.loads(line) for line in path.with_name("r").read_text().splitlines()]
            assert {one["reason"] for one in found} <= {"longer than 1 MiB, which is not read", "not JSON"}
            assert all(len(one["text"]) <= 200 for one in found)
            assert len(found) == result.json["input"]["rejected"] > 0


@pytest.mark.parametrize("piece", [1, 7, 50])
def test_only_the_beginning_of_a_very_long_line_is_read(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item, "MAX_LINE_BYTES", 20)
    content = b"short\n" + b"x" * 20 + b"middle" * 9 + b"end\nlast"
    found = list(item.raw_lines(content[at : at + piece] for at in range(0, len(content), piece)))
    assert [found[0], found[2], len(found)] == [b"short\n", b"last", 3]
    assert content[6:].startswith(found[1].rstrip(b"\n"))
    assert b"end" not in found[1]
