"""From a file to staged rows, by the way its format is read."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from analyzer.archive import item_file, staging
from analyzer.archive.accounting import FileReport
from analyzer.archive.doubt import Doubt
from analyzer.archive.read_options import ReadOptions
from analyzer.errors import UnreadableError
from analyzer.event import DERIVED_FIELDS, FIELD_NAMES
from analyzer.readers.formats import FORMATS
from analyzer.readers.item import BOM, CUT_OFF, Item, decoded_lines
from analyzer.readers.stream import Stream

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LARGE_BYTES = 64 << 20
DENSE, SPARSE = 100, 10
"""Of a log's first lines so many are looked at, then one in ten."""


class Stager:
    """Fills the table `staged`; `workspace` is for files on the way."""

    def __init__(self, connection: "DuckDBPyConnection", workspace: Path, reading: ReadOptions) -> None:
        self._connection, self._workspace, self._reading = connection, workspace, reading

    def fill(self, report: FileReport, stream: Stream, head: bytes, file_id: int) -> Stream:
        """Stage a file by the way its format is read; return the stream whose lines the staged rows are."""
        reader = FORMATS[report.format].items
        if reader:
            items = reader(stream.chunks(), self._reading.renamed)
            hidden = stream.damage and not report.content.ends_in_newline and FORMATS[report.format].hides_cuts
            self._stage_items(_last_is_cut(items) if hidden else items, file_id)
            return stream
        if report.format == "ndjson" and self._stage_directly(stream, report, head, file_id):
            return stream
        whole = stream.damage is None and stream.members <= 1 and not head.startswith(BOM)
        plain = stream if whole and (stream.compression == "none" or report.format == "ndjson") else self._plain(stream)
        if report.format == "parquet":
            self._stage_parquet(plain, report, file_id)
        elif duckdb_refuses(partial(self._stage_checked, staging.LINES, plain, {"file_id": file_id})):
            self._forget(file_id)
            self._stage_items((Item(number, 1, text) for number, text in decoded_lines(stream.chunks())), file_id)
        return plain

    def _forget(self, file_id: int) -> None:
        self._connection.execute("DELETE FROM staged WHERE file_id = $file_id", {"file_id": file_id})

    def _plain(self, stream: Stream) -> Stream:
        with NamedTemporaryFile(dir=self._workspace, delete=False) as file:
            path = Path(file.name)
        item_file.copy(stream, path)
        return Stream(path)

    def _stage_items(self, items: Iterator[Item], file_id: int) -> None:
        path = self._workspace / "items.ndjson"
        item_file.write_items(path, items)
        self._stage_checked(staging.ITEMS, Stream(path), {"columns": staging.ITEM_COLUMNS, "file_id": file_id})
        path.unlink()

    def _stage_checked(self, rows: str, plain: Stream, at: dict[str, Any]) -> None:
        """Stage rows by their text; piece by piece where lines are so long that those read at once fill the memory."""
        from duckdb import OutOfMemoryException  # noqa: PLC0415  (a tenth of a second, only where it is needed)

        insert, at = staging.checked(rows), at | self._checks()
        try:
            self._connection.execute(insert, at | {"path": self._safe(plain.path), "compression": plain.compression})
        except OutOfMemoryException:
            piece = self._workspace / "piece.ndjson"
            for whole_lines in item_file.whole_line_pieces(plain.chunks()):
                piece.write_bytes(whole_lines)
                self._connection.execute(insert, at | {"path": str(piece), "compression": "none"})
            piece.unlink()

    def _checks(self) -> dict[str, Any]:
        columns = {self._reading.column(name): "JSON" for name in FIELD_NAMES}
        return {"structure": json.dumps(columns), "known": [*columns, *DERIVED_FIELDS], "sample": 0}

    def _stage_directly(self, stream: Stream, report: FileReport, head: bytes, file_id: int) -> bool:
        """Stage a log the fast way; False, with nothing staged, where that cannot be proven right."""
        direct = self.direct(stream, head, file_id)
        if not direct:
            return False
        rows, at = direct
        sample = staging.SAMPLE if report.content.size_bytes >= LARGE_BYTES else 0
        insert = f"INSERT INTO staged BY NAME {staging.unproven(rows)}"
        if duckdb_refuses(partial(self._connection.execute, insert, at | {"sample": sample})):
            return False
        if Doubt(self._connection, self._workspace / "doubt.ndjson", self._checks()).settled(stream, report, file_id):
            if sample and self._connection.execute(staging.UNTOLD).fetchall():
                self._connection.execute(staging.rare_contexts(rows), at | {"sample": 0})
            return True
        self._forget(file_id)
        return False

    def direct(self, stream: Stream, head: bytes, file_id: int) -> tuple[str, dict[str, Any]] | None:
        """Return the raw rows of the fast reading, SQL and parameters, where that may be proven right."""
        present = None if self._reading.columns or stream.damage else compact_keys(head)
        if not present:
            return None
        columns = dict.fromkeys(sorted(present), "JSON")
        at = {
            "path": self._safe(stream.path),
            "compression": stream.compression,
            "file_id": file_id,
            "columns": columns,
        }
        return staging.direct_rows(present), at

    def _safe(self, path: Path) -> str:
        """Return a path that DuckDB does not take for a pattern."""
        name = str(path.absolute())
        if not set("*?[{") & set(name) and name.isprintable():
            return name
        with NamedTemporaryFile(dir=self._workspace) as file:
            link = Path(file.name + "-link")
        link.symlink_to(path.absolute())
        return str(link)

    def _stage_parquet(self, plain: Stream, report: FileReport, file_id: int) -> None:
        from duckdb import Error  # noqa: PLC0415  (a tenth of a second, only where it is needed)

        path = self._safe(plain.path)
        try:
            found = self._connection.execute(
                "DESCRIBE FROM read_parquet($path, hive_partitioning=false)", {"path": path}
            ).fetchall()
            theirs = {row[0]: row[1] for row in found}
            columns = {name: self._reading.column(name) for name in FIELD_NAMES if self._reading.column(name) in theirs}
            floats = [name for name, kind in theirs.items() if kind in ("DOUBLE", "FLOAT")]
            self._connection.execute(
                staging.checked(staging.parquet_rows(columns, floats)),
                {"path": path, "known": [*FIELD_NAMES, *DERIVED_FIELDS], "file_id": file_id, "sample": 0},
            )
        except Error as error:
            raise UnreadableError(f"{report.name}: no readable Parquet file ({str(error).splitlines()[0]})") from None


def duckdb_refuses(read: Callable[[], object]) -> bool:
    """Let DuckDB read NDJSON; tell whether it cannot, as a line is longer than it reads, or than its memory holds."""
    from duckdb import InvalidInputException, OutOfMemoryException  # noqa: PLC0415  (only where it is needed)

    try:
        read()
    except OutOfMemoryException:
        return True
    except InvalidInputException as error:
        if "maximum_object_size" not in str(error):
            raise
        return True
    return False


def _last_is_cut(items: Iterator[Item]) -> Iterator[Item]:
    """Reject the last item: what is left of it looks whole."""
    last = next(items, None)
    for item in items:
        yield last  # type: ignore[misc]
        last = item
    if last:
        yield last._replace(problem=last.problem or CUT_OFF)


def compact_keys(head: bytes) -> set[str] | None:
    """Return the keys of a log's first lines, or None where white space, nulls or unknown keys show."""
    present: set[str] = set()
    lines = head.split(b"\n")[:-1]
    for line in lines[:DENSE] + lines[DENSE::SPARSE]:
        try:
            event = json.loads(line)
            compact = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
        except (ValueError, RecursionError):  # half a surrogate pair is no text: DuckDB refuses such a line
            continue
        if (
            compact != line
            or not isinstance(event, dict)
            or not event.keys() <= set(FIELD_NAMES)
            or None in event.values()
        ):
            return None
        present |= event.keys()
    return present
