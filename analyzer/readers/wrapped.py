"""Unwraps logs that stand inside of other logs: in a field of JSON or CSV, or behind a prefix of each line.

Container runtimes write such lines: Docker's `{"log": "…"}`, and the prefixes of CRI, Docker Compose and syslog.
CloudWatch, Datadog, Loki, Google Cloud and OpenTelemetry return them as lines too, or as documents of many entries.
"""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Any, NamedTuple

from analyzer.readers import requests
from analyzer.readers.array import Window
from analyzer.readers.delimited import Rows
from analyzer.readers.item import close_cut_json, decoded_lines, parse_strictly, value_end

# Docker and CRI split lines at 16 KiB, into pieces of at least this many characters.
MIN_PIECE_CHARS = 4_000
MAX_PREFIX_CHARS = 200
MIN_COMMON_SHARE = 0.9  # of the lines that must have the text that ends their prefix
MAX_SAMPLES = 50  # lines or documents that show what a file consists of
ITSELF = "."  # the place of an entry that is not wrapped, but stands in a document
DELIMITERS = (",", ";", "\t")
# Of the outer log, the most precise first. OpenTelemetry writes 0 for a time that is unknown.
TIME_KEYS = ("timestamp", "time", "ts", "@timestamp", "_time", "date", "Date", "timeUnixNano", "observedTimeUnixNano",
             "TimeGenerated", "TimeGenerated [UTC]", "__REALTIME_TIMESTAMP", "0")  # fmt: skip
_ACCESS_START = re.compile(r'(?<!\S)\S++ \S++ \S++ \[[^\]]{1,99}+\] "[A-Z]+ ')
_JSON_START = re.compile(r"\{\s*\"|\[\s*\{")
_ARRAY_START = re.compile(r"\[\s*([{\[]|$)")
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_MENTION = re.compile(r"\bhash\b|/artifacts/")
_CRI = re.compile(r"\S+ (?:stdout|stderr) ([FP]) (.*)", re.DOTALL)  # P marks a piece of a line, F its last one


class Record(NamedTuple):
    """A line, a row of CSV, or a JSON document of the outer log."""

    line: int | None  # None for a document, which may have many entries
    value: Any  # of the JSON, or the fields of the row by column; None for other text
    text: str


class Unwrapper:
    """Unwraps a log; `place` is a path to a field of JSON, a column of CSV, or the text that ends the prefix of lines.

    `time_key` is the name of the time in the outer log. `found` counts the entries that have that field or prefix,
    `others` the records without any. `counts_entries` tells that a record had several entries: line numbers are numbers
    of entries then.
    """

    def __init__(self, place: str, time_key: str | None = None) -> None:
        self._time_keys = (time_key, *TIME_KEYS) if time_key else TIME_KEYS
        self._place, self.found, self.others, self.counts_entries = place, 0, 0, False
        self._pieces: list[str] = []

    def lines(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield a line for each entry of the log, and an empty one for a line that has no content of its own."""
        number = 0
        for record in _records(chunks, self._place):
            if record.line is not None:
                yield b"\n" * (record.line - number - 1)  # blank lines
                number = record.line
            lines = list(self._unwrap(record))
            self.counts_entries |= record.line is None or len(lines) > 1
            for line in lines or [""]:
                yield line.encode("utf-8", "surrogateescape") + b"\n"
        if self._pieces:
            yield "".join(self._pieces).encode("utf-8", "surrogateescape") + b"\n"

    def _unwrap(self, record: Record) -> Iterator[str]:
        found = self.found
        if record.value is not None:
            for content, time in _contents(record.value, self._place, self._time_keys):
                self.found += 1
                yield self._complete(content if isinstance(content, str) else json.dumps(content), time)
        elif record.text.startswith("{"):
            found -= 1  # neither found nor other, but rejected as what it is
            yield record.text.replace("\n", " ")
        elif (piece := _CRI.fullmatch(record.text)) and self._place == "F":
            self.found += 1
            if piece[1] == "P":
                self._pieces.append(piece[2])
            else:
                yield self._complete(piece[2], record.text.split()[0])
        else:
            end = record.text.find(self._place) + len(self._place)
            time = _ISO_TIME.search(record.text)
            if time and time[0].endswith(self._place):
                end = time.end()  # the letter may stand in a name before the time
            if end >= len(self._place):
                self.found += 1
                yield self._complete(record.text[end:], time[0] if time and time.end() <= end else None)
        self.others += self.found == found

    def _complete(self, content: str, time: Any) -> str:
        """Return the line of a content, once it is complete: a long one arrives in several pieces."""
        content = "".join([*self._pieces, content])
        self._pieces = []
        text = content.strip()
        if not text.startswith(("{", "[")):
            return text.replace("\n", " ")
        try:
            value = parse_strictly(text)
        except ValueError:
            if len(content) >= MIN_PIECE_CHARS and not content.endswith("\n"):
                self._pieces = [content]
                return ""
            return text.replace("\n", " ")
        is_event = isinstance(value, dict) and {"sessionId", "hash"} <= value.keys()
        if time is None or _has_time(value):
            return text.replace("\n", " ")
        if is_event or isinstance(value, list):
            return json.dumps({"timestamp": time, "body": f"[{text}]" if is_event else text})
        # In front of the other members, whose text stays as it is.
        rest = text[1:].lstrip()
        return f'{{"timestamp":{json.dumps(time)}{"" if rest.startswith("}") else ","}{rest}'.replace("\n", " ")


def _contents(value: Any, place: str, time_keys: Sequence[str], time: Any = None) -> Iterator[tuple[Any, Any]]:
    """Yield what stands at a path, with the time of the innermost object around it.

    A list on the path or at its end stands for each of its items. A list of plain values has their numbers as keys.

    >>> list(_contents({"values": [["17", "a"], ["18", "b"]]}, "values.1", TIME_KEYS))
    [('a', '17'), ('b', '18')]
    """
    value = _as_object(value)
    for item in value if isinstance(value, list) else ():
        yield from _contents(item, place, time_keys, time)
    if isinstance(value, dict):
        times = (requests.find(value, [key]) for key in time_keys)
        time = next((found for found in times if found not in (None, 0, "0")), time)
        key, _, rest = place.partition(".")
        if place == ITSELF:
            yield value, time
        elif value.get(place) is not None:
            found = value[place]
            yield from ((one, time) for one in found) if _is_list(found) else [(_as_text(found), time)]
        elif rest:
            yield from _contents(value.get(key), rest, time_keys, time)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and not all(isinstance(item, int) for item in value)


def _as_text(value: Any) -> Any:
    """Return the text of a list of bytes, as journald writes lines with colors, without these; else the value."""
    if isinstance(value, list):
        with suppress(ValueError):
            return _ANSI.sub("", bytes(value).decode("utf-8", "surrogateescape"))
    return value


def _as_object(value: Any) -> Any:
    """Return a value as an object if it is one: as JSON text, names with values, or plain values (Loki's pairs)."""
    if isinstance(value, str) and value.startswith("{"):
        with suppress(ValueError):
            return parse_strictly(value)
    if not isinstance(value, list) or not value:
        return value
    if isinstance(value[0], list | dict):
        return requests.named_values(value) if "value" in value[0] else value
    return {str(number): item for number, item in enumerate(value)}


def _records(chunks: Iterator[bytes], place: str | None = None) -> Iterator[Record]:
    """Yield the records of a log; it is read as CSV if its header has the column `place`."""
    head = next(chunks, b"")
    lines = [line.strip() for _, line in islice(decoded_lines([head]), MAX_SAMPLES)]
    chunks = chain([head], chunks)
    delimiter = next((mark for mark in DELIMITERS if lines and place in _header(lines[0], mark)), None)
    if lines and _is_document(lines):
        yield from _documents(chunks)
    elif delimiter:
        rows = iter(Rows(chunks, delimiter))
        header = next(rows).fields
        for row in rows:
            fields = dict(zip(header, row.fields, strict=False))
            yield Record(row.line, None if row.problem else fields, row.text)
    else:
        for number, text in decoded_lines(chunks):
            value = None
            if text.startswith("{"):
                with suppress(ValueError):
                    value = parse_strictly(text)
            yield Record(number, value, text)


def _documents(chunks: Iterator[bytes]) -> Iterator[Record]:
    """Yield JSON documents, and the items of arrays; of a damaged one, what stands before the damage, then its text."""
    window = Window(chunks)
    is_array = window.peek() == "["
    while window.peek("[],"):
        text, _ = window.take() if is_array else window.take_document()
        try:
            yield Record(None, parse_strictly(text), text)
        except ValueError as error:
            with suppress(ValueError):
                yield Record(None, close_cut_json(text[: getattr(error, "pos", None)]), text)
            yield Record(None, None, "{" + text.removeprefix("{"))  # rejected as what it is


def _is_document(lines: Sequence[str]) -> bool:
    """Return whether a log is made of JSON values that span lines, or of several in a line."""
    first = lines[0]
    if _ARRAY_START.match(first):
        return True
    if not first.startswith("{"):
        return False
    try:
        return first[value_end(first, 0) :].lstrip().startswith("{")
    except ValueError:
        return len(lines) == 1 or first.endswith(("{", "[", ",", ":"))


def _header(line: str, delimiter: str) -> list[str]:
    try:
        fields = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []
    return fields if len(fields) > 1 else []


def _has_time(value: Any) -> bool:
    """Return whether an event, some of a list of events, or a request has a time of its own."""
    ones = value if isinstance(value, list) else [value]
    return any(isinstance(one, dict) and requests.find(one, requests.PLACES["time"]) is not None for one in ones)


def possible_places(head: bytes) -> Iterator[str]:
    """Yield the places at which most entries of a file that starts with `head` may have content to unwrap."""
    records = list(islice(_records(iter([head])), MAX_SAMPLES))
    lines = [record.text for record in records]
    if lines and all(map(_CRI.match, lines)):
        yield "F"
    if any(record.line is None for record in records):
        yield ITSELF
    fields = (place for record in records if record.value is not None for place in _places(record.value))
    yield from dict.fromkeys(fields)
    prefixed = [line for line in lines if not line.startswith("{")]
    prefix = next(filter(None, map(_prefix, prefixed)), "")
    if prefix:
        # The last word before the content, such as `F` of CRI and `|` of Docker Compose, or its last character.
        words = prefix.split()
        for place in (words[-1], " ".join(words[-2:]), words[-1][-1]):
            if sum(place in line for line in prefixed) > len(prefixed) * MIN_COMMON_SHARE:
                yield place
    if lines and not lines[0].startswith("{"):
        yield from dict.fromkeys(name for mark in DELIMITERS for name in _header(lines[0], mark) if name)


def has_prefixes(head: bytes) -> bool:
    """Return whether most of the lines that mention hashes or artifacts have text before JSON."""
    lines = [line for _, line in islice(decoded_lines([head]), MAX_SAMPLES) if _MENTION.search(line)]
    return sum(bool(_JSON_START.search(line) and _prefix(line)) for line in lines) > len(lines) / 2


def _prefix(line: str) -> str:
    """Return what stands before JSON, or before a line of an access log; empty if nothing does."""
    start = _JSON_START.search(line) or _ACCESS_START.search(line)
    return line[: start.start()].rstrip() if start and start.start() <= MAX_PREFIX_CHARS else ""


def _places(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield the paths to what may be content: text or values that mention hashes or artifacts."""
    value = _as_object(value)
    for item in value if isinstance(value, list) else ():
        yield from _places(item, prefix)
    for key, inner in value.items() if isinstance(value, dict) else ():
        if key and isinstance(inner, str | dict | list) and _MENTION.search(str(inner)):
            yield f"{prefix}{key}"
            yield from _places(inner, f"{prefix}{key}.")
