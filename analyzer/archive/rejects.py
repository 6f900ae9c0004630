"""Extracts rejects and unknown keys from staged rows, and finds the line numbers of rejects in their file."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from analyzer.archive.accounting import FileReport
from analyzer.archive.event_validation import ISSUES_TYPE
from analyzer.errors import RejectedError
from analyzer.readers.formats import FORMATS
from analyzer.readers.item import CUT_OFF, MAX_REJECT_CHARS, NOT_UTF8, WHITESPACE, raw_lines
from analyzer.readers.stream import Stream

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# A column that is not the file's own, and request headers, which may hold an API token.
_REMOVED = r"""(?is),?"file_row_number":[0-9]+|authorization.*"""

# The rejects of a batch of files, gathered before they are merged.
NEW_REJECTS = "CREATE OR REPLACE TEMP TABLE new_reject AS FROM store.reject LIMIT 0;"

_REJECTED_ROWS = f"""
SELECT rowid - (SELECT min(rowid) FROM staged WHERE file_id = $file_id) + 1 AS position,
       from_json(issues, '{ISSUES_TYPE}') AS issues
FROM staged WHERE file_id = $file_id AND kind IS NULL
"""

_POSITIONS = f"SELECT position FROM ({_REJECTED_ROWS}) WHERE issues.line IS NULL ORDER BY position"

_STORE_REJECTS = f"""
INSERT INTO new_reject
SELECT $file_id, coalesce(issues.line, l.line) AS line, issues.item,
       CASE WHEN issues.reason IN ('not JSON', $not_utf8) AND position = $cut_position THEN $cut_off
            ELSE issues.reason END,
       regexp_replace(coalesce(issues.text, l.text, ''), '{_REMOVED}', '', 'g')
FROM ({_REJECTED_ROWS})
LEFT JOIN (FROM read_json($path, format='newline_delimited', auto_detect=false,
                          columns={{position: 'BIGINT', line: 'BIGINT', text: 'VARCHAR'}})) l USING (position)
ORDER BY line, issues.item NULLS FIRST
"""

_UNKNOWN_KEYS = f"""
SELECT key, count(*) FROM (
    SELECT unnest(from_json(issues, '{ISSUES_TYPE}').unknown_keys) AS key
    FROM staged WHERE file_id = $file_id AND issues IS NOT NULL)
GROUP BY key ORDER BY key
"""


_TIMES_IN_SECONDS = f"""
SELECT count(*) FROM staged
WHERE file_id = $file_id AND kind IS NOT NULL AND issues IS NOT NULL AND from_json(issues, '{ISSUES_TYPE}').in_seconds
"""


def store_rejects(
    connection: "DuckDBPyConnection", workspace: Path, report: FileReport, plain: Stream, file_id: int
) -> None:
    """Insert a file's rejects into `new_reject`. `plain` is the stream that DuckDB read, if it did."""
    format_ = FORMATS[report.format]
    # DuckDB gives a row for each line that is not blank, but not its number.
    path = workspace / "rejected_lines.ndjson"
    positions = _positions(connection, file_id) if format_.duckdb == "ndjson" else ()
    with path.open("w", encoding="ascii") as file:
        for position, line, text in locate_lines(plain.chunks(), positions):
            file.write(json.dumps({"position": position, "line": line, "text": text}) + "\n")
    # The last line lacks its newline, so if it is broken, the file was cut off there.
    is_cut = not (report.ends_in_newline or format_.reports_cuts)
    parameters = {"file_id": file_id, "path": str(path), "cut_position": report.read if is_cut else None}
    connection.execute(_STORE_REJECTS, parameters | {"cut_off": CUT_OFF, "not_utf8": NOT_UTF8})


def _positions(connection: "DuckDBPyConnection", file_id: int) -> Iterator[int]:
    """Yield the positions, from 1, of the file's rejected rows whose line is not known."""
    rows = connection.execute(_POSITIONS, {"file_id": file_id})
    while batch := rows.fetchmany(10_000):
        yield from (position for (position,) in batch)


def locate_lines(chunks: Iterator[bytes], positions: Iterable[int]) -> Iterator[tuple[int, int, str]]:
    """Yield (position, line number, text) of lines. The position counts only lines that are not blank, as DuckDB does.

    >>> list(locate_lines(iter([b"a\\n\\nb\\n"]), [2]))
    [(2, 3, 'b')]
    """
    remaining = iter(positions)
    target, position = next(remaining, None), 0
    for line, raw in enumerate(raw_lines(chunks), start=1):
        if target is None:
            return
        position += bool(raw.strip())
        if position == target:
            yield position, line, raw.decode("utf-8", "replace").strip(WHITESPACE)[:MAX_REJECT_CHARS]
            target = next(remaining, None)


def raise_first_reject(connection: "DuckDBPyConnection", report: FileReport, file_id: int) -> None:
    """Raise a RejectedError for the first reject of a file that has some."""
    query = "SELECT line, item, reason, text FROM new_reject WHERE file_id = $id LIMIT 1"
    line, item, reason, text = connection.execute(query, {"id": file_id}).fetchall()[0]
    raise RejectedError(f"{format_place(report.name, line, item)}: {reason}: {text}")


def unknown_keys(connection: "DuckDBPyConnection", file_id: int) -> dict[str, int]:
    """Return the unknown keys of a file's events, each with the number of events that have it."""
    return dict(connection.execute(_UNKNOWN_KEYS, {"file_id": file_id}).fetchall())


def count_times_in_seconds(connection: "DuckDBPyConnection", file_id: int) -> int:
    """Return how many events of a file have a time in seconds since 1970."""
    count: int = connection.execute(_TIMES_IN_SECONDS, {"file_id": file_id}).fetchall()[0][0]
    return count


def format_place(name: str, line: int, item: int | None) -> str:
    """Return the place of an event as file and line, and the item unless it is the first of its line.

    >>> format_place("a.log", 3, 2), format_place("a.log", 3, 1)
    ('a.log:3 (item 2)', 'a.log:3')
    """
    return f"{name}:{line} (item {item})" if item and item > 1 else f"{name}:{line}"
