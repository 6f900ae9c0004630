"""What is wrong with staged rows: rejects with their places, and unknown keys."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from analyzer.archive import item_file, staging
from analyzer.archive.accounting import FileReport
from analyzer.errors import RejectedError
from analyzer.readers.formats import FORMATS
from analyzer.readers.item import CUT_OFF, NOT_UTF8
from analyzer.readers.stream import Stream

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

HIDDEN = r"""(?is),?"file_row_number":[0-9]+|authorization.*"""
"""What is not told of an item: what is no part of a Parquet file, and of a request what may be its token."""

REJECTS = f"""
INSERT INTO new_reject
SELECT $file_id, coalesce(fault.line, p.line) AS line, fault.item,
       CASE WHEN fault.reason IN ('not JSON', $not_utf8) AND position = $cut_position THEN $cut
            ELSE fault.reason END,
       regexp_replace(coalesce(fault.text, p.text, ''), '{HIDDEN}', '', 'g')
FROM (SELECT rowid - $base + 1 AS position, from_json(fault, '{staging.FAULT_TYPE}') AS fault
      FROM staged WHERE file_id = $file_id AND kind IS NULL) LEFT JOIN place p USING (position)
ORDER BY line, fault.item NULLS FIRST
"""

PLACES = """
CREATE OR REPLACE TEMP TABLE place AS
SELECT * FROM read_json($path, format='newline_delimited', auto_detect=false,
                        columns={position: 'BIGINT', line: 'BIGINT', text: 'VARCHAR'})
"""

UNKNOWN = f"""
SELECT key, count(*) FROM (
    SELECT unnest(from_json(fault, '{staging.FAULT_TYPE}').unknown) AS key
    FROM staged WHERE file_id = $file_id AND fault IS NOT NULL)
GROUP BY key ORDER BY key
"""


def store_rejects(
    connection: "DuckDBPyConnection", workspace: Path, report: FileReport, plain: Stream, file_id: int
) -> None:
    """Write the file's rejects into the archive; where DuckDB read the lines, look up which they were."""
    base = connection.execute("SELECT min(rowid) FROM staged WHERE file_id = $id", {"id": file_id}).fetchone()[0]  # type: ignore[index]
    path = workspace / "places.ndjson"
    positions = _positions(connection, file_id, base) if report.format == "ndjson" else iter(())
    with path.open("w", encoding="ascii") as file:
        for position, line, text in item_file.locate_lines(plain.chunks(), positions):
            file.write(json.dumps({"position": position, "line": line, "text": text}) + "\n")
    connection.execute(PLACES, {"path": str(path)})
    cut_in_a_line = not (report.content.ends_in_newline or FORMATS[report.format].is_one_value)
    connection.execute(
        REJECTS,
        {
            "file_id": file_id,
            "base": base,
            "cut": CUT_OFF,
            "not_utf8": NOT_UTF8,
            "cut_position": report.read if cut_in_a_line else None,
        },
    )


def _positions(connection: "DuckDBPyConnection", file_id: int, base: int) -> Iterator[int]:
    rows = connection.execute(
        "SELECT rowid - $base + 1 FROM staged WHERE file_id = $file_id AND kind IS NULL"
        " AND fault->>'$.line' IS NULL ORDER BY rowid",
        {"file_id": file_id, "base": base},
    )
    while batch := rows.fetchmany(10_000):
        yield from (position for (position,) in batch)


def raise_first_reject(connection: "DuckDBPyConnection", report: FileReport, file_id: int) -> None:
    """Raise a RejectedError that tells of the file's first reject."""
    line, item, reason, text = connection.execute(
        "SELECT line, item, reason, text FROM new_reject WHERE file_id = $id LIMIT 1", {"id": file_id}
    ).fetchone()  # type: ignore[misc]
    raise RejectedError(f"{format_place(report.name, line, item)}: {reason}: {text}")


def unknown_keys(connection: "DuckDBPyConnection", file_id: int) -> dict[str, int]:
    """Return the unknown keys of a file's events, each with the number of events that have it."""
    return dict(connection.execute(UNKNOWN, {"file_id": file_id}).fetchall())


def format_place(name: str, line: int, item: int | None) -> str:
    """Return how a place is written: file, line and, where a line holds several, the item.

    >>> place_of("a.log", 3, 2), place_of("a.log", 3, 1)
    ('a.log:3 (item 2)', 'a.log:3')
    """
    return f"{name}:{line} (item {item})" if item and item > 1 else f"{name}:{line}"
