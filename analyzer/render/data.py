"""Write reports as JSON, NDJSON, CSV and Parquet: values in raw units, null where there is no answer."""

import csv
import dataclasses
import io
import json
import math
from datetime import date, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO

from analyzer.questions.report import Report
from analyzer.render.values import escape_controls, to_plain_value
from analyzer.table import BYTES, COUNT, FLAG, FRACTIONS, TIME, Table

if TYPE_CHECKING:
    import polars as pl

SCHEMA_VERSION = 1
"""The version of the JSON document; a change of the meaning or name of a field increases it."""

POLARS_TYPES = (bool, int, float, str, date, time, timedelta, Decimal, bytes, list, dict, type(None))


def _records(table: Table) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, map(_to_json_value, row), strict=True)) for row in table.rows]


def _to_json_value(value: Any) -> Any:
    """Return a plain value without NaN and infinity, which JSON does not have: they become null."""
    plain = to_plain_value(value)
    if isinstance(plain, list):
        return [_to_json_value(item) for item in plain]
    if isinstance(plain, dict):
        return {key: _to_json_value(item) for key, item in plain.items()}
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def write_json(report: Report, stream: BinaryIO) -> None:
    """Write the whole report as one JSON document."""
    tables = [
        {
            "name": table.name,
            "columns": [{"name": c.name, "unit": c.unit, "description": c.description} for c in table.columns],
            "rows": _records(table),
        }
        for table in report.tables
    ]
    document = {
        "schema_version": SCHEMA_VERSION,
        "command": report.command,
        **report.facts,
        "input": dataclasses.asdict(report.accounting),
        "tables": tables,
    }
    stream.write((json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def write_ndjson(report: Report, stream: BinaryIO) -> None:
    """Write the primary table, one JSON object per row."""
    lines = (json.dumps(record, ensure_ascii=False, separators=(",", ":")) for record in _records(report.primary))
    stream.writelines(f"{line}\n".encode() for line in lines)


def write_csv(report: Report, stream: BinaryIO) -> None:
    """Write the primary table with a header line; null is an empty field. Terminals get controls escaped."""
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    quoting_writer = csv.writer(
        text, lineterminator="\n", quoting=csv.QUOTE_ALL
    )  # csv itself leaves a bare \r unquoted
    writer.writerow([column.name for column in report.primary.columns])
    escape = escape_controls if stream.isatty() else str
    for row in report.primary.rows:
        fields = [escape(field) if isinstance(field, str) else field for field in map(_to_csv_field, row)]
        has_return = any(isinstance(field, str) and "\r" in field for field in fields)
        (quoting_writer if has_return else writer).writerow(fields)
    text.detach()


def _to_csv_field(value: Any) -> Any:
    plain = to_plain_value(value)
    return json.dumps(plain) if isinstance(plain, bool | list | dict) else plain


def write_parquet(report: Report, stream: BinaryIO) -> None:
    """Write the primary table, with times as UTC timestamps."""
    table_frame(report.primary).write_parquet(stream)


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
