"""CSV and TSV with a header line of the schema's column names; fields are text, so a number is what reads as one.

A field in quotes may hold line breaks. Where a row of several lines is none, a quote is missing or too many: its first
line is the one at fault, and what follows is read anew.
"""

import csv
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock

from analyzer.readers.item import Item, Items, text_of

NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
NUMERIC = {"duration", "status", "timestamp"}
MOST_CHARS = 1 << 26
"""Of a field: csv refuses longer ones, by a limit that is the whole process's."""

REASONS = {
    "new-line character seen in unquoted field": "a carriage return outside quotes",
    "unexpected end of data": "a quote is not closed",
    "expected after": "text after a closing quote, or a quote is not closed",
    "field larger than field limit": f"a field of more than {MOST_CHARS >> 20} Mi characters, or a quote is not closed",
}
"""What csv's messages mean, by what they contain."""

BOOLEANS = {"true": "true", "false": "false", "1": "1", "0": "0"}


def reader(delimiter: str) -> Items:
    """Return a reader of files whose fields are separated by `delimiter`."""

    def items(chunks: Iterator[bytes], renamed: Mapping[str, str]) -> Iterator[Item]:
        with _long_fields():
            yield from _items(chunks, renamed, delimiter)

    return items


_lock = Lock()
_limits: list[int] = []
"""The limit that each reader found: the first of them the usual one."""


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let csv read fields that are longer than usual, for as long as any thread does."""
    with _lock:
        _limits.append(csv.field_size_limit(MOST_CHARS))
    try:
        yield
    finally:
        with _lock:
            before = _limits.pop()
            if not _limits:
                csv.field_size_limit(before)


def _items(chunks: Iterator[bytes], renamed: Mapping[str, str], delimiter: str) -> Iterator[Item]:
    recorder = Recorder(chunks)
    rows = csv.reader(recorder, delimiter=delimiter, strict=True)
    name = "TSV" if delimiter == "\t" else "CSV"
    try:
        header = next(rows, [])
    except csv.Error as error:
        yield Item(1, None, recorder.text, problem=f"no header of {name}: {_reason(error)}")
        return
    columns = [(json.dumps(name), renamed.get(name, name)) for name in header]
    while True:
        start = recorder.forget() + 1
        try:
            row = next(rows)
            problem = _miscounted(row, columns)
        except StopIteration:
            return
        except csv.Error as error:
            row, problem = [], f"not {name}: {_reason(error)}"
        if problem:
            yield Item(start, 1, recorder.first_only(), problem=problem)
        elif row:
            yield _item(start, recorder.text, columns, row)


def _reason(error: csv.Error) -> str:
    """Return what is wrong, in terms of the file."""
    return next((ours for theirs, ours in REASONS.items() if theirs in str(error)), str(error))


class Recorder:
    """The file's lines with what was read of them since the last row: a quoted field may hold a line break."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._lines = self._split(chunks)
        self._again = deque[str]()
        self._seen: list[str] = []
        self._count = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self._count += 1
        self._seen.append(line)
        return line

    @property
    def text(self) -> str:
        """What was read since `forget`, without the last line break."""
        return "".join(self._seen).rstrip("\r\n")

    def forget(self) -> int:
        """Begin a new row; return the number of lines before it."""
        self._seen.clear()
        return self._count

    def first_only(self) -> str:
        """Return the first line since `forget`; those after it are read again."""
        first, *others = self._seen
        self._again.extendleft(reversed(others))
        self._count -= len(others)
        return first.rstrip("\r\n")

    @staticmethod
    def _split(chunks: Iterator[bytes]) -> Iterator[str]:
        number, rest = 0, b""
        for chunk in chunks:
            *whole, rest = (rest + chunk).split(b"\n")
            for raw in whole:
                number += 1
                yield text_of(raw, number, "") + "\n"
        if rest:
            yield text_of(rest, number + 1, "")


def _miscounted(row: list[str], columns: list[tuple[str, str]]) -> str | None:
    if len(row) in (0, len(columns)):
        return None
    return f"{len(row)} fields where the header has {len(columns)}"


def _item(line: int, text: str, columns: list[tuple[str, str]], row: list[str]) -> Item:
    fields = [f"{key}:{_json(name, value)}" for (key, name), value in zip(columns, row, strict=True) if value]
    return Item(line, 1, "{" + ",".join(fields) + "}", shown=text)


def _json(name: str, value: str) -> str:
    """Write a field as the JSON value its column takes, or as a string, which is then rejected by that column.

    >>> _json("duration", "12.5"), _json("duration", "fast"), _json("hash", "12")
    ('12.5', '"fast"', '"12"')
    """
    if name == "interactive":
        return BOOLEANS.get(value.lower(), json.dumps(value))
    return value if name in NUMERIC and NUMBER.fullmatch(value) else json.dumps(value)
