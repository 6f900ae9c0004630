"""Takes log files into the archive: each once, wholly or not at all, with nothing lost on the way."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyzer.archive import merge, rejects, staging
from analyzer.archive.accounting import Content, FileReport, LoadResult, read_content
from analyzer.archive.read_options import ReadOptions
from analyzer.archive.run_summaries import DocumentLoader
from analyzer.archive.stager import Stager
from analyzer.errors import InputError, Message, NotALogError, Option, UnreadableError, unreadable_error
from analyzer.readers.documents import DocumentReader, parse_document
from analyzer.readers.formats import FORMATS, HEAD_BYTES, detect_format
from analyzer.readers.item import CUT_OFF
from analyzer.readers.source import LogFile
from analyzer.readers.stream import Stream

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BATCH_EVENTS = 1_000_000
"""Files are merged together until they hold so many events: a thousand small ones cost one merge."""

FILE_TYPES = ("INTEGER", *["VARCHAR"] * 4, *["BIGINT"] * 5, "VARCHAR")
"""The types of `store.file`, but for the last column."""


class Loader:
    """Loads files into a connection that has the archive's tables; `workspace` is for files on the way."""

    steps: tuple[str, ...] = merge.STEPS
    """The statements of one merge, in order, inside one transaction."""

    def __init__(self, connection: "DuckDBPyConnection", workspace: Path, reading: ReadOptions) -> None:
        self.connection, self._workspace, self._reading = connection, workspace, reading
        self.filler = Stager(connection, workspace, reading)
        self._documents = DocumentLoader(connection, workspace)
        files = connection.execute("SELECT digest, name, read FROM store.file").fetchall()
        self._known: dict[str, tuple[str, int]] = {digest: (name, read) for digest, name, read in files}
        self._names = {name for _, name, _ in files}
        self.next_id = self._value("SELECT coalesce(max(id), 0) + 1 FROM store.file")
        self._begin()
        self.load_result = LoadResult()

    def load(self, files: Sequence[LogFile]) -> Iterator[FileReport]:
        """Load `files`, yielding what became of each; a file that is committed is loaded, any other is not."""
        for file in files:
            try:
                report = self._load_one(file)
            except InputError as error:
                self.load_result.errors.append(error)
                continue
            if report:
                self.load_result.files.append(report)
                yield report
            if self._pending >= BATCH_EVENTS:
                self._commit()
        self._commit()
        self._finish()

    def _finish(self) -> None:
        """Do what is to be done once all files are in."""

    def _begin(self) -> None:
        self._first_id, self._pending, self._new_files = self.next_id, 0, list[tuple[Any, ...]]()
        self.connection.execute(staging.TABLES)

    def _commit(self) -> None:
        """Merge what is staged into the tables, wholly or not at all."""
        self.connection.execute("BEGIN")
        self._keep_files()
        for step in self.steps:
            parameters = {"first_file_id": self._first_id} if "$first_file_id" in step else None
            self.connection.execute(step, parameters)
        self.load_result.same_runs += self._documents.merge()
        self.connection.execute("COMMIT")
        self._begin()

    def _keep_files(self) -> None:
        columns = list(zip(*self._new_files, strict=True))
        fields = ", ".join(f"unnest(?::{kind}[])" for kind in FILE_TYPES)
        if columns:
            values = [list(column) for column in columns]
            self.connection.execute(f"INSERT INTO store.file SELECT {fields}, now()::TIMESTAMP", values)

    def _load_one(self, file: LogFile) -> FileReport | None:
        try:
            stream = Stream(file.path)
            head = stream.head(HEAD_BYTES)
            if not head and stream.damage:
                raise UnreadableError(f"{file.name}: {stream.damage}, from its first byte; fetch the file again")
            format_name = self._reading.format or detect_format(head, self._reading.renamed)
            if format_name is None:
                self._refuse(file, head)
                return None
            content = self._content(stream)
        except OSError as error:
            raise unreadable_error(file.name, error) from None
        report = FileReport(file.name, format_name, stream.compression, content)
        return report if self._is_known(report) or self._stage(report, stream, head) else None

    def _content(self, stream: Stream) -> Content:
        return read_content(stream)

    def _refuse(self, file: LogFile, head: bytes) -> None:
        """Pass over a file that was only come across; one that was named outright is an error."""
        if not file.named:
            self.load_result.skipped.append(file.name)
            return
        start = head[:60].decode("utf-8", "replace").split("\n")[0]
        formats = ", ".join(FORMATS)
        nginx = "; nginx's log_format needs escape=json" if b"\\x22" in head else ""
        raise NotALogError(
            f"{file.name}: no event log, it starts with {start!r}{nginx}. An event has sessionId, source, event and",
            " hash: ",
            Option("columns"),
            " where they are named otherwise, ",
            Option("format"),
            f" to force one of {formats}",
        )

    def _is_known(self, report: FileReport) -> bool:
        """Tell whether the content was loaded before, and note it in the report."""
        found = self._known.get(report.content.digest)
        if found:
            report.duplicate_of, report.read = found
        return found is not None

    def _stage(self, report: FileReport, stream: Stream, head: bytes) -> bool:
        """Stage a file; tell whether there was anything in it to be kept."""
        document = FORMATS[report.format].document
        file_id = self.next_id
        self.next_id += 1
        if document:
            return self._keep_document(document, report, stream, file_id)
        plain = self.filler.fill(report, stream, head, file_id)
        report.read, report.kept = self.connection.execute(
            "SELECT count(*), count(kind) FROM staged WHERE file_id = $file_id", {"file_id": file_id}
        ).fetchone()  # type: ignore[misc]
        report.rejected = report.read - report.kept
        unknown = rejects.unknown_keys(self.connection, file_id)
        if report.rejected:
            rejects.store_rejects(self.connection, self._workspace, report, plain, file_id)
        if report.rejected and self._reading.strict:
            rejects.raise_first_reject(self.connection, report, file_id)
        self._note(report, stream, file_id, unknown)
        if report.format != "parquet":
            absent = [theirs for theirs in self._reading.columns.values() if theirs.encode() not in head]
            named = (Option("columns"), " names")
            report.notes.extend(Message(f"no {theirs} in its first lines, which ", *named) for theirs in absent)
        self._record(report, file_id, sum(unknown.values()), stream.damage)
        return True

    def _keep_document(self, document: DocumentReader, report: FileReport, stream: Stream, file_id: int) -> bool:
        """Keep a file that is one document; of a dry run nothing is kept."""
        try:
            found = document(parse_document(b"".join(stream.chunks())))
        except UnreadableError as error:
            raise UnreadableError(f"{report.name}: {error}") from None
        if found is None:
            self.load_result.dry_runs.append(report.name)
            return False
        report.tasks = len(found.get("tasks", ()))
        self._documents.add(file_id, found)
        self._record(report, file_id, 0, None)
        return True

    def _record(self, report: FileReport, file_id: int, unknown_keys: int, damage: str | None) -> None:
        content = report.content
        self._new_files.append((
            file_id, report.name, report.format, report.compression, content.digest, content.size_bytes,
            report.read, report.kept, report.rejected, unknown_keys, damage,
        ))  # fmt: skip
        if content.digest:
            self._known[content.digest] = (report.name, report.read)
        self._names.add(report.name)
        self._pending += report.read

    def _note(self, report: FileReport, stream: Stream, file_id: int, unknown: Mapping[str, int]) -> None:
        cut = self._value(
            "SELECT count(*) FROM new_reject WHERE file_id = $id AND reason = $cut",
            {"id": file_id, "cut": CUT_OFF},
        )
        if stream.damage:
            report.notes.append(f"{stream.damage}; everything before that was read")
        elif cut:
            report.notes.append("it ends in the middle of an item; everything before that was read")
        if report.name in self._names:
            report.notes.append("loaded before with other content; events that both have are kept twice, lookups once")
        if unknown:
            names = ", ".join(f"{key} ({count:,})" for key, count in unknown.items())
            report.notes.append(f"unknown keys ignored: {names}")
        if not report.read:
            report.notes.append("it holds no events")

    def _value(self, sql: str, parameters: dict[str, Any] | None = None) -> Any:
        return self.connection.execute(sql, parameters).fetchone()[0]  # type: ignore[index]
