"""The format of a file is detected by its beginning; the order of the entries decides between several that match."""

import json
from typing import Any

import pytest
from conftest import Cli, event, ndjson

from analyzer.readers.formats import FORMATS, detect_format

EVENT = json.dumps(event())
REQUEST = json.dumps({"path": "/v8/artifacts/events", "body": [event()]})
HAR = json.dumps({"log": {"entries": []}})
HEADER = "sessionId,source,event,hash"
CASES = {
    "": "ndjson",
    f"{EVENT}\n{EVENT}": "ndjson",
    f"not JSON\n{EVENT}": "ndjson",
    f"{EVENT}\n{REQUEST}": "ndjson",
    f"{REQUEST}\n{EVENT}": "requests",
    json.dumps(event() | {"body": []}): "requests",
    '{"path": "/", "body": [': "requests",
    f"[{EVENT}]\n[{EVENT}]": "batches",
    f"[]\n{EVENT}": "batches",
    "[]": "batches",
    "[\n]": "array",
    f"[{EVENT},\n{EVENT}]": "array",
    f"[\n{EVENT}\n\xa0\n]": "array",
    HAR: "har",
    '{"log": {\n"entries": [': "har",
    HEADER: "csv",
    HEADER.replace(",", "\t"): "tsv",
    f"{HEADER}\n{EVENT}": "ndjson",
    "PAR1": "parquet",
    '{"turboVersion": "2.11.11", "tasks": []}': "runs",
    '{"hash": "h", "duration": 1}': "metadata",
    '{"hash": "h", "duration": 1, "sessionId": "s"}': "ndjson",
    '{"source": "LOCAL", "event": "HIT", "hash": "h", "duration": 5}': "ndjson",
    f"\0{HEADER}": None,
    f"{{\0\n{EVENT}": "ndjson",
    "[1, 2]": None,
    '{"name": "web"}': None,
    "text": None,
}


@pytest.mark.parametrize("text", CASES)
def test_detection(text: str) -> None:
    assert detect_format(text.encode(), {}) == CASES[text]


def test_detection_by_renamed_columns() -> None:
    renamed = {"sid": "sessionId", "key": "hash"}
    for text, name in {'{"sid": "s", "key": "h"}': "ndjson", "sid,key": "csv", '[\n{"sid": "s"}]': "array"}.items():
        assert (detect_format(text.encode(), renamed), detect_format(text.encode(), {})) == (name, None)


def test_one_reader_per_format() -> None:
    for entry in FORMATS.values():
        assert [entry.items, entry.duckdb, entry.document].count(None) == 2, entry.name


def test_a_second_byte_order_mark_is_no_json(cli: Cli, log: Any) -> None:
    result = cli(
        "stats", log(b"\xef\xbb\xbf\xef\xbb\xbf" + ndjson([event(), event(hash="h2")]).encode()), "--format", "json"
    )
    assert (result.json["input"]["kept"], result.json["input"]["rejected"]) == (1, 1)
    assert "log.ndjson:1: not JSON" in result.err


def test_csv_of_a_spreadsheet_with_semicolons(cli: Cli, log: Any) -> None:
    text = "\ufeffsessionId;source;event;hash;duration;slug\r\ns;LOCAL;HIT;h;1200;acme\r\ns;REMOTE;MISS;i;;\r\n"
    result = cli("stats", log(text, "log.csv"), "--format", "json")
    assert (result.json["input"]["kept"], result.table("totals")[0]["time_saved_ms"]) == (2, 1200)
