"""SQL that reads files into raw rows of events (see `event_validation`).

DuckDB reads NDJSON and Parquet itself. The items of other formats are found in Python and written to an item file,
which is NDJSON with a line for each item.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from analyzer.event import ENVELOPE_FIELDS, FIELD_NAMES
from analyzer.readers.item import MAX_REJECT_CHARS, NOT_UTF8, Item
from analyzer.text import replace_surrogates

MAX_ITEM_BYTES = 1 << 23
"""DuckDB holds several items in memory at once, for each thread."""

TOO_LONG = f"longer than {MAX_ITEM_BYTES >> 20} MiB, which is not read"

_ENVELOPE_NAMES = {column.name for column in ENVELOPE_FIELDS}
_CONTEXT_TYPE = "STRUCT(" + ", ".join(f'"{column.name}" JSON' for column in ENVELOPE_FIELDS) + ")"

ITEM_COLUMNS = {
    "line": "BIGINT",
    "item": "BIGINT",
    "problem": "VARCHAR",
    "text": "VARCHAR",
    "display_text": "VARCHAR",
    "context": _CONTEXT_TYPE,
}
"""The columns of an item file. `context` has the values of the request around an event, where the event has none."""

_LINES = f"""
SELECT NULL::BIGINT AS line, 1::BIGINT AS item, CASE WHEN json IS NULL THEN 'not JSON' END AS problem,
       json::VARCHAR AS text, json::VARCHAR AS display_text, NULL::{_CONTEXT_TYPE} AS context, json
FROM read_ndjson_objects($path, compression=$compression, ignore_errors=true)
"""

_ITEMS = """
SELECT * REPLACE (coalesce(problem, CASE WHEN json IS NULL THEN 'not JSON' END) AS problem,
                  coalesce(display_text, text) AS display_text)
FROM (SELECT *, CASE WHEN problem IS NULL THEN try_cast(text AS JSON) END AS json
      FROM read_json($path, format='newline_delimited', columns=$columns, compression=$compression,
                     auto_detect=false, hive_partitioning=false))
"""

# DuckDB may write a fractional number longer than it is in the file (1e3 as 1000.0): then the length proves nothing.
_FROM_JSON = """
SELECT line, item, problem, text, display_text, {fields},
       strlen(text) <> {compact_bytes} OR contains(duration, '.') OR (timestamp >= '#' AND contains(timestamp, '.'))
           AS may_have_more_keys
FROM (SELECT *, json_transform(json, $structure) AS found FROM ({source}))
"""

_PARQUET = """
SELECT file_row_number + 1 AS line, 1::BIGINT AS item, NULL::VARCHAR AS problem, to_json(row)::VARCHAR AS text,
       to_json(row)::VARCHAR AS display_text, {fields}, false AS may_have_more_keys
FROM read_parquet($path, file_row_number=true, hive_partitioning=false) AS row
"""


def line_rows(names: Sequence[str]) -> str:
    """Return the SQL of raw rows of NDJSON; `names` are the file's names for FIELD_NAMES, in that order."""
    return _json_rows(_LINES, names)


def item_rows(names: Sequence[str]) -> str:
    """Return the SQL of raw rows of an item file; `names` are the log's names for FIELD_NAMES, in that order."""
    return _json_rows(_ITEMS, names)


def _json_rows(source: str, names: Sequence[str]) -> str:
    found = [f"struct_extract_at(found, {place})" for place, _ in enumerate(names, start=1)]
    fields = (
        f'coalesce({value}, context."{name}")::VARCHAR AS "{name}"'
        if name in _ENVELOPE_NAMES
        else f'{value}::VARCHAR AS "{name}"'
        for value, name in zip(found, FIELD_NAMES, strict=True)
    )
    # The length of an object without white space and with these keys alone: a text of this length holds nothing else.
    # Each member adds the quotes of its name, a colon and a comma; the braces add one, as the last has no comma.
    members = (
        f"coalesce(strlen({value}::VARCHAR) + {len(name.encode()) + 4}, 0)"
        for value, name in zip(found, names, strict=True)
    )
    return _FROM_JSON.format(source=source, fields=", ".join(fields), compact_bytes=f"(1 + {' + '.join(members)})")


def parquet_rows(columns: Mapping[str, str], floats: Collection[str]) -> str:
    """Return the SQL of raw rows of a Parquet file.

    `columns` gives the file's column of each field it has. Whole numbers in columns of `floats` become integers, as
    data frames store integers with missing values as floats.
    """
    fields = (
        f"{_to_json(_quote(columns[name]), is_float=columns[name] in floats)}::VARCHAR"
        if name in columns
        else "NULL::VARCHAR"
        for name in FIELD_NAMES
    )
    return _PARQUET.format(
        fields=", ".join(f'{field} AS "{name}"' for field, name in zip(fields, FIELD_NAMES, strict=True))
    )


def _to_json(column: str, *, is_float: bool) -> str:
    if not is_float:
        return f"to_json({column})"
    whole = f"CASE WHEN {column} = trunc({column}) THEN try_cast({column} AS BIGINT) END"
    return f"coalesce(to_json({whole}), to_json({column}))"


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def write_items(path: Path, items: Iterable[Item]) -> None:
    """Write an item file: a JSON object a line, with the columns of ITEM_COLUMNS."""
    with path.open("wb") as file:
        file.writelines(_item_line(item) for item in items)


def _item_line(item: Item) -> bytes:
    fields = {"line": item.line, "item": item.item, "problem": item.problem, "text": item.text,
              "display_text": item.raw, "context": item.context}  # fmt: skip
    line = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    try:
        data = line.encode()
    except UnicodeEncodeError:
        clean = json.loads(replace_surrogates(line))
        data = json.dumps({**clean, "problem": item.problem or NOT_UTF8}, ensure_ascii=False).encode()
    if len(data) <= MAX_ITEM_BYTES:
        return data + b"\n"
    beginning = (item.text if item.raw is None else item.raw)[:MAX_REJECT_CHARS]
    return _item_line(Item(item.line, item.item, "", problem=TOO_LONG, raw=beginning))
