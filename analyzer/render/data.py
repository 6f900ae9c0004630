"""JSON, NDJSON, CSV and Parquet: raw units, null where there is no answer."""

import csv
import dataclasses
import io
import json
import math
from datetime import date, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO

from analyzer.questions.report import Report
from analyzer.render.grid import escape_controls
from analyzer.render.values import to_plain_value
from analyzer.table import BYTES, COUNT, FLAG, FRACTIONS, TIME, Table

if TYPE_CHECKING:
    import polars as pl

SCHEMA_VERSION = 1
NATIVE = (bool, int, float, str, date, time, timedelta, Decimal, bytes, list, dict, type(None))


def _records(table: Table) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, map(_finite, row), strict=True)) for row in table.rows]


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    found = to_plain_value(value)
    if isinstance(found, list):
        return [_finite(item) for item in found]
    if isinstance(found, dict):
        return {key: _finite(item) for key, item in found.items()}
    return None if isinstance(found, float) and not math.isfinite(found) else found


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
    """Write the primary table, an object a row."""
    lines = (json.dumps(record, ensure_ascii=False, separators=(",", ":")) for record in _records(report.primary))
    stream.writelines(f"{line}\n".encode() for line in lines)


def write_csv(report: Report, stream: BinaryIO) -> None:
    """Write the primary table with a header line; null is an empty field. On a terminal no text moves the cursor."""
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)  # csv itself leaves a bare \r unquoted
    writer.writerow([column.name for column in report.primary.columns])
    shown = escape_controls if stream.isatty() else str
    for row in report.primary.rows:
        fields = [shown(field) if isinstance(field, str) else field for field in map(_field, row)]
        has_return = any(isinstance(field, str) and "\r" in field for field in fields)
        (quoting if has_return else writer).writerow(fields)
    text.detach()


def _field(value: Any) -> Any:
    found = to_plain_value(value)
    return json.dumps(found) if isinstance(found, bool | list | dict) else found


def write_parquet(report: Report, stream: BinaryIO) -> None:
    """Write the primary table, times as UTC timestamps."""
    table_frame(report.primary).write_parquet(stream)


def table_frame(table: Table) -> "pl.DataFrame":
    """Return a table as a data frame, each column of the type of its unit: times are naive UTC."""
    import polars as pl  # noqa: PLC0415  (0.15 s, only where it is needed)

    types: dict[str, pl.DataType] = {COUNT: pl.Int64(), BYTES: pl.Int64(), TIME: pl.Datetime("us"), FLAG: pl.Boolean()}
    types |= dict.fromkeys(FRACTIONS, pl.Float64())
    names = [column.name for column in table.columns]
    rows = [[value if isinstance(value, NATIVE) else str(value) for value in row] for row in table.rows]
    made = pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)
    casts = [pl.col(column.name).cast(types[column.unit]) for column in table.columns if column.unit in types]
    empty = [pl.col(name).cast(pl.String) for name, kind in made.schema.items() if kind == pl.Null]
    return made.with_columns(empty).with_columns(casts)
