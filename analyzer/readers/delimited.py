"""CSV and TSV with a header line of the schema's column names; fields are text, so a number is what reads as one."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from analyzer.event import NAMES
from analyzer.readers.item import Item, Items
from analyzer.readers.rows import Row, Rows, long_fields

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
NUMERIC = {"duration", "status", "timestamp"}
BOOLEANS = {"true": "true", "false": "false", "1": "1", "0": "0"}


def reader(delimiter: str) -> Items:
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
    columns = [(json.dumps(name), renamed.get(name, name)) for name in map(_shown, header.fields)]
    fault = header.problem or _repeated([ours for _, ours in columns])
    if fault:
        yield Item(header.line, None, header.text, problem=f"no header: {fault}")
    for row in found:
        problem = "there is no header" if fault else row.problem
        yield Item(row.line, 1, row.text, problem=problem) if problem else _item(row, columns)


def _repeated(names: Sequence[str]) -> str | None:
    return next((f'duplicate column "{name}"' for name in NAMES if names.count(name) > 1), None)


def _shown(name: str) -> str:
    """Return a name as text: bytes that are no UTF-8 are replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _item(row: Row, columns: list[tuple[str, str]]) -> Item:
    fields = [f"{key}:{_json(name, value)}" for (key, name), value in zip(columns, row.fields, strict=True) if value]
    return Item(row.line, 1, "{" + ",".join(fields) + "}", shown=row.text)


def _json(name: str, value: str) -> str:
    """Write a field as the JSON value its column takes, or as a string, which is then rejected by that column.

    >>> _json("duration", "12.5"), _json("duration", "fast"), _json("hash", "12")
    ('12.5', '"fast"', '"12"')
    """
    if name == "interactive":
        return BOOLEANS.get(value.lower(), json.dumps(value))
    return value if name in NUMERIC and NUMBER.fullmatch(value) else json.dumps(value)
