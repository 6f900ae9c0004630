"""Loads log files into an archive: each content once, and each file completely or not at all."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from analyzer.archive import merge, rejects
from analyzer.archive.accounting import FileReport, LoadResult
from analyzer.archive.derived import complete_derived_sessions
from analyzer.archive.event_validation import STAGED
from analyzer.archive.run_summaries import DocumentLoader
from analyzer.archive.staging import NEW_TRANSFERS, ReadOptions, Stager
from analyzer.errors import InputError, Message, NotALogError, Option, UnreadableError, unreadable_error
from analyzer.readers.documents import DocumentReader, read_documents
from analyzer.readers.formats import FORMATS, HEAD_BYTES, detect_format, find_wrapped, logged_keys
from analyzer.readers.item import CUT_OFF
from analyzer.readers.source import LogFile, local_files
from analyzer.readers.stream import Stream
from analyzer.readers.wrapped import Unwrapper, has_prefixes

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BATCH_EVENTS = 1_000_000  # files are merged in batches of this size, so that a thousand small files cost one merge

FIND_CONTEXT = """
SELECT count(kind), count(happened_at), count(slug) + count(team_id) + count(ci) FROM staged WHERE file_id = $file_id
"""

# Downloads are events too: of each artifact, one is enough to know its size.
MERGE_TRANSFERS = """
INSERT INTO store.hash
SELECT (SELECT coalesce(max(id), 0) FROM store.hash) + row_number() OVER (ORDER BY hash), hash
FROM (SELECT hash FROM new_transfer EXCEPT SELECT hash FROM store.hash);
INSERT INTO store.transfer
SELECT h.id, team, happened_at, is_upload, size_bytes FROM new_transfer JOIN store.hash h USING (hash) WHERE is_upload
UNION ALL
SELECT h.id, team, max(happened_at), false, max(size_bytes)
FROM new_transfer JOIN store.hash h USING (hash) WHERE NOT is_upload GROUP BY h.id, team;
"""

INSERT_FILES = """
INSERT INTO store.file BY NAME SELECT unnest($files::STRUCT(
    id INTEGER, name VARCHAR, format VARCHAR, compression VARCHAR, digest VARCHAR, size_bytes BIGINT, read BIGINT,
    kept BIGINT, rejected BIGINT, unknown_keys BIGINT, damage VARCHAR)[], recursive := true),
    now()::TIMESTAMP AS loaded_at
"""


# Of a file that `is_gone`, everything was forgotten.
KNOWN_FILES = """
SELECT digest, name, read, forgotten,
       forgotten > 0 AND kept = 0 AND id NOT IN (SELECT file_id FROM store.run) AS is_gone
FROM store.file
"""


class Loader:
    """Loads files into the archive of `connection`; temporary files go into `workspace`.

    `next_id` is the id of the next file. `load_result` is complete once the iterator of `load` is exhausted.
    """

    merge_sql = merge.MERGE_BATCH

    def __init__(self, connection: "DuckDBPyConnection", workspace: Path, options: ReadOptions) -> None:
        self.connection, self._workspace, self._options = connection, workspace, options
        # Of a wrapped log, `timestamp` is what the outer one calls its time.
        inner = {name: one for name, one in options.columns.items() if name != "timestamp" or not options.body_place}
        self._stager = Stager(connection, workspace, replace(options, columns=inner))
        self._documents = DocumentLoader(connection, workspace)
        files = self._rows(KNOWN_FILES)
        self._loaded: dict[str, tuple[Any, ...]] = {row[0]: row[1:] for row in files}
        self._names = {name for _, name, *_ in files}
        ((self.next_id,),) = self._rows("SELECT coalesce(max(id), 0) + 1 FROM store.file")
        self.load_result = LoadResult()
        self._start_batch()

    def load(self, files: Sequence[LogFile]) -> Iterator[FileReport]:
        """Load `files` and yield the report of each. A file is in the archive once its batch is merged.

        Raises:
            RejectedError: an event was rejected and the options are strict; the batch is not merged.
        """
        for file in self._local_files(files):
            try:
                report = self._load_file(file)
            except InputError as error:
                if isinstance(error, NotALogError) and not file.named:
                    self.load_result.skipped.append(file.name)  # the user named its directory
                    self.load_result.skip_reasons.append(error.message)
                else:
                    self.load_result.errors.append(error)
                continue
            if report:
                self.load_result.files.append(report)
                yield report
            if self._batch_events >= BATCH_EVENTS:
                self._merge_batch()
                self._start_batch()
        self._merge_batch()

    def _local_files(self, files: Sequence[LogFile]) -> Iterator[LogFile]:
        for file in files:
            try:
                yield from local_files(file, self._workspace)
            except UnreadableError as error:
                self.load_result.errors.append(error)

    def _start_batch(self) -> None:
        self._batch_events, self._new_files, self._reloaded = 0, list[dict[str, Any]](), list[str]()
        self.connection.execute(
            f"SET VARIABLE first_file_id = {self.next_id}; {STAGED} {rejects.NEW_REJECTS} {NEW_TRANSFERS}"
        )

    def _merge_batch(self) -> None:
        # Files and their events are one transaction, so a load that is killed can simply be run again.
        self.connection.execute("BEGIN")
        if self._reloaded:
            self._rows("DELETE FROM store.file WHERE list_contains($digests, digest)", {"digests": self._reloaded})
        if self._new_files:
            self.connection.execute(INSERT_FILES, {"files": self._new_files})
        self.connection.execute(self.merge_sql)
        if self._rows("SELECT 1 FROM new_transfer LIMIT 1"):
            self.connection.execute(MERGE_TRANSFERS)
        self.load_result.duplicate_runs += self._documents.merge()
        self.load_result.covered_lookups += complete_derived_sessions(self.connection)
        self.connection.execute("COMMIT")
        self.connection.execute("DROP TABLE staged; DROP TABLE new_reject; DROP TABLE new_transfer")

    def _load_file(self, file: LogFile) -> FileReport | None:
        """Stage a file for the batch; return its report, or None for a file that is skipped."""
        try:
            stream, notes = Stream(file.path), list[str]()
            if self._options.body_place:
                stream, notes = self._unwrap(file, stream, self._options.body_place)
            head = stream.head(HEAD_BYTES)
            if not head and stream.damage:
                raise UnreadableError(f"{file.name}: {stream.damage}, from its first byte; fetch the file again")
            format_name = self._options.format or detect_format(head, self._stager.options.renamed)
            if format_name is None:
                raise NotALogError(f"{file.name}: ", _why_not_a_log(file.name, head))
            # The file is read twice: what follows depends on its digest and damage.
            content = _read_content(stream)
        except OSError as error:
            raise unreadable_error(file.name, error) from None
        report = FileReport(file.name, format_name, stream.compression, *content, notes=notes)
        if report.digest in self._loaded:
            name, read, forgotten, is_gone = self._loaded[report.digest]
            if not (is_gone and self._options.reload_forgotten):
                is_log = not FORMATS[format_name].document
                report.duplicate_of, report.read = name, read + forgotten if is_log else 0
                report.forgotten, report.is_gone = forgotten, is_gone
                return report
            self._reloaded.append(report.digest)
        file_id, self.next_id = self.next_id, self.next_id + 1
        format_ = FORMATS[format_name]
        if format_.document:
            return self._load_document(format_.document, report, stream, file_id)
        self._load_events(report, stream, self._stager.plain_stream(report, stream, head), file_id)
        if format_.duckdb != "parquet":
            report.notes += self._missing_column_notes(head)
        if format_.has_context:
            report.notes += self._missing_context_notes(head, file_id)
        return report

    def _unwrap(self, file: LogFile, stream: Stream, place: str) -> tuple[Stream, list[str]]:
        """Return the log that stands in `file` at `place`, and notes on it."""
        unwrapper = Unwrapper(place, self._options.columns.get("timestamp"))
        with NamedTemporaryFile(dir=self._workspace, delete=False) as target:
            target.writelines(unwrapper.lines(stream.chunks()))
        if unwrapper.others and not unwrapper.found:
            raise NotALogError(f"{file.name}: no entry has what ", Option("columns", f"body={place}"), " names")
        unwrapped = Stream(Path(target.name))
        unwrapped.damage = stream.damage
        notes = [f"lines or entries without {place!r}: {unwrapper.others:,}"] if unwrapper.others else []
        if unwrapper.counts_entries:
            notes.append(f"entries: {unwrapper.found:,}; line numbers in messages count these")
        return unwrapped, notes

    def _load_document(
        self, document: DocumentReader, report: FileReport, stream: Stream, file_id: int
    ) -> FileReport | None:
        """Add run summaries or artifact metadata to the batch; return None for summaries of dry runs."""
        records, line = list[dict[str, Any] | None](), 1
        try:
            for line, record in read_documents(stream.chunks(), document):  # noqa: B007  (the error names it)
                records.append(record)
        except UnreadableError as error:
            failure = UnreadableError(f"{report.name}{f':{line}' if records else ''}: {error}")
            if not records:
                raise failure from None
            self.load_result.errors.append(failure)  # the documents before it count
        runs = [record for record in records if record is not None]
        if not runs:
            self.load_result.dry_runs.append(report.name)
            return None
        for record in runs:
            report.tasks += len(record.get("tasks", ()))
            self._documents.add(file_id, record)
        self._add_to_batch(report, file_id, 0, None)
        return report

    def _load_events(self, report: FileReport, stream: Stream, plain: Stream, file_id: int) -> None:
        """Stage the events of a file and complete its report; `plain` is the stream in the form that DuckDB reads."""
        self._stager.stage(report, stream, plain, file_id)
        counts = "SELECT count(*), count(kind) FROM staged WHERE file_id = $file_id"
        ((report.read, report.kept),) = self._rows(counts, {"file_id": file_id})
        report.rejected = report.read - report.kept
        if report.rejected:
            rejects.store_rejects(self.connection, self._workspace, report, plain, file_id)
            if self._options.strict:
                rejects.raise_first_reject(self.connection, report, file_id)
        self._complete(report, stream, file_id, rejects.unknown_keys(self.connection, file_id))

    def _complete(self, report: FileReport, stream: Stream, file_id: int, unknown_keys: Mapping[str, int]) -> None:
        """Add the notes to a log's report, and the log to the batch."""
        cut = "SELECT count(*) FROM new_reject WHERE file_id = $file_id AND reason = $cut_off"
        if stream.damage:
            report.notes.append(f"{stream.damage}; everything before that was read")
        elif self._rows(cut, {"file_id": file_id, "cut_off": CUT_OFF}) != [(0,)]:
            report.notes.append("it ends in the middle of an item; everything before that was read")
        if report.name in self._names and report.digest not in self._reloaded:
            note = "a file of this name was loaded before with other content; events in both are stored twice"
            report.notes.append(f"{note}, their lookups once")
        if unknown_keys:
            counts = ", ".join(f"{key} ({count:,})" for key, count in unknown_keys.items())
            report.notes.append(f"unknown keys ignored: {counts}")
        in_seconds = rejects.count_times_in_seconds(self.connection, file_id)
        if in_seconds:
            report.notes.append(f"times below 1e11 are read as seconds since 1970 (events: {in_seconds:,})")
        if report.other_traffic:
            report.notes.append(f"requests or lines that report no events: {report.other_traffic:,}")
        if not report.read:
            report.notes.append("it contains no events")
        self._add_to_batch(report, file_id, sum(unknown_keys.values()), stream.damage)

    def _missing_column_notes(self, head: bytes) -> list[str]:
        renamed = self._stager.options.renamed.items()
        return [
            Message(f"no {column} in its first lines, although ", Option("columns", f"{name}={column}"), " names it")
            for column, name in renamed
            if column.encode() not in head
        ]

    def _missing_context_notes(self, head: bytes, file_id: int) -> Iterator[str]:
        """Yield a note if no event of a request log has a time, or none a team or CI: other keys may name them."""
        ((events, times, teams),) = self._rows(FIND_CONTEXT, {"file_id": file_id})
        missing = [name for name, count in (("time", times), ("team or CI", teams)) if not count]
        if events and missing:
            yield f"no {' and no '.join(missing)} found; keys present: {', '.join(logged_keys(head))}"

    def _add_to_batch(self, report: FileReport, file_id: int, unknown_keys: int, damage: str | None) -> None:
        self._new_files.append({
            "id": file_id, "name": report.name, "format": report.format, "compression": report.compression,
            "digest": report.digest, "size_bytes": report.size_bytes, "read": report.read, "kept": report.kept,
            "rejected": report.rejected, "unknown_keys": unknown_keys, "damage": damage,
        })  # fmt: skip
        self._loaded[report.digest] = (report.name, report.read, 0, False)
        self._names.add(report.name)
        self._batch_events += report.read

    def _rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, parameters).fetchall()


def _why_not_a_log(name: str, head: bytes) -> Message:
    """Return why a file that begins with `head` is not an event log, and what to do."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Message(f"UTF-16 text, which is not read; convert it: iconv -f UTF-16 -t UTF-8 {name} > {name}.utf8")
    if place := find_wrapped(head):
        option = Option("columns", shlex.quote(f"body={place}"))
        return Message("a log that stands inside of another one; ", option, " reaches it")
    if b"\\x22sessionId" in head:
        return Message("events that nginx logged with its default escape, which cannot be undone: set escape=json")
    if has_prefixes(head):
        remove = f"sed 's/^[^{{[]*//' {shlex.quote(name)} > {shlex.quote(name)}.ndjson"
        return Message(f"another text stands before each event or request; remove it: {remove}")
    if b"sessionId" in head:
        example = '{"time": "2026-11-20T10:00:00Z", "url": "/v8/artifacts/events?slug=TEAM", "body": [EVENT, …]}'
        return Message(f"events in a form that is not read; convert their requests to JSON lines such as {example}")
    if b"/artifacts/" in head:
        return Message(
            "requests in a form that is not read; convert them to JSON lines such as "
            '{"time": "2026-11-20T10:00:00Z", "remote_addr": "10.0.0.5", "method": "GET", '
            '"url": "/v8/artifacts/HASH?slug=TEAM", "status": 200}'
        )
    start = head[:60].decode("utf-8", "replace").split("\n")[0]
    return Message(
        f"not an event log: it starts with {start!r}; events have sessionId, source, event and hash. Set ",
        Option("columns"),
        " if the keys have other names, or ",
        Option("format"),
        f" to one of {', '.join(FORMATS)}",
    )


def _read_content(stream: Stream) -> tuple[str, int, bool]:
    """Read the whole stream, which also sets its `damage` and `members`; return digest, size and `ends_in_newline`."""
    from xxhash import xxh3_128  # noqa: PLC0415  (only where a file is read)

    digest, size_bytes, last = xxh3_128(), 0, b"\n"
    for chunk in stream.chunks():
        digest.update(chunk)
        size_bytes += len(chunk)
        last = chunk.rstrip(b" \t\r")[-1:] or last
    return digest.hexdigest(), size_bytes, last == b"\n"
