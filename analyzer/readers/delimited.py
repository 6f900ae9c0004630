"""Reads CSV and TSV whose header line has the schema's column names.

DuckDB reads files in which every line is a row: `simple_header` finds out. The others, with quotes, are read here.

The csv module parses the fields, but on its own it would lose rows: an unclosed quote swallows all lines up to the next
one. `Rows` therefore remembers the lines of each row, and after an error parses them again one by one.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from threading import Lock
from typing import NamedTuple

from analyzer.event import FIELD_NAMES
from analyzer.readers.item import CUT_OFF, MAX_LINE_BYTES, Item, ItemReader, ReaderOptions, decode_line, raw_lines
from analyzer.text import replace_surrogates

MAX_HEADER_BYTES = 1 << 16
# A quote, blank lines, and bytes that would mean something to DuckDB. One expression for all takes ten times as long.
_NOT_SIMPLE = (b'"', b"\n\n", b"\n\r", b"\n ", b"\0", b"\x01")
_RETURN_IN_LINE = re.compile(rb"\r[^\n]")
NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"
_NUMBER = re.compile(NUMBER)
NUMERIC_COLUMNS = {"duration", "status", "timestamp"}
_BOOLEANS = {"true": "true", "false": "false", "1": "1", "0": "0"}
# The reasons of rejects by a part of the csv module's message.
_ERROR_REASONS = {
    "new-line character seen in unquoted field": "a carriage return outside quotes",
    "unexpected end of data": "a quote is not closed",
    "expected after": "text after a closing quote, or a quote is not closed",
    "field larger than field limit": f"a field of over {MAX_LINE_BYTES >> 20} Mi characters, or a quote is not closed",
}


def reader(delimiter: str) -> ItemReader:
    """Return a reader of files whose fields are separated by `delimiter`."""

    def items(chunks: Iterator[bytes], options: ReaderOptions) -> Iterator[Item]:
        with _long_fields():
            yield from _items(Rows(chunks, delimiter), options.renamed)

    return items


def simple_header(chunks: Iterator[bytes]) -> str | None:
    """Return the first line of a file if every line is a row; None if rows may span lines, or lines be no rows."""
    header, last = b"", b"\n"
    for chunk in chunks:
        text = last + chunk
        if any(part in text for part in _NOT_SIMPLE) or (b"\r" in text and _RETURN_IN_LINE.search(text)):
            return None
        if not header.endswith(b"\n"):
            header += chunk[: chunk.find(b"\n") + 1 or None]
        last = chunk[-1:]
    return decode_line(header, 1) if last == b"\n" and len(header) < MAX_HEADER_BYTES else None


def _items(rows: "Rows", renamed: Mapping[str, str]) -> Iterator[Item]:
    filled = (row for row in rows if row.text.strip(" \r\n"))
    header = next(filled, None)
    if not header:
        return
    rows.width = len(header.fields)
    keys = [replace_surrogates(name) for name in header.fields]
    names = [renamed.get(key, key) for key in keys]
    duplicates = (f'duplicate column "{name}"' for name in FIELD_NAMES if names.count(name) > 1)
    fault = header.problem or next(duplicates, None)
    if fault:
        yield Item(header.line, None, header.text, problem=f"no header: {fault}")
    columns = [(json.dumps(key), name) for key, name in zip(keys, names, strict=True)]
    for row in filled:
        problem = "there is no header" if fault else row.problem
        if problem:
            yield Item(row.line, 1, row.text, problem=problem)
            continue
        fields = zip(columns, row.fields, strict=True)
        has_quoted_null = '"NULL"' in row.text
        members = [
            f"{key}:{_json_value(name, field)}"
            for (key, name), field in fields
            if not _is_absent(name, field, has_quoted_null=has_quoted_null)
        ]
        yield Item(row.line, 1, "{" + ",".join(members) + "}", raw=row.text)


def _is_absent(name: str, field: str, *, has_quoted_null: bool) -> bool:
    r"""Return whether a field is absent: empty, or a null as databases export it (CSV has none of its own).

    A quoted NULL in a column of text is text: a team may be called that.

    >>> [_is_absent("slug", field, has_quoted_null=False) for field in ("", r"\N", "NULL", "null")]
    [True, True, True, False]
    """
    is_text = name not in NUMERIC_COLUMNS and name != "interactive"
    return field in ("", "\\N") or (field == "NULL" and not (is_text and has_quoted_null))


def _json_value(name: str, field: str) -> str:
    """Return a field as JSON of the type of its column, or else as a string, for which the archive rejects the row.

    >>> _json_value("duration", "12.5"), _json_value("duration", "fast"), _json_value("hash", "12")
    ('12.5', '"fast"', '"12"')
    """
    if name == "interactive":
        return _BOOLEANS.get(field.lower(), json.dumps(field))
    return field if name in NUMERIC_COLUMNS and _NUMBER.fullmatch(field) else json.dumps(field)


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
            if not problem:
                yield self._row(number, "".join(self._lines.row), fields, None)
                continue
            # Only the first line is at fault for sure. The last may begin another row of several lines.
            first, *others = self._lines.row
            yield self._row(number, first, [], problem)
            for line_number, line in enumerate(others[:-1], number + 1):
                line_parser = csv.reader([line], delimiter=self._delimiter, strict=True)
                yield self._row(line_number, line, *self._parse(line_parser))
            self._lines.put_back(others[-1:])

    def _parse(self, parser: Iterator[list[str]]) -> tuple[list[str], str | None]:
        try:
            fields = next(parser)
        except csv.Error as error:
            reason = next((ours for theirs, ours in _ERROR_REASONS.items() if theirs in str(error)), str(error))
            return [], f"not {self._name}: {reason}"
        is_wrong = self.width and len(fields) not in (0, self.width)
        return fields, f"{len(fields)} fields where the header has {self.width}" if is_wrong else None

    def _row(self, number: int, text: str, fields: list[str], problem: str | None) -> Row:
        is_cut = problem and not text.endswith("\n") and text.count(self._delimiter) < self.width
        return Row(number, text.rstrip("\r\n"), fields, CUT_OFF if is_cut else problem)


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
            raise StopIteration  # for the csv module, the file ends inside quotes
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
