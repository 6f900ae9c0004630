"""Writes reports as JSON, NDJSON, CSV and Parquet: values in their units, null where there is none.

NDJSON, CSV and Parquet are written row by row, so that a table whose rows are streamed may be larger than memory.
"""

import csv
import dataclasses
import io
import json
import os
import stat
from collections.abc import Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, BinaryIO

from analyzer.questions.report import Report
from analyzer.render.values import escape_controls, format_sentences, to_json_value, to_plain_value
from analyzer.table import BYTES, COUNT, FLAG, FRACTIONS, TIME, Table

if TYPE_CHECKING:
    import polars as pl

# The version of the JSON document; a change of the meaning or name of a field increases it.
SCHEMA_VERSION = 1

POLARS_TYPES = (bool, int, float, str, date, time, timedelta, Decimal, bytes, list, dict, type(None))


def _records(table: Table) -> Iterator[dict[str, Any]]:
    # Not `table.records()`: rows may be streamed.
    names = [column.name for column in table.columns]
    return (dict(zip(names, map(to_json_value, row), strict=True)) for row in table.rows)


def write_json(report: Report, stream: BinaryIO) -> None:
    """Write the whole report as one JSON document."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "command": report.command,
        **({"verdict": format_sentences(report.verdict)} if report.verdict else {}),
        **report.facts,
        "input": dataclasses.asdict(report.accounting),
        "tables": [
            {"name": table.name,
             "columns": [{"name": c.name, "unit": c.unit, "description": c.description} for c in table.columns],
             "rows": list(_records(table))}
            for table in report.tables
        ],
    }  # fmt: skip
    stream.write((json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def write_ndjson(report: Report, stream: BinaryIO) -> None:
    """Write the primary table, one JSON object per row."""
    lines = (json.dumps(record, ensure_ascii=False, separators=(",", ":")) for record in _records(report.primary))
    stream.writelines(f"{line}\n".encode() for line in lines)


def write_csv(report: Report, stream: BinaryIO) -> None:
    """Write the primary table with a header line; null is an empty field. Terminals get controls escaped."""
    if report.primary.write_csv and _is_file(stream):
        report.primary.write_csv(stream)
        return
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    quoting_writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)  # csv leaves a bare \r unquoted
    rows = iter(report.primary.rows)
    first = list(islice(rows, 1))  # this runs a query: where it fails, not even the header has been written
    writer.writerow([column.name for column in report.primary.columns])
    escape = escape_controls if stream.isatty() else str
    for row in chain(first, rows):
        fields = [escape(field) if isinstance(field, str) else field for field in map(_field, row)]
        has_return = any(isinstance(field, str) and "\r" in field for field in fields)
        (quoting_writer if has_return else writer).writerow(fields)
    text.detach()


def _is_file(stream: BinaryIO) -> bool:
    """Return whether a stream is a file, into which a whole result can be copied, and no pipe or terminal."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):  # a stream in memory
        return False


def _field(value: Any) -> Any:
    return json.dumps(to_json_value(value)) if isinstance(value, bool | list | tuple | dict) else to_plain_value(value)


def write_parquet(report: Report, stream: BinaryIO) -> None:
    """Write the primary table, times as UTC timestamps."""
    table = report.primary
    (table.write_parquet or table_frame(table).write_parquet)(stream)


def table_frame(table: Table) -> "pl.DataFrame":
    """Return a table as a data frame with the column types of its units; times are naive UTC."""
    import polars as pl  # noqa: PLC0415  (takes 0.15 s, needed for Parquet and data frames only)

    types: dict[str, pl.DataType] = {COUNT: pl.Int64(), BYTES: pl.Int64(), TIME: pl.Datetime("us"), FLAG: pl.Boolean()}
    types |= dict.fromkeys(FRACTIONS, pl.Float64())
    names = [column.name for column in table.columns]
    rows = [[value if isinstance(value, POLARS_TYPES) else str(value) for value in row] for row in table.rows]
    frame = pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)
    casts = [pl.col(column.name).cast(types[column.unit]) for column in table.columns if column.unit in types]
    # Polars gives a column of nulls the type Null, which Parquet readers may not know.
    untyped = [pl.col(name).cast(pl.String) for name, dtype in frame.schema.items() if dtype == pl.Null]
    return frame.with_columns(untyped).with_columns(casts)
