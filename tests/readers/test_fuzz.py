"""Corrupted logs: 50 kinds of damage in every format. Nothing crashes, and every event is accounted for.

For NDJSON, an oracle of Python's json tells for each line whether it is an event.
"""

import io
import json
import math
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import event, ndjson

from analyzer.archive.open_log import LoadObserver, open_log
from analyzer.archive.staging import ReadOptions

Corruption = Callable[[bytes, random.Random], bytes]
EVENTS = [
    event(
        hash=f"h{n}", sessionId=f"s{n % 3}", source="LOCAL" if n % 2 else "REMOTE", event="HIT" if n % 3 else "MISS",
        duration=n * 1.5, timestamp=f"2026-03-02T10:00:{n:02}.000Z", slug="web",
    )
    for n in range(40)
]  # fmt: skip


def request(events: list[dict[str, Any]]) -> dict[str, Any]:
    return {"received_at": "2026-03-02T10:00:00Z", "method": "POST", "path": "/v8/artifacts/events", "status": 200,
            "headers": {"x-artifact-client-ci": "CIRCLE"}, "body": events}  # fmt: skip


def entry(events: list[dict[str, Any]]) -> dict[str, Any]:
    post = {"method": "POST", "url": "https://c/v8/artifacts/events?slug=web", "postData": {"text": json.dumps(events)}}
    return {"startedDateTime": "2026-03-02T10:00:00Z", "request": post, "response": {"status": 200}}


def chunks() -> list[list[dict[str, Any]]]:
    return [EVENTS[start : start + 5] for start in range(0, len(EVENTS), 5)]


def parquet() -> bytes:
    pl.DataFrame(EVENTS).write_parquet(data := io.BytesIO())
    return data.getvalue()


def delimited(separator: str) -> bytes:
    return pl.DataFrame(EVENTS).write_csv(separator=separator).encode()


def access_line(one: dict[str, Any]) -> str:
    status = 200 if one["event"] == "HIT" else 404
    return (
        f'10.0.0.1 - - [02/Mar/2026:10:00:00 +0000] "GET /v8/artifacts/{one["hash"]} HTTP/1.1" {status} 5 "-" "turbo"\n'
    )


FORMATS: dict[str, bytes] = {
    "ndjson": ndjson(EVENTS).encode(),
    "batches": "".join(json.dumps(batch) + "\n" for batch in chunks()).encode(),
    "array": json.dumps(EVENTS, indent=1).encode(),
    "requests": "".join(json.dumps(request(batch)) + "\n" for batch in chunks()).encode(),
    "har": json.dumps({"log": {"version": "1.2", "entries": [entry(batch) for batch in chunks()]}}, indent=1).encode(),
    "csv": delimited(","), "tsv": delimited("\t"), "parquet": parquet(),
    "access": "".join(map(access_line, EVENTS)).encode(),
}  # fmt: skip


def place(data: bytes, draw: random.Random) -> int:
    return draw.randrange(1, max(len(data) - 1, 2))


def inserted(text: bytes) -> Corruption:
    def corrupt(data: bytes, draw: random.Random) -> bytes:
        at = place(data, draw)
        return data[:at] + text + data[at:]

    return corrupt


def replaced(old: bytes, new: bytes) -> Corruption:
    """Replace one of the occurrences of a text."""

    def corrupt(data: bytes, draw: random.Random) -> bytes:
        places = [match.start() for match in re.finditer(re.escape(old), data)]
        if not places:
            return inserted(new)(data, draw)
        at = draw.choice(places)
        return data[:at] + new + data[at + len(old) :]

    return corrupt


def cut(data: bytes, draw: random.Random) -> bytes:
    return data[: place(data, draw)]


def cut_start(data: bytes, draw: random.Random) -> bytes:
    return data[place(data, draw) :]


def deleted(data: bytes, draw: random.Random) -> bytes:
    at = place(data, draw)
    return data[:at] + data[at + draw.randrange(1, 40) :]


def doubled(data: bytes, draw: random.Random) -> bytes:
    at, size = place(data, draw), draw.randrange(1, 200)
    return data[: at + size] + data[at:]


def flipped(data: bytes, draw: random.Random) -> bytes:
    at = place(data, draw)
    return data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]


def swapped(data: bytes, draw: random.Random) -> bytes:
    a, b = sorted((place(data, draw), place(data, draw)))
    return data[:a] + data[b:] + data[a:b]


def noise(data: bytes, draw: random.Random) -> bytes:
    at = place(data, draw)
    return data[:at] + draw.randbytes(30) + data[at + 30 :]


CORRUPTIONS: dict[str, Corruption] = {
    "none": lambda data, _: data, "cut": cut, "cut start": cut_start, "deleted": deleted, "doubled": doubled,
    "flipped": flipped, "swapped": swapped, "noise": noise, "twice": lambda data, _: data + data,
    "empty lines": lambda data, _: data.replace(b"\n", b"\n\n"), "CRLF": lambda data, _: data.replace(b"\n", b"\r\n"),
    "no line ends": lambda data, _: data.replace(b"\n", b" "), "BOM": lambda data, _: b"\xef\xbb\xbf" + data,
    "two BOMs": lambda data, _: b"\xef\xbb\xbf" * 2 + data, "no last line end": lambda data, _: data.rstrip(b"\n"),
    "garbage behind": lambda data, _: data + b"garbage", "garbage before": lambda data, _: b"garbage\n" + data,
    "NULs behind": lambda data, _: data + b"\0" * 100,
    **{f"inserted {text!r}": inserted(text) for text in (
        b"\0", b"\xff", b"\xed\xa0\x80", b'"', b"'", b",", b":", b"{", b"}", b"[", b"]", b"\\", b"\n", b"\r", b"\t",
        b"\xef\xbb\xbf", b"//x", b"/**/", b"\\u0000", b"\\ud800", b"x" * 5000, b"[" * 3000, b"\xe2\x80\xa8",
    )},
    **{f"{old!r} as {new!r}": replaced(old, new) for old, new in (
        (b'"duration"', b'"hash"'), (b'"hash"', b'"Hash"'), (b'"duration":', b'"x":NaN,"duration":'),
        (b'"duration":', b'"x":{"a":1,"a":2},"duration":'), (b'"HIT"', b'"hit"'), (b'"LOCAL"', b"null"),
        (b'"h1', b'12, "y":"'), (b"2026-", b"226-"), (b"1.5", b"-1.5"), (b"1.5", b"1e999"),
        (b"},", b"}"), (b"},", b"},,"),
        (b"}", b",}"), (b":", b": "), (b"\n", b""), (b"{", b"{}{"),
    )},
}  # fmt: skip


def is_event(text: bytes) -> bool:
    """Whether a line is an event, by Python's json and the definition of an event."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("duplicate")
        return dict(pairs)

    def no_constant(name: str) -> None:
        raise ValueError(name)

    try:
        decoded = text.decode().strip(" \t\r\n")
        value = json.loads(decoded, object_pairs_hook=unique, parse_constant=no_constant)
        decoded.encode()
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and valid(value)


def valid(value: dict[str, Any]) -> bool:
    def text(name: str) -> bool:
        return isinstance(value.get(name), str) and value[name] != ""

    duration, at = value.get("duration"), value.get("timestamp")
    is_number = isinstance(duration, int | float) and not isinstance(duration, bool)
    return (
        text("sessionId")
        and text("hash")
        and value.get("source") in ("LOCAL", "REMOTE")
        and value.get("event") in ("HIT", "MISS")
        and (duration is None or (is_number and 0 <= duration < math.inf))
        and (
            at is None
            or (isinstance(at, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", at) is not None)
        )
        and all(value.get(name) is None or isinstance(value[name], str) for name in ("slug", "teamId", "ci"))
    )


def corrupted(directory: Path, seed: int) -> Iterator[tuple[str, str, bytes, Path]]:
    for format_name, data in FORMATS.items():
        for number, (name, corrupt) in enumerate(CORRUPTIONS.items()):
            draw = random.Random(f"{seed} {format_name} {name}")  # noqa: S311  (no secret)
            path = directory / f"{format_name}-{number}"
            path.write_bytes(content := corrupt(data, draw))
            yield format_name, name, content, path


def check(directory: Path, seed: int) -> None:
    files = list(corrupted(directory, seed))
    with open_log([str(path) for *_, path in files], ReadOptions(), LoadObserver()) as log:
        reports = {report.name: report for report in log.load_result.files}
        errors = [str(error) for error in log.load_result.errors]
    for format_name, name, content, path in files:
        what = f"seed {seed}: {name} in {format_name}"
        report = reports.get(str(path))
        if report is None:
            assert any(str(path) in error for error in errors), what
            continue
        if report.duplicate_of:
            continue
        assert report.read == report.kept + report.rejected, what
        if format_name == report.format == "ndjson":
            lines = [line for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip(b" \t\r")]
            assert report.kept == sum(map(is_event, lines)), what
        elif name == "none":
            assert (report.kept, report.rejected) == (40, 0), what


def test_there_are_fifty_kinds() -> None:
    assert len(CORRUPTIONS) >= 50


def test_corrupted_logs(tmp_path: Path) -> None:
    check(tmp_path, seed=1)


@pytest.mark.slow
def test_many_corrupted_logs(tmp_path: Path) -> None:
    """ANALYZER_FUZZ_SECONDS sets for how long."""
    until, seed = time.monotonic() + float(os.environ.get("ANALYZER_FUZZ_SECONDS", "10")), 100
    while time.monotonic() < until:
        (directory := tmp_path / str(seed)).mkdir()
        check(directory, seed)
        seed += 1
