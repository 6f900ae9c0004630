"""Reads CSV and TSV whose header line has the schema's column names.

The csv module parses the fields, but on its own it would lose rows: an unclosed quote swallows all lines up to the next
one. `Rows` therefore remembers the lines of each row, and after an error parses them again one by one.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from threading import Lock
from typing import NamedTuple

from analyzer.event import FIELD_NAMES
from analyzer.readers.item import CUT_OFF, MAX_LINE_BYTES, Item, ItemReader, decode_line, raw_lines
from analyzer.readers.sample import Sample
from analyzer.text import replace_surrogates

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
NUMERIC_COLUMNS = {"duration", "status", "timestamp"}
BOOLEANS = {"true": "true", "false": "false", "1": "1", "0": "0"}

ROW_TOO_LONG = "row too long"
CSV_ERROR_REASONS = {
    "new-line character seen in unquoted field": "a carriage return outside quotes",
    "unexpected end of data": "a quote is not closed",
    "expected after": "text after a closing quote, or a quote is not closed",
    ROW_TOO_LONG: "a quote is not closed",
    "field larger than field limit": f"a field of over {MAX_LINE_BYTES >> 20} Mi characters, or a quote is not closed",
}
"""What the errors of the csv module mean, by a part of their message."""


def matcher(delimiter: str) -> Callable[[Sample], bool]:
    """Return a function that tells whether a file starts with a header line whose delimiter is `delimiter`."""

    def matches(sample: Sample) -> bool:
        if sample.first_record is not None or not sample.content or sample.content[0].startswith(("[", "{")):
            return False
        try:
            header = next(csv.reader(sample.content[:1], delimiter=delimiter), [])
        except csv.Error:
            return False
        return {sample.renamed.get(name, name) for name in header} >= {"sessionId", "hash"}

    return matches


def reader(delimiter: str) -> ItemReader:
    """Return a reader of files whose fields are separated by `delimiter`."""

    def items(chunks: Iterator[bytes], renamed: Mapping[str, str]) -> Iterator[Item]:
        with _long_fields():
            yield from _items(Rows(chunks, delimiter), renamed)

    return items


def _items(rows: "Rows", renamed: Mapping[str, str]) -> Iterator[Item]:
    filled = (row for row in rows if row.text.strip(" \r\n"))
    header = next(filled, None)
    if not header:
        return
    rows.width = len(header.fields)
    columns = [(json.dumps(name), renamed.get(name, name)) for name in map(replace_surrogates, header.fields)]
    names = [name for _, name in columns]
    duplicates = (f'duplicate column "{name}"' for name in FIELD_NAMES if names.count(name) > 1)
    fault = header.problem or next(duplicates, None)
    if fault:
        yield Item(header.line, None, header.text, problem=f"no header: {fault}")
    for row in filled:
        problem = "there is no header" if fault else row.problem
        yield Item(row.line, 1, row.text, problem=problem) if problem else _event_item(row, columns)


def _event_item(row: "Row", columns: list[tuple[str, str]]) -> Item:
    """Return a row as a JSON event; `columns` has the JSON text of each key and the schema's name."""
    # CSV has no null: an empty field is absent.
    members = [
        f"{key}:{_json_value(name, field)}" for (key, name), field in zip(columns, row.fields, strict=True) if field
    ]
    return Item(row.line, 1, "{" + ",".join(members) + "}", raw=row.text)


def _json_value(name: str, field: str) -> str:
    """Return a field as JSON of the type of its column, or else as a string, for which the archive rejects the row.

    >>> _json_value("duration", "12.5"), _json_value("duration", "fast"), _json_value("hash", "12")
    ('12.5', '"fast"', '"12"')
    """
    if name == "interactive":
        return BOOLEANS.get(field.lower(), json.dumps(field))
    return field if name in NUMERIC_COLUMNS and NUMBER.fullmatch(field) else json.dumps(field)


_field_limit_lock = Lock()
_previous_field_limits: list[int] = []


@contextmanager
def _long_fields() -> Iterator[None]:
    """Raise the csv module's field size limit, which all threads share, while any reader needs it."""
    with _field_limit_lock:
        _previous_field_limits.append(csv.field_size_limit(MAX_LINE_BYTES))
    try:
        yield
    finally:
        with _field_limit_lock:
            # The last reader pops the first entry, which is the limit from before them all.
            limit = _previous_field_limits.pop()
            if not _previous_field_limits:
                csv.field_size_limit(limit)


class Row(NamedTuple):
    """A row of a file, from one or more lines."""

    line: int
    text: str
    fields: list[str]
    problem: str | None


class Rows:
    """Iterates over the rows of a file. Once `width` is set, rows with another number of fields have a problem."""

    def __init__(self, chunks: Iterator[bytes], delimiter: str) -> None:
        self._lines, self._delimiter, self.width = _LineFeed(chunks), delimiter, 0
        self._name = "TSV" if delimiter == "\t" else "CSV"

    def __iter__(self) -> Iterator[Row]:
        parser = csv.reader(self._lines, delimiter=self._delimiter, strict=True)
        while self._lines.begin_row():
            number, (fields, problem) = self._lines.number, self._parse(parser)
            lines = self._lines.row
            if not problem:
                yield Row(number, "".join(lines).rstrip("\r\n"), fields, None)
                continue
            # Only the first line is at fault for sure. The last may begin another row of several lines.
            first, *others = lines
            yield self._broken_row(number, first, problem)
            yield from self._parse_lines(number + 1, others[:-1])
            self._lines.put_back(others[-1:])

    def _parse_lines(self, start: int, lines: Sequence[str]) -> Iterator[Row]:
        for number, text in enumerate(lines, start):
            fields, problem = self._parse(csv.reader([text], delimiter=self._delimiter, strict=True))
            yield self._broken_row(number, text, problem) if problem else Row(number, text.rstrip("\r\n"), fields, None)

    def _parse(self, parser: Iterator[list[str]]) -> tuple[list[str], str | None]:
        try:
            fields = next(parser)
        except csv.Error as error:
            reason = next((ours for theirs, ours in CSV_ERROR_REASONS.items() if theirs in str(error)), str(error))
            return [], f"not {self._name}: {reason}"
        is_wrong = self.width and len(fields) not in (0, self.width)
        return fields, f"{len(fields)} fields where the header has {self.width}" if is_wrong else None

    def _broken_row(self, number: int, text: str, problem: str) -> Row:
        is_cut = not text.endswith("\n") and text.count(self._delimiter) < self.width
        return Row(number, text.rstrip("\r\n"), [], CUT_OFF if is_cut else problem)


class _LineFeed:
    """Feeds lines to the csv module. `row` holds those of the current row, `number` that of its first line."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._lines = (decode_line(raw, number, "") for number, raw in enumerate(raw_lines(chunks), start=1))
        self._next: list[str] = []
        self.row: list[str] = []
        self.number, self._size = 1, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._size > MAX_LINE_BYTES:
            raise csv.Error(ROW_TOO_LONG)
        line = self._next.pop() if self._next else next(self._lines)
        self.row.append(line)
        self._size += len(line)
        return line

    def begin_row(self) -> bool:
        """Begin the next row; return False at the end of the file."""
        self.number += len(self.row)
        self.row, self._size = [], 0
        self._next = self._next or list(islice(self._lines, 1))
        return bool(self._next)

    def put_back(self, lines: Sequence[str]) -> None:
        """Move the last lines of the current row, at most one, to the next row."""
        self._next = list(lines)
        del self.row[len(self.row) - len(lines) :]
