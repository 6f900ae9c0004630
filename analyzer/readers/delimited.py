"""CSV and TSV with a header line of the schema's column names; fields are text, so a number is what reads as one."""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from threading import Lock
from typing import NamedTuple

from analyzer.event import FIELD_NAMES
from analyzer.readers.item import CUT_OFF, MAX_LINE_BYTES, Item, ItemReader, decode_line, raw_lines


class Row(NamedTuple):
    """A row: its first line's number, its text, and its fields or why it has none."""

    line: int
    text: str
    fields: list[str]
    problem: str | None

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing in it."""
        return not self.text.strip(" \r\n")


NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
NUMERIC = {"duration", "status", "timestamp"}
BOOLEANS = {"true": "true", "false": "false", "1": "1", "0": "0"}


def reader(delimiter: str) -> ItemReader:
    """Return a reader of files whose fields are separated by `delimiter`."""

    def items(chunks: Iterator[bytes], renamed: Mapping[str, str]) -> Iterator[Item]:
        with long_fields():
            yield from _items(chunks, renamed, delimiter)

    return items


def _items(chunks: Iterator[bytes], renamed: Mapping[str, str], delimiter: str) -> Iterator[Item]:
    rows = Rows(chunks, delimiter)
    found = (row for row in rows if not row.is_blank)
    header = next(found, None)
    if not header:
        return
    rows.width = len(header.fields)
    columns = [(json.dumps(name), renamed.get(name, name)) for name in map(_printable_name, header.fields)]
    fault = header.problem or _repeated([ours for _, ours in columns])
    if fault:
        yield Item(header.line, None, header.text, problem=f"no header: {fault}")
    for row in found:
        problem = "there is no header" if fault else row.problem
        yield Item(row.line, 1, row.text, problem=problem) if problem else _item(row, columns)


def _repeated(names: Sequence[str]) -> str | None:
    return next((f'duplicate column "{name}"' for name in FIELD_NAMES if names.count(name) > 1), None)


def _printable_name(name: str) -> str:
    """Return a name as text: bytes that are no UTF-8 are replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _item(row: Row, columns: list[tuple[str, str]]) -> Item:
    fields = [
        f"{key}:{_json_text(name, value)}" for (key, name), value in zip(columns, row.fields, strict=True) if value
    ]
    return Item(row.line, 1, "{" + ",".join(fields) + "}", shown=row.text)


def _json_text(name: str, value: str) -> str:
    """Write a field as the JSON value its column takes, or as a string, which is then rejected by that column.

    >>> _json("duration", "12.5"), _json("duration", "fast"), _json("hash", "12")
    ('12.5', '"fast"', '"12"')
    """
    if name == "interactive":
        return BOOLEANS.get(value.lower(), json.dumps(value))
    return value if name in NUMERIC and NUMBER.fullmatch(value) else json.dumps(value)


ROW_TOO_LONG = "row too long"

CSV_ERROR_REASONS = {
    "new-line character seen in unquoted field": "a carriage return outside quotes",
    "unexpected end of data": "a quote is not closed",
    "expected after": "text after a closing quote, or a quote is not closed",
    ROW_TOO_LONG: "a quote is not closed",
    "field larger than field limit": f"a field of over {MAX_LINE_BYTES >> 20} Mi characters, or a quote is not closed",
}
"""What csv's messages mean, by what they contain."""


_lock = Lock()
_limits: list[int] = []
"""The limit that each reader found: the first of them the usual one."""


@contextmanager
def long_fields() -> Iterator[None]:
    """Let csv read fields that are longer than usual, for as long as any thread does."""
    with _lock:
        _limits.append(csv.field_size_limit(MAX_LINE_BYTES))
    try:
        yield
    finally:
        with _lock:
            before = _limits.pop()
            if not _limits:
                csv.field_size_limit(before)


class Rows:
    """The rows of a file, in order; those of another `width` than the header's are at fault."""

    def __init__(self, chunks: Iterator[bytes], delimiter: str) -> None:
        self._feed, self._delimiter, self.width = Feed(chunks), delimiter, 0
        self._name = "TSV" if delimiter == "\t" else "CSV"

    def __iter__(self) -> Iterator[Row]:
        reader = csv.reader(self._feed, delimiter=self._delimiter, strict=True)
        while self._feed.begin():
            line, (fields, problem) = self._feed.line, self._parsed(reader)
            lines = self._feed.row
            if not problem:
                yield Row(line, "".join(lines).rstrip("\r\n"), fields, None)
                continue
            first, *others = lines
            yield self._at_fault(line, first, problem)
            yield from self._alone(line + 1, others[:-1])
            self._feed.put_back(others[-1:])

    def _alone(self, line: int, lines: Sequence[str]) -> Iterator[Row]:
        for number, text in enumerate(lines, line):
            fields, problem = self._parsed(csv.reader([text], delimiter=self._delimiter, strict=True))
            yield self._at_fault(number, text, problem) if problem else Row(number, text.rstrip("\r\n"), fields, None)

    def _parsed(self, reader: Iterator[list[str]]) -> tuple[list[str], str | None]:
        try:
            fields = next(reader)
        except csv.Error as error:
            reason = next((ours for theirs, ours in CSV_ERROR_REASONS.items() if theirs in str(error)), str(error))
            return [], f"not {self._name}: {reason}"
        wrong = self.width and len(fields) not in (0, self.width)
        return fields, f"{len(fields)} fields where the header has {self.width}" if wrong else None

    def _at_fault(self, line: int, text: str, problem: str) -> Row:
        is_cut = not text.endswith("\n") and text.count(self._delimiter) < self.width
        return Row(line, text.rstrip("\r\n"), [], CUT_OFF if is_cut else problem)


class Feed:
    """Gives csv the lines of a file, and keeps those of the row that it reads."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._lines = (decode_line(raw, number, "") for number, raw in enumerate(raw_lines(chunks), start=1))
        self._next: list[str] = []
        self.row: list[str] = []
        self.line, self._size = 1, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._size > MAX_LINE_BYTES:
            raise csv.Error(ROW_TOO_LONG)
        line = self._next.pop() if self._next else next(self._lines)
        self.row.append(line)
        self._size += len(line)
        return line

    def begin(self) -> bool:
        """Begin a row at `line`; False at the file's end."""
        self.line += len(self.row)
        self.row, self._size = [], 0
        self._next = self._next or list(islice(self._lines, 1))
        return bool(self._next)

    def put_back(self, lines: Sequence[str]) -> None:
        """Let the last line of the row begin another."""
        self._next = list(lines)
        del self.row[len(self.row) - len(lines) :]
