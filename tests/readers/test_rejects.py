"""Every item that is not a valid event is rejected with its place; nothing is converted, nothing is lost."""

import contextlib
import gzip
import json
import random
import zlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import Cli, event, ndjson

from analyzer.readers.formats import HEAD_BYTES

GOOD = json.dumps(event())
COMPACT = ndjson([event()]).strip()

NO_TIME = "timestamp is not a time (ISO 8601, or seconds or milliseconds since 1970)"
BAD_LINES = [
    ('{"sessionId":"s","source":"LOCAL"', "cut off: the file ends inside this item"),
    ("not json", "not JSON"),
    ("[1]", "not a JSON object"),
    ('"text"', "not a JSON object"),
    (json.dumps(event()) + json.dumps(event()), "not JSON"),
    (json.dumps(event())[:-1] + ",}", "not JSON"),
    (json.dumps(event())[:-1] + ', "hash": "h2"}', 'duplicate key "hash"'),
    (json.dumps(event())[:-1] + ', "slug": "a", "slug": "a"}', 'duplicate key "slug"'),
    (json.dumps(event())[:-1] + ', "x": NaN}', "not JSON"),
    (json.dumps(event())[:-1] + ', "x": [1, -Infinity]}', "not JSON"),
    (json.dumps(event())[:-1] + ', "x": {"a": 1, "a": 2}}', 'duplicate key "a"'),
    (json.dumps(event())[:-1] + ', "x": [{"b": {"a": 1, "\\u0061": 2}}]}', 'duplicate key "a"'),
    (
        json.dumps(event())[:-1] + f', "x": {"[" * 300 + "]" * 300}}}',
        "nested more than 200 levels deep, which is not read",
    ),
    (json.dumps(event(sessionId=...)), "sessionId is missing"),
    (json.dumps(event(sessionId=None)), "sessionId is missing"),
    (json.dumps(event(sessionId="")), "sessionId is empty"),
    (json.dumps(event(sessionId=7)), "sessionId is not a string"),
    (json.dumps(event(hash=...)), "hash is missing"),
    (json.dumps(event(hash="")), "hash is empty"),
    (json.dumps(event(hash=1234567890123456)), "hash is not a string"),
    (json.dumps(event(hash=["h"])), "hash is not a string"),
    (json.dumps(event(source=...)), "source is missing"),
    (json.dumps(event(source="local")), "source is not LOCAL or REMOTE"),
    (json.dumps(event(event="HITS")), "event is not HIT or MISS"),
    (json.dumps(event(event=...)), "event is missing"),
    (json.dumps(event(duration="12")), "duration is not a number"),
    (json.dumps(event(duration=True)), "duration is not a number"),
    (json.dumps(event(duration=[1])), "duration is not a number"),
    (json.dumps(event(duration=-1)), "duration is negative"),
    (json.dumps(event(duration=float("nan"))), "duration is not finite"),
    (json.dumps(event(duration=float("inf"))), "duration is not finite"),
    (json.dumps(event(duration=0)).replace(": 0", ": 1e400"), "duration is not finite"),
    (
        json.dumps(event(timestamp="yesterday")),
        NO_TIME,
    ),
    (
        json.dumps(event(timestamp="2026-02-30T00:00:00Z")),
        NO_TIME,
    ),
    (
        json.dumps(event(timestamp="infinity")),
        NO_TIME,
    ),
    (json.dumps(event(timestamp=True)), NO_TIME),
    (json.dumps(event(timestamp=1e30)), NO_TIME),
    (json.dumps(event(ci="x" * 51)), "ci is longer than 50 characters"),
    (json.dumps(event(ci=5)), "ci is not a string"),
    (json.dumps(event(slug=5)), "slug is not a string"),
    (json.dumps(event(interactive=2)), "interactive is not 0 or 1"),
    (json.dumps(event(interactive="yes")), "interactive is not 0 or 1"),
    (json.dumps(event(status="fine")), "status is not an integer"),
    (json.dumps(event(hash="h\ud800")), "not JSON"),
    ('{"sessionId":"s\x00","source":"LOCAL","event":"HIT","hash":"h"}', "not JSON"),
]


def rejects(cli: Cli, path: Path, *options: str) -> list[dict[str, Any]]:
    out = path.with_name("rejects.ndjson")
    result = cli("stats", path, "--rejects", out, "--force", "--format", "json", *options)
    found = [json.loads(line) for line in out.read_text().splitlines()]
    accounting = result.json["input"]
    assert result.code == (3 if found and not accounting["kept"] else 0), result.err
    assert accounting["rejected"] == len(found)
    assert accounting["read"] == accounting["kept"] + accounting["rejected"]
    return found


@pytest.mark.parametrize(
    ("line", "reason"), BAD_LINES, ids=[reason + str(n) for n, (_, reason) in enumerate(BAD_LINES)]
)
def test_a_bad_line_is_a_reject(cli: Cli, log: Any, line: str, reason: str) -> None:
    end = "" if reason.startswith("cut") else "\n" + GOOD
    path = log(f"{GOOD}\n\n  \t\n{GOOD}\n{line}{end}")
    assert rejects(cli, path) == [
        {"file": str(path), "line": 5, "item": 1, "reason": reason, "text": line.replace("\x00", "\x00")[:200]}
    ]


@pytest.mark.parametrize(
    "line",
    [
        json.dumps(event(duration=None)),
        json.dumps(event(duration=...)),
        json.dumps(event(duration=1.5e3)),
        json.dumps(event(duration=2**60)),
        json.dumps(event(timestamp=1795408393528)),
        json.dumps(event(timestamp="2026-03-02")),
        json.dumps(event(timestamp="2026-03-02T10:00:00.123456+02:00")),
        json.dumps(event(timestamp="2026-03-02 10:00:00")),
        json.dumps(event(timestamp=None)),
        json.dumps(event(hash='é\\"\u2028 h')),
        json.dumps(event(hash=",}")),
        json.dumps(event(ci="é" * 50)),
        json.dumps(event(interactive=1)),
        json.dumps(event(interactive=False)),
        json.dumps(event(slug="")),
        json.dumps(event(nested={"a": [1, {"b": 2}]})),
        "  " + GOOD + "  \r",
    ],
)
def test_a_valid_line_is_loaded(cli: Cli, log: Any, line: str) -> None:
    assert rejects(cli, log(f"{line}\n{GOOD}\n")) == []


def test_invalid_utf8(cli: Cli, log: Any) -> None:
    bad = GOOD.encode().replace(b"h1", b"\xff")
    found = rejects(cli, log(GOOD.encode() + b"\n" + bad + b"\n"))
    assert [(one["line"], one["reason"]) for one in found] == [(2, "not JSON")]
    batches = rejects(cli, log(b"[" + GOOD.encode() + b"," + bad + b"]\n", "b"))
    assert [(one["line"], one["item"], one["reason"]) for one in batches] == [(1, 2, "not valid UTF-8")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"[{GOOD}, 5, {GOOD}]\n[{GOOD}, {GOOD}", [(1, 2), (2, 3)]),
        (f"[{GOOD},\n{GOOD},\n 5, [{GOOD}],\n{GOOD[:-1]}", [(3, 1), (3, 2), (4, 1)]),
        (f'[\n{GOOD},\n{{"sessionId" 5}},\n{GOOD}]', [(3, 1)]),
        (f"[\n{GOOD}\n] junk", [(3, 1)]),
        (f"[{GOOD}]\nbroken\n[{GOOD}]\n", [(2, 1)]),
    ],
    ids=["batches", "array cut off", "array broken inside", "after the array", "a broken line"],
)
def test_places_in_arrays(cli: Cli, log: Any, text: str, expected: list[tuple[int, int]]) -> None:
    assert [(one["line"], one["item"]) for one in rejects(cli, log(text))] == expected


def test_places_in_requests(cli: Cli, log: Any) -> None:
    lines = [
        {"path": "/v8/artifacts/events", "body": [event(), event(hash=5)]},
        {"path": "/v8/artifacts/0123", "method": "GET", "body": ""},
        {"path": "/v8/artifacts/events", "body": json.dumps([event(duration="5")])},
        {"path": "/v8/artifacts/events", "body": ""},
        {"path": "/v8/artifacts/events", "body": {"a": 1}},
        {"path": "/v8/artifacts/events", "headers": {"X-Artifact-Client-CI": "c" * 51}, "body": [event()]},
    ]
    path = log("\n".join(map(json.dumps, lines)) + '\n{"path": "/v8/artifacts/events", "bo')
    found = [(one["line"], one["item"], one["reason"]) for one in rejects(cli, path)]
    assert found == [
        (1, 2, "hash is not a string"),
        (3, 1, "duration is not a number"),
        (4, None, "the request's body was not logged"),
        (5, None, "the request's body is not a JSON array"),
        (6, 1, "ci is longer than 50 characters"),
        (7, None, "cut off: the file ends inside this item"),
    ]


def test_places_in_csv(cli: Cli, log: Any) -> None:
    header = "sessionId,source,event,hash,duration\n"
    text = header + 's,LOCAL,HIT,"a\nb",1\ns,LOCAL,HIT,h\ns,LOCAL,HIT,h,fast\n\ns,LOCAL,HIT,,\n'
    found = [(one["line"], one["reason"], one["text"]) for one in rejects(cli, log(text))]
    assert found == [
        (4, "4 fields where the header has 5", "s,LOCAL,HIT,h"),
        (5, "duration is not a number", "s,LOCAL,HIT,h,fast"),
        (7, "hash is missing", "s,LOCAL,HIT,,"),
    ]


def test_a_quote_that_is_not_closed_costs_its_line_alone(cli: Cli, log: Any) -> None:
    rows = [
        's,LOCAL,HIT,"a,1',
        "s,LOCAL,HIT,b,2",
        's,LOCAL,HIT,"c",3',
        "s,LOCAL,HIT,d\re,4",
        's,LOCAL,HIT,"f,5',
        "s,,,g,6",
    ]
    path = log("sessionId,source,event,hash,duration\n" + "\n".join(rows) + "\n")
    found = [(one["line"], one["reason"], one["text"]) for one in rejects(cli, path)]
    assert found == [
        (2, "not CSV: text after a closing quote, or a quote is not closed", rows[0]),
        (5, "not CSV: a carriage return outside quotes", rows[3]),
        (6, "not CSV: a quote is not closed", rows[4]),
        (7, "source is missing", rows[5]),
    ]
    assert cli("stats", path, "--format", "json").json["input"]["kept"] == 2


def test_a_quote_that_closes_too_late_costs_its_line_alone(cli: Cli, log: Any) -> None:
    path = log('sessionId,source,event,hash\ns,LOCAL,HIT,"a\ns,LOCAL,HIT,b\ns,LOCAL,HIT,c",d\n')
    assert [(one["line"], one["reason"]) for one in rejects(cli, path)] == [
        (2, "5 fields where the header has 4"),
        (4, "5 fields where the header has 4"),
    ]


@pytest.mark.parametrize("body", ["[{},]", "[,{}]", "[{},,{}]"])
def test_a_comma_without_an_item_is_one_reject(cli: Cli, log: Any, body: str) -> None:
    events = body.replace("{}", GOOD)
    request = json.dumps({"path": "/v8/artifacts/events", "body": events})
    for text in (f"[]\n{events}\n", events.replace("[", "[\n"), request):
        assert [one["reason"] for one in rejects(cli, log(text))] == ["a comma without an item"]


def test_an_event_in_a_request_log_is_called_so(cli: Cli, log: Any) -> None:
    request = json.dumps({"path": "/v8/artifacts/events", "body": [event()]})
    assert [one["reason"] for one in rejects(cli, log(f"{request}\n{GOOD}\n"))] == [
        "an event where a request is expected"
    ]


def test_an_empty_body_is_a_log_of_no_events(cli: Cli, log: Any) -> None:
    result = cli("stats", path := log("[]\n"))
    assert (result.code, f"{path}: it contains no events" in result.err) == (0, True)


def test_strict_fails_on_the_first(cli: Cli, log: Any) -> None:
    path = log(f"{GOOD}\nbad one\nbad two\n")
    result = cli("stats", path, "--strict")
    assert result.code == 1
    assert f"{path}:2: not JSON: bad one" in result.err
    assert result.out == ""


def test_stderr_names_the_first_rejects(cli: Cli, log: Any) -> None:
    result = cli("stats", log(GOOD + "\n" + "bad\n" * 5))
    assert "5 of 6 events rejected; --rejects FILE lists all" in result.err
    assert result.err.count("not JSON") == 3


def test_the_text_is_cut_at_200_characters(cli: Cli, log: Any) -> None:
    found = rejects(cli, log(GOOD + "\n" + "é" * 300 + "\n"))
    assert found[0]["text"] == "é" * 200


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_file_cut_off_in_its_compression(cli: Cli, tmp_path: Path, keep: float) -> None:
    data = ndjson(event(hash=f"{n * 7919:x}") for n in range(20_000)).encode()
    packed = gzip.compress(data)
    (path := tmp_path / "log.gz").write_bytes(packed[: int(len(packed) * keep)])
    result = cli("stats", path, "--format", "json")
    assert result.code == 0
    assert "gzip data is cut off; everything before that was read" in result.err
    assert keep - 0.1 < result.json["input"]["kept"] / 20_000 < keep + 0.1
    assert result.json["input"]["rejected"] <= 1


@pytest.mark.parametrize(
    ("line", "reason"), BAD_LINES[1:], ids=[f"{reason}{n}" for n, (_, reason) in enumerate(BAD_LINES[1:])]
)
def test_compact_logs_have_the_same_rejects(cli: Cli, log: Any, line: str, reason: str) -> None:
    """The fast path for compact logs, chosen by the first megabyte, finds the faults after it."""
    compact = line.replace('": ', '":').replace(', "', ',"')
    good = (COMPACT + "\n") * (HEAD_BYTES // len(COMPACT) + 1)
    found = rejects(cli, log(f"{good}{compact}\n{COMPACT}\n"))
    assert [(one["line"], one["reason"], one["text"]) for one in found] == [
        (good.count("\n") + 1, reason, compact[:200])
    ]


@pytest.mark.parametrize(
    "line", [COMPACT[:-1] + ',"x":1}', COMPACT + " ", COMPACT.replace(":10", ":1e1"), "", COMPACT + "\r"]
)
def test_unusual_lines_of_compact_logs_are_loaded(cli: Cli, log: Any, line: str) -> None:
    good = (COMPACT + "\n") * (HEAD_BYTES // len(COMPACT) + 1)
    assert rejects(cli, log(f"{good}{line}\n{COMPACT}\n")) == []


@pytest.mark.parametrize("place", [0, 1, 2])
def test_half_a_surrogate_pair_in_a_compact_log_costs_its_line(cli: Cli, log: Any, place: int) -> None:
    lines = [COMPACT, COMPACT]
    lines.insert(place, COMPACT.replace("h1", r"h\ud800"))
    found = rejects(cli, log("\n".join(lines) + "\n"))
    assert [(one["line"], one["reason"], one["text"]) for one in found] == [(place + 1, "not JSON", lines[place])]


DEEP = "[" * 5000 + "]" * 5000
LONG = json.dumps(event(duration=0)).replace(": 0", ": " + "1" * 5000)


@pytest.mark.parametrize("odd", [LONG, json.dumps(event(x=1))[:-2] + DEEP + "}"], ids=["a long number", "deep nesting"])
def test_json_that_python_cannot_parse(cli: Cli, log: Any, odd: str) -> None:
    """In every format, an item that the parser refuses costs that item alone."""
    request = f'{{"path": "/v8/artifacts/events", "body": [{odd}]}}'
    entry = {"request": {"method": "POST", "url": "/artifacts/events", "postData": {"text": f"[{odd}]"}}}
    wholes = [
        f"{GOOD}\n{odd}\n",
        f"[{GOOD}]\n[{odd}]\n",
        f"[{GOOD},\n{odd}]",
        json.dumps({"log": {"entries": [entry]}}),
    ]
    for whole in [*wholes, f'{{"body": [{GOOD}]}}\n{request}\n']:
        result = cli("stats", log(whole), "--format", "json")
        counts = result.json["input"]
        assert result.code == (0 if counts["kept"] else 3), result.err
        assert counts["read"] == counts["kept"] + counts["rejected"] > 0


def test_a_har_goes_on_behind_a_broken_entry(cli: Cli, log: Any) -> None:
    def entry(name: str) -> str:
        body = json.dumps([event(hash=name)])
        return json.dumps({"request": {"method": "POST", "url": "/v8/artifacts/events", "postData": {"text": body}}})

    pages = ",".join('{"id":\n"p"}' for _ in range(60))
    text = (
        f'{{"log": {{"pages": [{pages}],\n"entries": [{entry("a")},{{"request": broken}},{entry("b")},{entry("c")}]}}}}'
    )
    assert [one["reason"] for one in rejects(cli, log(text))] == ["not JSON"]
    assert cli("stats", log(text), "--format", "json").table("totals")[0]["lookups"] == 3


def test_many_fractional_durations_in_one_lookup(cli: Cli, log: Any) -> None:
    """Fractional numbers, whose length in the file is unknown, do not disturb the byte count of other rows."""
    path = log([event(duration=1.5)] * 20 + [event(hash=f"{n}") for n in range(20)])
    totals = cli("stats", path, "--format", "json")
    assert (totals.json["input"]["kept"], totals.table("totals")[0]["time_saved_ms"]) == (40, 201.5)


def test_the_last_row_of_cut_csv_is_no_event(cli: Cli, tmp_path: Path) -> None:
    """A number without its last digits is still a number; all of these have six."""
    rows = [f"s,LOCAL,HIT,h{n},{zlib.crc32(str(n).encode()) % 900_000 + 100_000}" for n in range(400)]
    data = gzip.compress("\n".join(["sessionId,source,event,hash,duration", *rows]).encode())
    for end in range(len(data) - 300, len(data) - 260):
        (path := tmp_path / "cut.csv.gz").write_bytes(data[:end])
        found = cli("sql", path, "SELECT count(*) AS n FROM events WHERE duration < 100000", "--format", "json")
        assert found.json["tables"][0]["rows"] == [{"n": 0}], end


def test_a_carriage_return_survives_csv(cli: Cli, log: Any, tmp_path: Path) -> None:
    cli("sql", log([event(hash="x\ry"), event()]), "FROM events", "-o", tmp_path / "back.csv")
    query = ["SELECT hash FROM events ORDER BY position", "--map", "sessionId=session"]
    found = cli("sql", tmp_path / "back.csv", *query, "--format", "json")
    assert [row["hash"] for row in found.json["tables"][0]["rows"]] == ["x\ry", "h1"]


def kept(cli: Cli, path: Path) -> list[str]:
    rows = cli("sql", path, "SELECT hash FROM events ORDER BY position", "--format", "json")
    return [row["hash"] for row in rows.json["tables"][0]["rows"]]


A, B, C, D = (json.dumps(event(hash=name)) for name in "abcd")
BROKEN = json.dumps(event(hash="x"))[:-1] + "x}"


@pytest.mark.parametrize(
    ("array", "hashes", "reasons"),
    [
        (f"[{A},{BROKEN},{B}]", "ab", ["not JSON"]),
        (f"[{A},undefined,{B},{C}]", "abc", ["not JSON"]),
        (f"[{A},{BROKEN},null,{B},{C}]", "abc", ["not JSON"]),
        (f"[{A},{BROKEN}]", "a", ["not JSON"]),
        (f"[{A} {B},{C},{D}]", "acd", ["no comma before this item"]),
        (f"[{A},{B},]", "ab", ["a comma without an item"]),
        (f"[{A},{B}] more", "ab", ["text outside the array"]),
        (f"[,{A}]", "a", ["a comma without an item"]),
        (f"[{A},,]", "a", ["a comma without an item"] * 2),
        (f"[{A},,{B}]", "ab", ["a comma without an item"]),
    ],
)
def test_a_broken_item_costs_no_other_item(cli: Cli, log: Any, array: str, hashes: str, reasons: list[str]) -> None:
    request = json.dumps({"path": "/v8/artifacts/events", "body": array})
    for text in (
        f"[]\n{array}\n",
        array.replace("[", "[\n").replace(",{", ",\n{").replace("] ", "]\n"),
        request + "\n",
    ):
        path = log(text)
        assert [one["reason"] for one in rejects(cli, path)] == reasons
        assert kept(cli, path) == list(hashes)
        assert "ends in the middle" not in cli("stats", path).err


def test_text_between_arrays_is_one_reject_per_line(cli: Cli, log: Any) -> None:
    path = log(f"[\n{A}\n]\njunk\nmore, {{\n[\n{B},\n{C}\n]\n[{D}]\n")
    assert [(one["line"], one["text"]) for one in rejects(cli, path)] == [(4, "junk"), (5, "more, {")]
    assert kept(cli, path) == list("abcd")


@pytest.mark.parametrize(
    ("text", "hashes"),
    [
        (f"[]\n{A}\n{B}\n", "ab"),
        (f"[ ]\n[{A}]\n", "a"),
        (f"[\n{A},\n{B}\n]\n[{C}]\n", "abc"),
        (f"[{C}]\n[\n{B}\n]\n", "cb"),
        ('[]\n{"path": "/v8/artifacts/events", "body": [' + A + "]}\n", "a"),
    ],
)
def test_arrays_of_all_kinds_in_one_file(cli: Cli, log: Any, text: str, hashes: str) -> None:
    assert kept(cli, log(text)) == list(hashes)


@pytest.mark.parametrize("blank", ["", "\r", "   "])
def test_csv_after_a_blank_line(cli: Cli, log: Any, blank: str) -> None:
    path = log(f"{blank}\nsessionId,source,event,hash\n{blank}\ns,LOCAL,HIT,a\n  \n")
    assert (rejects(cli, path), kept(cli, path)) == ([], ["a"])


def test_csv_with_an_invalid_header(cli: Cli, log: Any) -> None:
    path = log("sessionId,source,event,hash,hash\ns,LOCAL,HIT,a,\ns,LOCAL,HIT,a,b\n")
    assert [(one["line"], one["reason"]) for one in rejects(cli, path)] == [
        (1, 'no header: duplicate column "hash"'), (2, "there is no header"), (3, "there is no header"),
    ]  # fmt: skip


def test_a_csv_column_name_that_is_not_utf8(cli: Cli, tmp_path: Path) -> None:
    (path := tmp_path / "log.csv").write_bytes(b"sessionId,source,event,hash,dur\xe9e\ns,LOCAL,HIT,a,1\n")
    assert (rejects(cli, path), kept(cli, path)) == ([], ["a"])
    assert "unknown keys ignored: dur\ufffde (1)" in cli("stats", path).err


@pytest.mark.parametrize("end", ["s,LOCAL,HI", 's,LOCAL,HIT,"b'])
def test_csv_that_is_cut_in_its_last_line(cli: Cli, log: Any, end: str) -> None:
    path = log(f"sessionId,source,event,hash\ns,LOCAL,HIT,a\n{end}")
    assert [one["reason"] for one in rejects(cli, path)] == ["cut off: the file ends inside this item"]
    assert "it ends in the middle of an item" in cli("stats", path).err


def test_a_last_row_of_too_many_fields_is_not_cut(cli: Cli, log: Any) -> None:
    path = log("sessionId,source,event,hash\ns,LOCAL,HIT,a\ns,LOCAL,HIT,b,more")
    assert [one["reason"] for one in rejects(cli, path)] == ["5 fields where the header has 4"]


def test_arrays_on_one_line_with_text_between(cli: Cli, log: Any) -> None:
    path = log(f"[\n{A}\n],[{B}] and [{C},{D}]\n")
    assert [one["text"] for one in rejects(cli, path)] == [",", "and"]
    assert kept(cli, path) == list("abcd")


def test_rows_with_quotes_at_odd_places_take_no_time(cli: Cli, log: Any) -> None:
    """Each line opens a quote that only the next one closes: re-reading from each line would be quadratic."""
    path = log("sessionId,source,event,hash\n" + 's 5","LOCAL,HIT,a\n' * 20_000)
    assert cli("stats", path, "--format", "json").json["input"]["rejected"] == 20_000


def test_csv_with_a_nul_is_csv(cli: Cli, log: Any, tmp_path: Path) -> None:
    query = 'SELECT session AS "sessionId", * EXCLUDE (session) FROM events'
    cli("sql", log(json.dumps(event(hash="a\0"))), query, "-o", tmp_path / "back.csv")
    assert kept(cli, tmp_path / "back.csv") == ["a\0"]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Artifact-Client-CI": "GH"},
        {"x-artifact-client-ci": ["GH"]},
        [["X-Artifact-Client-CI", "GH"]],
        [{"name": "X-Artifact-Client-CI", "value": "GH"}],
        ["Accept", "*/*", "X-Artifact-Client-CI", "GH"],
    ],
)
def test_headers_and_query_in_every_shape(cli: Cli, log: Any, headers: Any) -> None:
    query = [{"name": "slug", "value": "web"}] if isinstance(headers, list) else {"slug": "web"}
    path = log(json.dumps({"headers": headers, "query": query, "body": [event()]}))
    assert cli("sql", path, "SELECT ci, team FROM events", "--format", "csv").out == "ci,team\nGH,web\n"


@pytest.mark.parametrize("headers", [["a", "b", "c"], [None], [["a", "b", "c"]]])
def test_headers_in_an_unknown_shape_cost_no_event(cli: Cli, log: Any, headers: Any) -> None:
    path = log(json.dumps({"headers": headers, "at": 1, "body": [event()]}))
    assert rejects(cli, path) == []
    assert "no time and no team or CI found; keys present: headers, at, body" in cli("stats", path).err


def test_a_request_in_a_log_of_events_shows_no_token(cli: Cli, log: Any) -> None:
    request = json.dumps({"headers": {"Authorization": "Bearer SECRET"}, "body": [event()]})
    for first in (GOOD, COMPACT, f"[{GOOD}]"):
        path = log(f"{first}\n{request}\n{first}\n")
        (found,) = rejects(cli, path)
        assert found["text"] == '{"headers": {"'
        assert "SECRET" not in cli("stats", path).err
        assert "SECRET" not in cli("stats", path, "--strict").err


@pytest.mark.parametrize("around", ["\xa0", "\u3000", "\x1f"])
def test_white_space_that_json_does_not_allow(cli: Cli, log: Any, around: str) -> None:
    lines = [COMPACT] * 60
    lines[30] = around + COMPACT
    lines[40] = COMPACT + around
    found = [(one["line"], one["reason"], one["text"]) for one in rejects(cli, log("\n".join(lines) + "\n"))]
    assert found == [(31, "not JSON", around + COMPACT), (41, "not JSON", COMPACT + around)]


def test_whole_numbers_that_a_data_frame_has_as_floats(cli: Cli, tmp_path: Path) -> None:
    columns = {"status": [200.0, None, 3.5], "interactive": [1.0, 0.0, None], "duration": [2.0, 2.5, None]}
    frame = pl.DataFrame(
        {"sessionId": ["s"] * 3, "source": ["LOCAL"] * 3, "event": ["HIT"] * 3, "hash": list("abc"), **columns}
    )
    frame.write_parquet(path := tmp_path / "log.parquet")
    (found,) = rejects(cli, path)
    assert (found["line"], found["reason"]) == (3, "status is not an integer")
    assert "file_row_number" not in found["text"]
    out = cli("sql", path, "SELECT status, interactive, duration FROM events ORDER BY position", "--format", "csv").out
    assert out == "status,interactive,duration\n200,true,2\n,false,2.5\n"


def test_fields_without_a_value_in_a_database_export_are_absent(cli: Cli, log: Any) -> None:
    rows = ["s,LOCAL,HIT,a,5,web", "s,LOCAL,MISS,b,NULL,NULL", "s,LOCAL,MISS,c,\\N,\\N", 's,LOCAL,MISS,d,"NULL","NULL"']
    path = log("\n".join(["sessionId,source,event,hash,duration,slug", *rows]), "log.csv")
    query = "SELECT hash, duration, slug FROM events ORDER BY hash"
    found = [json.loads(line) for line in cli("sql", path, query, "--format", "ndjson").out.splitlines()]
    assert [tuple(row.values()) for row in found] == [
        ("a", 5, "web"), ("b", None, None), ("c", None, None), ("d", None, "NULL")
    ]  # fmt: skip


@pytest.mark.parametrize("spoiled", [-8, -5, -1, 3_000])
def test_everything_before_the_damage_of_compressed_data_is_read(spoiled: int, cli: Cli, log: Any) -> None:
    """A wrong check at the end costs no event, although zlib returns nothing with the error."""
    draw = random.Random(1)  # noqa: S311  (no secret)
    data = ndjson(event(hash=draw.randbytes(20).hex()) for _ in range(500)).encode()
    packed = bytearray(gzip.compress(data))
    packed[spoiled] ^= 0x55
    result = cli("stats", path := log(bytes(packed), "log.ndjson.gz"), "--format", "json")
    plain = zlib.decompressobj(wbits=31)
    expected, size = b"", 0
    with contextlib.suppress(zlib.error):
        for size in range(len(packed)):
            expected += plain.decompress(packed[size : size + 1])
    assert result.json["input"]["kept"] >= expected.count(b"\n") - 1
    assert (spoiled > 0) or result.json["input"]["kept"] == 500
    assert f"{path}: its gzip data is damaged" in result.err


def test_zeros_after_compressed_data_are_padding(cli: Cli, log: Any) -> None:
    padded = gzip.compress(ndjson([event()]).encode()) + b"\0" * 512
    result = cli("stats", log(padded, "log.ndjson.gz"), log([event(hash="h2")], "b.ndjson"), "--format", "json")
    assert (result.err, result.json["input"]["kept"]) == ("", 2)


def test_the_headers_of_http2_cost_no_request(cli: Cli, log: Any) -> None:
    headers = [{"name": ":authority", "value": "h"}, {"name": ":path", "value": "/"}]
    headers.append({"name": "x-artifact-client-ci", "value": "DRONE"})
    request = {"method": "POST", "url": "https://h/v8/artifacts/events?slug=acme", "headers": headers,
               "postData": {"text": json.dumps([event()])}}  # fmt: skip
    entry = {"startedDateTime": "2026-11-20T10:00:00Z", "request": request, "response": {"status": 200}}
    path = log(json.dumps({"log": {"entries": [entry]}}), "log.har")
    result = cli("sql", path, "SELECT slug, ci, status FROM events", "--format", "csv")
    assert (result.err, result.out) == ("", "slug,ci,status\nacme,DRONE,200\n")


def test_header_lines_are_headers(cli: Cli, log: Any) -> None:
    request = {"method": "POST", "url": "/v8/artifacts/events", "body": [event()]}
    path = log(json.dumps(request | {"headers": ["Host: h", "X-Artifact-Client-CI: DRONE", "Accept: */*"]}))
    assert cli("sql", path, "SELECT ci FROM events", "--format", "csv").out == "ci\nDRONE\n"


def test_a_log_of_rejects_alone_is_not_readable(cli: Cli, log: Any, tmp_path: Path) -> None:
    """The answer is written all the same. One good event, or none at all, is no failure."""
    bad, good = log([event(source="X"), event(event="X")], "bad.ndjson"), log([event()], "good.ndjson")
    for arguments in (["stats", bad], ["misses", bad], ["load", bad, "--into", tmp_path / "a.duckdb"]):
        result = cli(*arguments, "--format", "json")
        assert (result.code, result.json["input"]["rejected"]) == (3, 2)
    assert cli("stats", bad, good).code == 0
    assert cli("stats", log("", "empty.ndjson")).code == 0


def outcomes(hits: int, misses: int, **changes: Any) -> list[dict[str, Any]]:
    kinds = ["HIT"] * hits + ["MISS"] * misses
    return [event(source="REMOTE", event=kind, hash=f"{changes}-{n}", **changes) for n, kind in enumerate(kinds)]


@pytest.mark.parametrize(
    ("kept", "rejected", "note"),
    [
        ((50, 50), (10, 0), "100% of the rejected events are HITs, but 50% of the others: hit rates are too low"),
        ((60, 40), (1, 9), "10% of the rejected events are HITs, but 60% of the others: hit rates are too high"),
        ((50, 50), (5, 5), None),
        ((100, 0), (10, 0), None),
        ((500, 500), (9, 0), None),  # too few to change the rate visibly
    ],
)
def test_rejects_of_one_outcome_bias_the_rate(
    cli: Cli, log: Any, kept: tuple[int, int], rejected: tuple[int, int], note: str | None
) -> None:
    path = log(outcomes(*kept) + outcomes(*rejected, duration="fast"))
    for command in (["stats"], ["stats", "--by", "team"], ["misses"], ["check", "--min-hit-rate", "0"]):
        found = cli(command[0], path, *command[1:]).err
        assert ("of the rejected events are HITs" in found) == bool(note)
        assert note is None or f"note: {note}\n" in found
