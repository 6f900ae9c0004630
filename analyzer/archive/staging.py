"""Reads log files into the table `staged`, choosing how by their format."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import duckdb

from analyzer.archive import raw_rows
from analyzer.archive.accounting import FileReport
from analyzer.archive.event_validation import STAGE_EVENTS
from analyzer.archive.read_options import ReadOptions
from analyzer.errors import UnreadableError
from analyzer.event import DERIVED_FIELDS, FIELD_NAMES
from analyzer.readers.formats import FORMATS
from analyzer.readers.item import BOM, CUT_OFF, Item, decoded_lines
from analyzer.readers.stream import Stream

MIN_PIECE_BYTES = 1 << 22


class Stager:
    """Fills the table `staged`; temporary files go into `workspace`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, workspace: Path, options: ReadOptions) -> None:
        self._connection, self._workspace, self._options = connection, workspace, options
        self._columns = [options.column(name) for name in FIELD_NAMES]

    def stage(self, report: FileReport, stream: Stream, plain: Stream, file_id: int) -> None:
        """Stage all events of a file. `plain` is the stream in the form that DuckDB reads (see `plain_stream`)."""
        format_ = FORMATS[report.format]
        if format_.items:
            items = format_.items(stream.chunks(), self._options.renamed)
            truncated = stream.damage and not report.content.ends_in_newline and format_.hides_cuts
            self._stage_items(_reject_last(items) if truncated else items, file_id)
        elif format_.duckdb == "parquet":
            self._stage_parquet(report.name, plain, file_id)
        elif not self.read_lines(STAGE_EVENTS, plain, {"file_id": file_id}):
            self._stage_items((Item(number, 1, text) for number, text in decoded_lines(plain.chunks())), file_id)

    def plain_stream(self, report: FileReport, stream: Stream, head: bytes) -> Stream:
        """Return the stream, or a copy of its plain bytes if DuckDB reads the format but not the file as it is."""
        reader = FORMATS[report.format].duckdb
        decompresses = reader == "ndjson" and stream.damage is None and stream.members <= 1
        as_it_is = (stream.compression == "none" or decompresses) and not head.startswith(BOM)
        if reader is None or as_it_is:
            return stream
        with NamedTemporaryFile(dir=self._workspace, delete=False) as file:
            for number, chunk in enumerate(stream.chunks()):
                file.write(chunk.removeprefix(BOM) if number == 0 else chunk)
        return Stream(Path(file.name))

    def read_lines(self, sql: str, plain: Stream, parameters: dict[str, Any]) -> bool:
        """Execute `sql` over the `{raw}` rows of NDJSON; return False if its lines are too long for DuckDB."""
        file = {"path": self._literal_path(plain.path), "compression": plain.compression}
        try:
            self._connection.execute(
                sql.replace("{raw}", raw_rows.line_rows(self._columns)), file | self._json_parameters() | parameters
            )
        except duckdb.OutOfMemoryException:
            return False
        except duckdb.InvalidInputException as error:
            if "maximum_object_size" not in str(error):
                raise
            return False
        return True

    def _stage_items(self, items: Iterable[Item], file_id: int) -> None:
        path = self._workspace / "items.ndjson"
        raw_rows.write_items(path, items)
        try:
            self._stage_item_file(path, file_id)
        except duckdb.OutOfMemoryException:
            # DuckDB reads many lines at once, which may not fit into its memory if each has megabytes.
            piece = self._workspace / "piece.ndjson"
            for lines in whole_line_pieces(Stream(path).chunks()):
                piece.write_bytes(lines)
                self._stage_item_file(piece, file_id)
            piece.unlink()
        path.unlink()

    def _stage_item_file(self, path: Path, file_id: int) -> None:
        file = {"path": str(path), "compression": "none", "columns": raw_rows.ITEM_COLUMNS, "file_id": file_id}
        self._connection.execute(
            STAGE_EVENTS.replace("{raw}", raw_rows.item_rows(self._columns)), file | self._json_parameters()
        )

    def _json_parameters(self) -> dict[str, Any]:
        structure = json.dumps(dict.fromkeys(self._columns, "JSON"))
        return {"structure": structure, "known_keys": [*self._columns, *DERIVED_FIELDS]}

    def _stage_parquet(self, name: str, plain: Stream, file_id: int) -> None:
        path = self._literal_path(plain.path)
        describe = "DESCRIBE FROM read_parquet($path, hive_partitioning=false)"
        try:
            types = {row[0]: row[1] for row in self._connection.execute(describe, {"path": path}).fetchall()}
            columns = {
                field: column for field, column in zip(FIELD_NAMES, self._columns, strict=True) if column in types
            }
            floats = [column for column, kind in types.items() if kind in ("DOUBLE", "FLOAT")]
            self._connection.execute(
                STAGE_EVENTS.replace("{raw}", raw_rows.parquet_rows(columns, floats)),
                {"path": path, "known_keys": self._columns, "file_id": file_id},
            )
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise UnreadableError(f"{name}: cannot be read as Parquet ({reason}); write the file again") from None

    def _literal_path(self, path: Path) -> str:
        """Return a path that DuckDB does not expand as a glob pattern: the file's own, or that of a link to it."""
        name = str(path.absolute())
        if not set("*?[{") & set(name) and name.isprintable():
            return name
        with NamedTemporaryFile(dir=self._workspace) as file:
            link = Path(file.name + "-link")
        link.symlink_to(path.absolute())
        return str(link)


def _reject_last(items: Iterator[Item]) -> Iterator[Item]:
    """Mark the last item as cut off, for formats in which the rest of a cut item looks like a whole one."""
    last = next(items, None)
    for item in items:
        yield last  # type: ignore[misc]
        last = item
    if last:
        yield last._replace(problem=last.problem or CUT_OFF)


def whole_line_pieces(chunks: Iterable[bytes], min_bytes: int = MIN_PIECE_BYTES) -> Iterator[bytes]:
    """Yield the content in pieces that end with a line and have at least `min_bytes`; the last may be shorter.

    >>> list(whole_line_pieces(iter([b"a\\nb", b"\\nc"]), 4))
    [b'a\\nb\\n', b'c']
    """
    piece = bytearray()
    for chunk in chunks:
        piece += chunk
        end = piece.rfind(b"\n", len(piece) - len(chunk)) + 1 if len(piece) >= min_bytes else 0
        if end:
            yield bytes(piece[:end])
            del piece[:end]
    yield bytes(piece)
