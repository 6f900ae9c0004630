"""Rows of fields that a character separates, with their lines and what is wrong with them.

A field in quotes may hold line breaks. Where a row of several lines is none, a quote is missing or too many: its first
line is the one at fault, and those behind it are read by themselves; only the last of them may begin a row again.
"""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from threading import Lock
from typing import NamedTuple

from analyzer.readers.item import CUT, LONGEST_BYTES, raw_lines, text_of

TOO_LONG = "row too long"

REASONS = {
    "new-line character seen in unquoted field": "a carriage return outside quotes",
    "unexpected end of data": "a quote is not closed",
    "expected after": "text after a closing quote, or a quote is not closed",
    TOO_LONG: "a quote is not closed",
    "field larger than field limit": f"a field of over {LONGEST_BYTES >> 20} Mi characters, or a quote is not closed",
}
"""What csv's messages mean, by what they contain."""


_lock = Lock()
_limits: list[int] = []
"""The limit that each reader found: the first of them the usual one."""


@contextmanager
def long_fields() -> Iterator[None]:
    """Let csv read fields that are longer than usual, for as long as any thread does."""
    with _lock:
        _limits.append(csv.field_size_limit(LONGEST_BYTES))
    try:
        yield
    finally:
        with _lock:
            before = _limits.pop()
            if not _limits:
                csv.field_size_limit(before)


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
            reason = next((ours for theirs, ours in REASONS.items() if theirs in str(error)), str(error))
            return [], f"not {self._name}: {reason}"
        wrong = self.width and len(fields) not in (0, self.width)
        return fields, f"{len(fields)} fields where the header has {self.width}" if wrong else None

    def _at_fault(self, line: int, text: str, problem: str) -> Row:
        is_cut = not text.endswith("\n") and text.count(self._delimiter) < self.width
        return Row(line, text.rstrip("\r\n"), [], CUT if is_cut else problem)


class Feed:
    """Gives csv the lines of a file, and keeps those of the row that it reads."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._lines = (text_of(raw, number, "") for number, raw in enumerate(raw_lines(chunks), start=1))
        self._next: list[str] = []
        self.row: list[str] = []
        self.line, self._size = 1, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._size > LONGEST_BYTES:
            raise csv.Error(TOO_LONG)
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
