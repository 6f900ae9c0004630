"""From a file to staged rows, by the way its format is read."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from analyzer.archive import raw, spool, staging
from analyzer.archive.file import Content, FileReport
from analyzer.archive.reading import Reading
from analyzer.errors import UnreadableError
from analyzer.event import DERIVED, NAMES
from analyzer.readers.formats import FORMATS
from analyzer.readers.item import Item
from analyzer.readers.stream import Stream

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BOM = b"\xef\xbb\xbf"


class Filler:
    """Fills the table `staged`; `workspace` is for files on the way."""

    def __init__(self, connection: "DuckDBPyConnection", workspace: Path, reading: Reading) -> None:
        self._connection, self._workspace, self._reading = connection, workspace, reading

    def fill(self, report: FileReport, stream: Stream, head: bytes, file_id: int) -> Stream:
        """Stage a file by the way its format is read; return the stream whose lines the staged rows are."""
        reader = FORMATS[report.format].items
        if reader:
            self._stage_items(reader(stream.chunks(), self._reading.renamed), file_id)
            return stream
        whole = stream.damage is None and stream.members <= 1 and not head.startswith(BOM)
        plain = stream if whole and (stream.compression == "none" or report.format == "ndjson") else self._plain(stream)
        if report.format == "parquet":
            self._stage_parquet(plain, report, file_id)
        else:
            self._stage_lines(plain, report, head, file_id)
        return plain

    def _plain(self, stream: Stream) -> Stream:
        with NamedTemporaryFile(dir=self._workspace, delete=False) as file:
            path = Path(file.name)
        spool.copy(stream, path)
        return Stream(path)

    def _stage_items(self, items: Iterator[Item], file_id: int) -> None:
        path = self._workspace / "items.ndjson"
        spool.write(path, items)
        self._connection.execute(
            staging.checked(raw.SPOOL),
            {"path": str(path), "columns": raw.SPOOL_COLUMNS, **self._checks(), "file_id": file_id},
        )
        path.unlink()

    def _checks(self) -> dict[str, Any]:
        columns = {self._reading.column(name): "JSON" for name in NAMES}
        return {"structure": json.dumps(columns), "known": [*columns, *DERIVED]}

    def _stage_lines(self, plain: Stream, report: FileReport, head: bytes, file_id: int) -> None:
        direct = self.direct(plain, head, file_id)
        if direct:
            sql, parameters = direct
            self._connection.execute(f"INSERT INTO staged BY NAME {sql}", parameters)
            if self._is_proven(report.content, file_id):
                return
            self._connection.execute("DELETE FROM staged WHERE file_id = $file_id", {"file_id": file_id})
        at = {"path": self._safe(plain.path), "compression": plain.compression, "file_id": file_id}
        self._connection.execute(staging.checked(raw.LINES), at | self._checks())

    def direct(self, plain: Stream, head: bytes, file_id: int) -> tuple[str, dict[str, Any]] | None:
        """Return the fast reading of a log, its SQL and parameters, where it can be proven."""
        present = None if self._reading.columns else keys_of(head)
        if not present:
            return None
        columns = dict.fromkeys(sorted(present), "JSON")
        at = {"path": self._safe(plain.path), "compression": plain.compression, "file_id": file_id, "columns": columns}
        return staging.unproven(raw.direct(present)), at

    def _is_proven(self, content: Content, file_id: int) -> bool:
        size, rows, valid = self._connection.execute(
            "SELECT sum(size)::BIGINT, count(*), count(kind) FROM staged WHERE file_id = $file_id", {"file_id": file_id}
        ).fetchone()  # type: ignore[misc]
        newlines = rows if content.ends_in_newline else rows - 1
        return bool(rows == valid and size + newlines == content.size_bytes)

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
            theirs = {row[0] for row in found}
            columns = {name: self._reading.column(name) for name in NAMES if self._reading.column(name) in theirs}
            self._connection.execute(
                staging.checked(raw.parquet(columns)), {"path": path, "known": [*NAMES, *DERIVED], "file_id": file_id}
            )
        except Error as error:
            raise UnreadableError(f"{report.name}: no readable Parquet file ({str(error).splitlines()[0]})") from None


def keys_of(head: bytes) -> set[str] | None:
    """Return the keys of a log's first lines; None where white space, nulls or unknown keys show."""
    present: set[str] = set()
    for line in head.split(b"\n")[:-1]:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return None
        compact = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
        if compact != line or not isinstance(event, dict) or not event.keys() <= set(NAMES) or None in event.values():
            return None
        present |= event.keys()
    return present
