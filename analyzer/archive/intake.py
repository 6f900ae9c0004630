"""Takes log files into the archive: each once, wholly or not at all, with nothing lost on the way."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from analyzer.archive import merge, raw, spool, staging
from analyzer.archive.file import Content, FileReport, Intake, content_of
from analyzer.errors import InputError, NotALogError, RejectedError, UnreadableError
from analyzer.event import DERIVED, NAMES
from analyzer.readers.formats import FORMATS
from analyzer.readers.item import CUT, Item
from analyzer.readers.sniff import HEAD_BYTES, sniff
from analyzer.readers.source import LogFile
from analyzer.readers.stream import Stream

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BATCH_EVENTS = 1_000_000
"""Files are merged together until they hold so many events: a thousand small ones cost one merge."""

DOCUMENTS = ("array", "har")
"""Formats that are one document, whose readers know where it is cut off; the others are cut off in a line."""

BOM = b"\xef\xbb\xbf"

REJECTS = f"""
INSERT INTO new_reject
SELECT $file_id, coalesce(fault.line, p.line) AS line, fault.item,
       CASE WHEN fault.reason = 'not JSON' AND coalesce(fault.line, p.line) = $cut_line THEN $cut
            ELSE fault.reason END,
       coalesce(fault.text, p.text, '')
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


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: the format, where it is forced; the file's name for a column of the schema; strictness."""

    format: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False

    @property
    def renamed(self) -> dict[str, str]:
        """The schema's name by the file's name."""
        return {theirs: ours for ours, theirs in self.columns.items()}

    def column(self, name: str) -> str:
        """Return the file's name for a column of the schema."""
        return self.columns.get(name, name)


class Loader:
    """Loads files into a connection that has the archive's tables; `workspace` is for files on the way."""

    steps: tuple[str, ...] = merge.STEPS
    """The statements of one merge, in order, inside one transaction."""

    def __init__(self, connection: "DuckDBPyConnection", workspace: Path, reading: Reading) -> None:
        self.connection, self._workspace, self._reading = connection, workspace, reading
        self.next_id = self._value("SELECT coalesce(max(id), 0) + 1 FROM store.file")
        self._begin()
        self.intake = Intake()

    def load(self, files: Sequence[LogFile]) -> Iterator[FileReport]:
        """Load `files`, yielding what became of each; a file that is committed is loaded, any other is not."""
        for file in files:
            try:
                report = self._load_one(file)
            except InputError as error:
                self.intake.errors.append(error)
                continue
            if report:
                self.intake.files.append(report)
                yield report
            if self._pending >= BATCH_EVENTS:
                self._commit()
        self._commit()
        self._finish()

    def _finish(self) -> None:
        """Do what is to be done once all files are in."""

    def _begin(self) -> None:
        self._first_id, self._pending = self.next_id, 0
        self.connection.execute(staging.TABLES)

    def _commit(self) -> None:
        """Merge what is staged into the tables, wholly or not at all."""
        self.connection.execute("BEGIN")
        for step in self.steps:
            parameters = {"first_file_id": self._first_id} if "$first_file_id" in step else None
            self.connection.execute(step, parameters)
        self.connection.execute("COMMIT")
        self._begin()

    def _load_one(self, file: LogFile) -> FileReport | None:
        try:
            stream = Stream(file.path)
            head = stream.head(HEAD_BYTES)
            if not head and stream.damage:
                raise UnreadableError(f"{file.name}: {stream.damage}, from its first byte; fetch the file again")
            format_name = self._reading.format or sniff(head, self._reading.renamed)
            if format_name is None:
                self._refuse(file, head)
                return None
            content = self._content(stream)
        except OSError as error:
            raise UnreadableError(f"{file.name}: {error.strerror or error}; check its path and permissions") from None
        report = FileReport(file.name, format_name, stream.compression, content)
        if not self._is_known(report):
            self._stage(report, stream, head)
        return report

    def _content(self, stream: Stream) -> Content:
        return content_of(stream)

    def _refuse(self, file: LogFile, head: bytes) -> None:
        """Pass over a file that was only come across; one that was named outright is an error."""
        if not file.named:
            self.intake.skipped.append(file.name)
            return
        start = head[:60].decode("utf-8", "replace").split("\n")[0]
        formats = ", ".join(FORMATS)
        nginx = "; nginx's log_format needs escape=json" if b"\\x22" in head else ""
        raise NotALogError(
            f"{file.name}: no event log, it starts with {start!r}{nginx}. An event has sessionId, source, event and"
            f" hash: --map COLUMN=THEIRS where they are named otherwise, --from to force one of {formats}"
        )

    def _is_known(self, report: FileReport) -> bool:
        """Tell whether the content was loaded before, and note it in the report."""
        found = self.connection.execute(
            "SELECT name, read FROM (FROM store.file UNION ALL FROM new_file) WHERE digest = $digest",
            {"digest": report.content.digest},
        ).fetchone()
        if found:
            report.duplicate_of, report.read = found
        return found is not None

    def _stage(self, report: FileReport, stream: Stream, head: bytes) -> None:
        file_id = self.next_id
        self.next_id += 1
        base = self._value("SELECT coalesce(max(rowid) + 1, 0) FROM staged")
        plain = self._fill(report, stream, head, file_id)
        base, report.read, report.kept = self.connection.execute(
            "SELECT coalesce(min(rowid), $base), count(*), count(kind) FROM staged WHERE file_id = $file_id",
            {"file_id": file_id, "base": base},
        ).fetchone()  # type: ignore[misc]
        report.rejected = report.read - report.kept
        unknown = dict(self.connection.execute(UNKNOWN, {"file_id": file_id}).fetchall())
        if report.rejected:
            self._reject(report, plain, file_id, base)
        self._note(report, stream, unknown)
        if report.format != "parquet":
            absent = [theirs for theirs in self._reading.columns.values() if theirs.encode() not in head]
            report.notes.extend(f"no {theirs} in its first lines, which --map names" for theirs in absent)
        self._record(report, file_id, sum(unknown.values()), stream.damage)

    def _record(self, report: FileReport, file_id: int, unknown_keys: int, damage: str | None) -> None:
        content = report.content
        self.connection.execute(
            f"INSERT INTO new_file VALUES ({', '.join('?' * 11)}, now()::TIMESTAMP)",
            [
                file_id, report.name, report.format, report.compression, content.digest, content.size_bytes,
                report.read, report.kept, report.rejected, unknown_keys, damage,
            ],
        )  # fmt: skip
        self._pending += report.read

    def _fill(self, report: FileReport, stream: Stream, head: bytes, file_id: int) -> Stream:
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
            self._stage_lines(plain, report.content, head, file_id)
        return plain

    def _plain(self, stream: Stream) -> Stream:
        with NamedTemporaryFile(dir=self._workspace, delete=False) as file:
            path = Path(file.name)
        spool.copy(stream, path)
        return Stream(path)

    def _stage_items(self, items: Iterator[Item], file_id: int) -> None:
        path = self._workspace / "items.ndjson"
        spool.write(path, items)
        self.connection.execute(
            staging.checked(raw.SPOOL),
            {"path": str(path), "columns": raw.SPOOL_COLUMNS, **self._checks(), "file_id": file_id},
        )
        path.unlink()

    def _checks(self) -> dict[str, Any]:
        columns = {self._reading.column(name): "JSON" for name in NAMES}
        return {"structure": json.dumps(columns), "known": [*columns, *DERIVED]}

    def _stage_lines(self, plain: Stream, content: Content, head: bytes, file_id: int) -> None:
        direct = self._direct(plain, head, file_id)
        if direct:
            sql, parameters = direct
            self.connection.execute(f"INSERT INTO staged BY NAME {sql}", parameters)
            if self._is_proven(content, file_id):
                return
            self.connection.execute("DELETE FROM staged WHERE file_id = $file_id", {"file_id": file_id})
        at = {"path": self._safe(plain.path), "compression": plain.compression, "file_id": file_id}
        self.connection.execute(staging.checked(raw.LINES), at | self._checks())

    def _direct(self, plain: Stream, head: bytes, file_id: int) -> tuple[str, dict[str, Any]] | None:
        """Return the fast reading of a log, its SQL and parameters, where it can be proven."""
        present = None if self._reading.columns else keys_of(head)
        if not present:
            return None
        columns = dict.fromkeys(sorted(present), "JSON")
        at = {"path": self._safe(plain.path), "compression": plain.compression, "file_id": file_id, "columns": columns}
        return staging.unproven(raw.direct(present)), at

    def _is_proven(self, content: Content, file_id: int) -> bool:
        size, rows, valid = self.connection.execute(
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
            found = self.connection.execute(
                "DESCRIBE FROM read_parquet($path, hive_partitioning=false)", {"path": path}
            ).fetchall()
            theirs = {row[0] for row in found}
            columns = {name: self._reading.column(name) for name in NAMES if self._reading.column(name) in theirs}
            self.connection.execute(
                staging.checked(raw.parquet(columns)), {"path": path, "known": [*NAMES, *DERIVED], "file_id": file_id}
            )
        except Error as error:
            raise UnreadableError(f"{report.name}: no readable Parquet file ({str(error).splitlines()[0]})") from None

    def _reject(self, report: FileReport, plain: Stream, file_id: int, base: int) -> None:
        """Write the file's rejects into the archive; where DuckDB read the lines, look up which they were."""
        path = self._workspace / "places.ndjson"
        positions = self._positions(file_id, base) if report.format == "ndjson" else iter(())
        with path.open("w", encoding="ascii") as file:
            for position, line, text in spool.places(plain.chunks(), positions):
                file.write(json.dumps({"position": position, "line": line, "text": text}) + "\n")
        self.connection.execute(PLACES, {"path": str(path)})
        content = report.content
        self.connection.execute(
            REJECTS,
            {
                "file_id": file_id,
                "base": base,
                "cut": CUT,
                "cut_line": None if content.ends_in_newline or report.format in DOCUMENTS else content.lines,
            },
        )
        if self._reading.strict:
            self._fail(report, file_id)

    def _positions(self, file_id: int, base: int) -> Iterator[int]:
        rows = self.connection.execute(
            "SELECT rowid - $base + 1 FROM staged WHERE file_id = $file_id AND kind IS NULL ORDER BY rowid",
            {"file_id": file_id, "base": base},
        )
        while batch := rows.fetchmany(10_000):
            yield from (position for (position,) in batch)

    def _fail(self, report: FileReport, file_id: int) -> None:
        line, item, reason, text = self.connection.execute(
            "SELECT line, item, reason, text FROM new_reject WHERE file_id = $id LIMIT 1", {"id": file_id}
        ).fetchone()  # type: ignore[misc]
        raise RejectedError(f"{place_of(report.name, line, item)}: {reason}: {text}")

    def _note(self, report: FileReport, stream: Stream, unknown: Mapping[str, int]) -> None:
        cut = self._value(
            "SELECT count(*) FROM new_reject WHERE file_id = $id AND reason = $cut",
            {"id": self.next_id - 1, "cut": CUT},
        )
        if stream.damage:
            report.notes.append(f"{stream.damage}; everything before that was read")
        elif cut:
            report.notes.append("it ends in the middle of an item; everything before that was read")
        before = self._value(
            "SELECT count(*) FROM (FROM store.file UNION ALL FROM new_file) WHERE name = $name", {"name": report.name}
        )
        if before:
            report.notes.append("loaded before with other content; events that both have are kept twice, lookups once")
        if unknown:
            names = ", ".join(f"{key} ({count:,})" for key, count in unknown.items())
            report.notes.append(f"unknown keys ignored: {names}")
        if not report.read:
            report.notes.append("it holds no events")

    def _value(self, sql: str, parameters: dict[str, Any] | None = None) -> Any:
        return self.connection.execute(sql, parameters).fetchone()[0]  # type: ignore[index]


def place_of(name: str, line: int, item: int | None) -> str:
    """Return how a place is written: file, line and, where a line holds several, the item.

    >>> place_of("a.log", 3, 2), place_of("a.log", 3, 1)
    ('a.log:3 (item 2)', 'a.log:3')
    """
    return f"{name}:{line} (item {item})" if item and item > 1 else f"{name}:{line}"


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
