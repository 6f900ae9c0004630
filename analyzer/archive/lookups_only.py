"""Logs read for their lookups alone, without context and names: enough for totals by time, and twice as fast.

Sessions and hashes are known by a 64-bit hash of their text. `packed` holds a number of events and the least size of
their text in one sum, a double that stays exact: grouping by millions of lookups pays for every sum. A row that can
prove nothing is left out, so that the sums of its file do not add up.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from os import SEEK_END

from analyzer.archive.accounting import Content, FileReport
from analyzer.archive.load import Loader
from analyzer.archive.merge import DURATION
from analyzer.archive.stager import duckdb_refuses
from analyzer.archive.staging import UNPROVEN_BYTES, unproven
from analyzer.readers.source import LogFile
from analyzer.readers.stream import Stream

EVENT = 1 << 32

PART = f"""
SELECT session_key AS session_id, hash_key AS hash_id, min(happened_at) AS first_at, max(happened_at) AS last_at,
       bit_or(kind) AS kinds, {DURATION},
       sum(({EVENT} + {{size}})::DOUBLE) AS packed
FROM {{rows}} WHERE kind IS NOT NULL AND {{size}} < {UNPROVEN_BYTES} GROUP BY ALL
"""

COUNTS = f"""
SELECT coalesce(sum(floor(packed / {EVENT})), 0)::BIGINT, coalesce(sum(packed % {EVENT}), 0)::BIGINT FROM {{part}}
"""

ONE = f"""
SELECT * EXCLUDE (packed), 0 AS context_id, floor(packed / {EVENT})::BIGINT AS events FROM {{parts}}
"""

MERGED = f"""
SELECT session_id, hash_id, min(first_at) AS first_at, max(last_at) AS last_at, bit_or(kinds) AS kinds,
       max(duration_ms) AS duration_ms, 0 AS context_id, sum(floor(packed / {EVENT}))::BIGINT AS events
FROM ({{parts}}) GROUP BY ALL
"""

SUMMARY = """
INSERT INTO store.session_summary (first_at, last_at) SELECT min(first_at), max(last_at) FROM store.lookup
"""


class LookupsLoader(Loader):
    """Loads lookups into a database in memory; what stays empty there are events, sessions and names."""

    steps = ("INSERT INTO store.reject FROM new_reject",)
    _parts = 0
    _alone = False

    def load(self, files: Sequence[LogFile]) -> Iterator[FileReport]:
        """Load `files`; one alone is a duplicate of nothing, and is not read twice to know it again."""
        self._alone = len(files) == 1
        return super().load(files)

    def _content(self, stream: Stream) -> Content:
        if not self._alone or stream.compression != "none":
            return super()._content(stream)
        with stream.path.open("rb") as file:
            size_bytes = file.seek(0, SEEK_END)
            file.seek(max(size_bytes - 1, 0))
            return Content("", size_bytes, file.read(1) == b"\n")

    def _commit(self) -> None:
        self._add_part(PART.format(rows="staged", size=0), {})
        super()._commit()

    def _add_part(self, sql: str, parameters: dict[str, object]) -> None:
        self._parts += 1
        self.connection.execute(f"CREATE TABLE store.part_{self._parts} AS {sql}", parameters or None)

    def _stage(self, report: FileReport, stream: Stream, head: bytes) -> bool:
        if self._summed(report, stream, head):
            return True
        report.content = super()._content(stream)
        return super()._stage(report, stream, head)

    def _summed(self, report: FileReport, stream: Stream, head: bytes) -> bool:
        """Read a file straight into a part; False where that cannot be proven right."""
        fit = report.format == "ndjson" and stream.damage is None and stream.members <= 1
        direct = self.filler.direct(stream, head, 0) if fit else None
        if not direct:
            return False
        part, sql = f"store.part_{self._parts + 1}", PART.format(rows=f"({unproven(direct[0])})", size="size")
        if duckdb_refuses(partial(self._add_part, sql, direct[1] | {"sample": 0})):
            self._parts -= 1
            return False
        events, size = self.connection.execute(COUNTS.format(part=part)).fetchone()  # type: ignore[misc]
        newlines = events if report.content.ends_in_newline else events - 1
        if size + newlines != report.content.size_bytes:
            self.connection.execute(f"DROP TABLE {part}")
            self._parts -= 1
            return False
        report.read = report.kept = events
        self._record(report, self.next_id, 0, None)
        self.next_id += 1
        return True

    def _finish(self) -> None:
        parts = [f"FROM store.part_{number}" for number in range(1, self._parts + 1)]
        sizes = [self._value(f"SELECT count(*) {part}") for part in parts]
        filled = [part for part, size in zip(parts, sizes, strict=True) if size]
        self.connection.execute("INSERT INTO store.context (id) VALUES (0); DROP TABLE store.lookup")
        if len(filled) == 1:
            self.connection.execute(f"CREATE VIEW store.lookup AS {ONE.format(parts=filled[0].removeprefix('FROM '))}")
        else:
            self.connection.execute(f"CREATE TABLE store.lookup AS {MERGED.format(parts=' UNION ALL '.join(parts))}")
        self.connection.execute(SUMMARY)
