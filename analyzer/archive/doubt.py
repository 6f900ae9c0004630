"""Rows that the fast reading cannot vouch for: each is judged again by the text of its line.

A row is in doubt where it is no valid event, or may have been written shorter than DuckDB writes it. There must be as
many lines as rows: then none is blank, and a row's number is its line. The least size of every other row, the lines in
doubt and the newlines must add up to the file's size: that proves the other rows.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyzer.archive import item_file, staging
from analyzer.archive.accounting import FileReport
from analyzer.readers.item import NOT_UTF8, WHITESPACE, Item
from analyzer.readers.stream import Stream

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MOST = 0.02
"""Where more rows than this share are in doubt, reading all lines by their text is faster."""

_DOUBTFUL = f"file_id = $file_id AND (kind IS NULL OR size >= {staging.UNPROVEN_BYTES})"

SURE = f"""
SELECT count(*), min(rowid), count(*) FILTER (WHERE kind IS NULL OR size >= {staging.UNPROVEN_BYTES}),
       coalesce(sum(size) FILTER (WHERE kind IS NOT NULL AND size < {staging.UNPROVEN_BYTES}), 0)::BIGINT
FROM staged WHERE file_id = $file_id
"""

DOUBTFUL = (
    f"CREATE OR REPLACE TEMP TABLE doubtful AS SELECT rowid AS place FROM staged WHERE {_DOUBTFUL} ORDER BY rowid"
)
JUDGED = "CREATE OR REPLACE TEMP TABLE judged AS FROM staged LIMIT 0"
PAIRS = "(SELECT d.place, j.* FROM doubtful d POSITIONAL JOIN judged j)"

# The fast reading misread such a row: nothing it says of the file can be trusted.
VALID_AFTER_ALL = f"""
SELECT count(*) FROM {PAIRS} j JOIN staged s ON s.rowid = j.place WHERE s.kind IS NULL AND j.kind IS NOT NULL
"""
SETTLE = f"UPDATE staged SET kind = j.kind, fault = j.fault FROM {PAIRS} j WHERE staged.rowid = j.place"


class Doubt:
    """Settles what a file's fast reading left open; `checks` are the parameters of `staging.checked`."""

    def __init__(self, connection: "DuckDBPyConnection", path: Path, checks: dict[str, Any]) -> None:
        self._connection, self._path, self._checks = connection, path, checks

    def settled(self, plain: Stream, report: FileReport, file_id: int) -> bool:
        """Judge the rows in doubt by their lines; tell whether that proves all rows of the file."""
        at = {"file_id": file_id}
        rows, base, doubtful, size = self._connection.execute(SURE, at).fetchone()  # type: ignore[misc]
        if doubtful > rows * MOST:
            return False
        newlines = rows if report.content.ends_in_newline else rows - 1
        if not doubtful:
            return bool(size + newlines == report.content.size_bytes)
        self._connection.execute(DOUBTFUL, at)
        numbers = [place - base + 1 for (place,) in self._all("FROM doubtful ORDER BY place")]
        found, counted = item_file.lines_at(plain.chunks(), numbers)
        size += counted + sum(len(line) for _, line in found)
        if counted != newlines or size != report.content.size_bytes:
            return False
        item_file.write_items(self._path, (_item(number, line) for number, line in found))
        return self._judge(at)

    def _all(self, sql: str) -> list[tuple[int]]:
        return self._connection.execute(sql).fetchall()

    def _judge(self, at: dict[str, int]) -> bool:
        self._connection.execute(JUDGED)
        columns = {"path": str(self._path), "compression": "none", "columns": staging.ITEM_COLUMNS}
        self._connection.execute(staging.checked(staging.ITEMS, into="judged"), columns | self._checks | at)
        if self._all(VALID_AFTER_ALL)[0][0]:
            return False
        self._connection.execute(SETTLE)
        return True


def _item(number: int, line: bytes) -> Item:
    text = line.decode("utf-8", "replace").strip(WHITESPACE)
    return Item(number, 1, text, problem=None if text.encode() == line.strip(WHITESPACE.encode()) else NOT_UTF8)
