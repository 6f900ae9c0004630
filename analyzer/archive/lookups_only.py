"""Loads logs as lookups without sessions, hashes, teams and CI: enough for totals by time, in two thirds of the time.

Sessions and hashes are replaced by 64-bit hashes of their text.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from analyzer.archive.accounting import FileReport
from analyzer.archive.counts import LOOKUP_COUNTS
from analyzer.archive.event_validation import VALIDATED_EVENTS
from analyzer.archive.load import Loader
from analyzer.archive.merge import HASH_DURATIONS, LOOKUPS, MERGE_REJECTS
from analyzer.readers.formats import FORMATS
from analyzer.readers.source import LogFile
from analyzer.readers.stream import Stream

# Events with issues get a group of their own, with NULL for its session and hash, which shows that there are some.
LOOKUPS_OF_LINES = LOOKUPS.format(
    events=f"""(
    SELECT CASE WHEN issues IS NULL THEN session_key END AS session_id,
           CASE WHEN issues IS NULL THEN hash_key END AS hash_id, happened_at, kind, duration_ms, 0 AS context_id
    FROM ({VALIDATED_EVENTS}))"""
)

LOOKUPS_OF_STAGED = LOOKUPS.format(
    events="""(
    SELECT session_key AS session_id, hash_key AS hash_id, happened_at, kind, duration_ms, 0 AS context_id
    FROM staged WHERE kind IS NOT NULL)"""
)

MERGED_LOOKUPS = """
SELECT session_id, hash_id, min(first_at) AS first_at, max(last_at) AS last_at, bit_or(kinds) AS kinds,
       max(duration_ms) AS duration_ms, 0 AS context_id, sum(events)::BIGINT AS events
FROM ({parts}) GROUP BY session_id, hash_id
"""

_COUNTS = "SELECT coalesce(sum(events), 0)::BIGINT, count(*) FILTER (WHERE session_id IS NULL) FROM {part}"

_FINISH = f"""
INSERT INTO store.context (id) VALUES (0);
INSERT INTO store.session_summary (first_at, last_at) SELECT min(first_at), max(last_at) FROM store.lookup;
DROP TABLE store.session_quarter;
CREATE VIEW store.session_quarter AS SELECT {LOOKUP_COUNTS} FROM store.lookup;
DROP TABLE store.hash_duration;
CREATE VIEW store.hash_duration AS {HASH_DURATIONS.format(lookups="store.lookup")};
"""


class LookupsLoader(Loader):
    """Fills `lookup` in an archive in memory, and one row of `session_summary` with the first and last time."""

    merge_sql = MERGE_REJECTS

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._parts: list[str] = []  # tables of lookups, one for each NDJSON file and each batch of others

    def load(self, files: Sequence[LogFile]) -> Iterator[FileReport]:
        """Load `files` as `Loader.load` does, then combine the lookups of all."""
        yield from super().load(files)
        if len(self._parts) == 1:
            self.connection.execute(f"DROP TABLE store.lookup; ALTER TABLE {self._parts[0]} RENAME TO lookup")
        elif self._parts:
            parts = " UNION ALL ".join(f"FROM {part}" for part in self._parts)
            self.connection.execute(f"CREATE OR REPLACE TABLE store.lookup AS {MERGED_LOOKUPS.format(parts=parts)}")
        self.connection.execute(_FINISH)

    def _load_events(self, report: FileReport, stream: Stream, plain: Stream, file_id: int) -> None:
        """Group the events of NDJSON while they are read; stage those of other formats, and of files with issues."""
        # Rejects are not looked for yet: most files have none, and grouping while reading is faster.
        part = self._new_part()
        create = f"CREATE TABLE {part} AS {LOOKUPS_OF_LINES}"
        if FORMATS[report.format].duckdb == "ndjson" and self._stager.read_lines(create, plain, {}):
            ((events, with_issues),) = self._rows(_COUNTS.format(part=part))
            if not with_issues:
                self._parts.append(part)
                report.read = report.kept = events
                self._complete(report, stream, file_id, {})
                return
            # Grouped rows cannot be told apart any more, so the file is read again.
            self.connection.execute(f"DROP TABLE {part}")
        super()._load_events(report, stream, plain, file_id)

    def _merge_batch(self) -> None:
        if self._rows("SELECT 1 FROM staged WHERE kind IS NOT NULL LIMIT 1"):
            self._parts.append(self._new_part())
            self.connection.execute(f"CREATE TABLE {self._parts[-1]} AS {LOOKUPS_OF_STAGED}")
        super()._merge_batch()

    def _new_part(self) -> str:
        return f"store.part_{len(self._parts)}"
