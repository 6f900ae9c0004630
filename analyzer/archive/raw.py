"""From a file to raw rows: a row an item, each field still the JSON text it had. Nothing is judged here.

Every relation has `line`, `item`, `problem`, `text` (JSON), `shown` (as it stands in the file), `text_bytes` and a
column a name of the schema. DuckDB gives one row a line that is not blank, in order, whatever is wrong with the line:
so a row's number is its place.
"""

from collections.abc import Collection

from analyzer.event import ENVELOPE_COLUMNS, NAMES

_ENVELOPE = {column.name for column in ENVELOPE_COLUMNS}
_CONTEXT_TYPE = "STRUCT(" + ", ".join(f'"{column.name}" JSON' for column in ENVELOPE_COLUMNS) + ")"

SPOOL_COLUMNS = {
    "line": "BIGINT",
    "item": "BIGINT",
    "problem": "VARCHAR",
    "text": "VARCHAR",
    "shown": "VARCHAR",
    "context": _CONTEXT_TYPE,
}

DIRECT = """
SELECT NULL::BIGINT AS line, 1::BIGINT AS item, NULL::VARCHAR AS problem, NULL::VARCHAR AS text,
       NULL::VARCHAR AS shown, NULL::BIGINT AS text_bytes, {fields}
FROM read_json($path, format='newline_delimited', columns=$columns, compression=$compression,
               auto_detect=false, ignore_errors=true, hive_partitioning=false)
"""


def direct(present: Collection[str]) -> str:
    """Return the relation of NDJSON, read the fast way: only the columns that are `present`.

    A repeated or unknown key does not show, so what this gives must be proven (see staging).
    """
    fields = (f'"{name}"::VARCHAR AS "{name}"' if name in present else f'NULL::VARCHAR AS "{name}"' for name in NAMES)
    return DIRECT.format(fields=", ".join(fields))


# By place, not by name: the file may name its columns otherwise.
_FIELDS = {name: f"struct_extract_at(found, {place})" for place, name in enumerate(NAMES, start=1)}
_FOUND = ", ".join(f'{field}::VARCHAR AS "{name}"' for name, field in _FIELDS.items())
_FOUND_OR_CONTEXT = ", ".join(
    f'coalesce({field}, context."{name}")::VARCHAR AS "{name}"'
    if name in _ENVELOPE
    else f'{field}::VARCHAR AS "{name}"'
    for name, field in _FIELDS.items()
)

LINES = f"""
SELECT NULL::BIGINT AS line, 1::BIGINT AS item, problem, text, text AS shown, strlen(text) AS text_bytes, {_FOUND}
FROM (SELECT CASE WHEN json IS NULL THEN 'not JSON' END AS problem, json::VARCHAR AS text,
             json_transform(json, $structure) AS found
      FROM read_ndjson_objects($path, compression=$compression, ignore_errors=true))
"""
"""NDJSON with the text of each line beside its fields."""

SPOOL = f"""
SELECT line, item, coalesce(problem, CASE WHEN json IS NULL THEN 'not JSON' END) AS problem, text,
       coalesce(shown, text) AS shown, strlen(text) AS text_bytes, {_FOUND_OR_CONTEXT}
FROM (SELECT *, json_transform(json, $structure) AS found
      FROM (SELECT *, CASE WHEN problem IS NULL THEN try_cast(text AS JSON) END AS json
            FROM read_json($path, format='newline_delimited', columns=$columns, compression=$compression,
                           auto_detect=false, hive_partitioning=false)))
"""
"""The items that a reader found, written down one a line (see spool)."""

PARQUET = """
SELECT file_row_number + 1 AS line, 1::BIGINT AS item, NULL::VARCHAR AS problem, to_json(row)::VARCHAR AS text,
       to_json(row)::VARCHAR AS shown,
       NULL::BIGINT AS text_bytes, {fields}
FROM read_parquet($path, file_row_number=true, hive_partitioning=false) AS row
"""


def parquet(columns: dict[str, str], floats: Collection[str] = ()) -> str:
    """Return the relation of a Parquet file: `columns` gives the file's column for names of the schema it has.

    Whole numbers of `floats` among the file's columns are integers: so data frames keep integers that may be absent.
    """
    fields = (
        f"{_json_of(_identifier(columns[name]), is_float=columns[name] in floats)}::VARCHAR"
        if name in columns
        else "NULL::VARCHAR"
        for name in NAMES
    )
    return PARQUET.format(fields=", ".join(f'{field} AS "{name}"' for field, name in zip(fields, NAMES, strict=True)))


def _json_of(column: str, *, is_float: bool) -> str:
    if not is_float:
        return f"to_json({column})"
    whole = f"CASE WHEN {column} = trunc({column}) THEN try_cast({column} AS BIGINT) END"
    return f"coalesce(to_json({whole}), to_json({column}))"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
