"""CSV and TSV with a header line of the schema's column names; fields are text, so a number is what reads as one."""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from analyzer.readers.item import Item, Items, text_of

NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
NUMERIC = {"duration", "status"}
MOST_CHARS = 1 << 30
"""Of a field: csv refuses longer ones, by a limit that is the whole process's."""

BOOLEANS = {"true": "true", "false": "false", "1": "1", "0": "0"}


def reader(delimiter: str) -> Items:
    """Return a reader of files whose fields are separated by `delimiter`."""

    def items(chunks: Iterator[bytes], renamed: Mapping[str, str]) -> Iterator[Item]:
        with _long_fields():
            yield from _items(chunks, renamed, delimiter)

    return items


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let csv read fields that are longer than usual, for so long."""
    before = csv.field_size_limit(MOST_CHARS)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _items(chunks: Iterator[bytes], renamed: Mapping[str, str], delimiter: str) -> Iterator[Item]:
    recorder = Recorder(chunks)
    rows = csv.reader(recorder, delimiter=delimiter, strict=True)
    try:
        header = next(rows, [])
    except csv.Error as error:
        yield Item(1, None, recorder.text, problem=f"no header of {_name(delimiter)}: {error}")
        return
    columns = [(json.dumps(name), renamed.get(name, name)) for name in header]
    while True:
        start = recorder.forget() + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield Item(start, 1, recorder.text, problem=f"not {_name(delimiter)}: {error}")
            continue
        if row:
            yield _item(start, recorder.text, columns, row)


class Recorder:
    """The file's lines with what was read of them since the last row: a quoted field may hold a line break."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._lines = self._split(chunks)
        self._seen: list[str] = []
        self._count = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self._count += 1
            self._seen.append(line)
            yield line

    @property
    def text(self) -> str:
        """What was read since `forget`, without the last line break."""
        return "".join(self._seen).rstrip("\r\n")

    def forget(self) -> int:
        """Begin a new row; return the number of lines before it."""
        self._seen.clear()
        return self._count

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


def _item(line: int, text: str, columns: list[tuple[str, str]], row: list[str]) -> Item:
    if len(row) != len(columns):
        return Item(line, 1, text, problem=f"{len(row)} fields where the header has {len(columns)}")
    fields = [f"{key}:{_json(name, value)}" for (key, name), value in zip(columns, row, strict=True) if value]
    return Item(line, 1, "{" + ",".join(fields) + "}", shown=text)


def _json(name: str, value: str) -> str:
    """Write a field as the JSON value its column takes, or as a string, which is then rejected by that column.

    >>> _json("duration", "12.5"), _json("duration", "fast"), _json("hash", "12")
    ('12.5', '"fast"', '"12"')
    """
    if name == "interactive":
        return BOOLEANS.get(value.lower(), json.dumps(value))
    number = name in NUMERIC or (name == "timestamp" and value.isdecimal())
    return value if number and NUMBER.fullmatch(value) else json.dumps(value)


def _name(delimiter: str) -> str:
    return "TSV" if delimiter == "\t" else "CSV"
