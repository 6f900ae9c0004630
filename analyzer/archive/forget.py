"""Forgets what is older than a date: writes an archive without it, which then takes the place of the old one.

A lookup goes with all its events if the first of them is older. Run summaries and uploads go by their own time. Names
go with their last use, and the rejects of a file with its last event. Files stay known, so that what was forgotten is
not loaded again by accident. Events without a time, and metadata of artifacts, which has none, stay.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from analyzer.archive.counts import SESSION_QUARTERS
from analyzer.archive.database import rewrite_archive
from analyzer.archive.merge import HASH_DURATIONS, SET_FIRST_CONTEXTS, SUMMARIES
from analyzer.archive.selection import time_literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# `{before}` is the date. Events after it may belong to a lookup that began before it: such a lookup is old, too.
_OLD_EVENTS = """
CREATE TEMP TABLE straddling AS
SELECT session_id, hash_id FROM {source}.lookup WHERE first_at < {before} AND last_at >= {before}
UNION
SELECT session_id, hash_id FROM {source}.lookup
SEMI JOIN (SELECT session_id, hash_id FROM {source}.event WHERE happened_at IS NULL) USING (session_id, hash_id)
WHERE first_at < {before};
CREATE TEMP TABLE forgotten_event AS
SELECT file_id, sum(n)::BIGINT AS events FROM (
    SELECT file_id, count(*) AS n FROM {source}.event WHERE happened_at < {before} GROUP BY file_id
    UNION ALL
    SELECT file_id, count(*) FROM {source}.event SEMI JOIN straddling USING (session_id, hash_id)
    WHERE happened_at >= {before} OR happened_at IS NULL GROUP BY file_id)
GROUP BY file_id;
"""

COUNTS = {
    "events": "SELECT coalesce(sum(events), 0)::BIGINT, (SELECT count(*) FROM {source}.event) FROM forgotten_event",
    "lookups": "SELECT count(*) FILTER (first_at < {before}), count(*) FROM {source}.lookup",
    "sessions": "SELECT count(*) FILTER (is_old), count(*) FROM"
    " (SELECT bool_and(coalesce(first_at < {before}, false)) AS is_old FROM {source}.session_quarter"
    " GROUP BY session_id)",
    "rejects": "SELECT count(*) FILTER (file_id IN (SELECT file_id FROM forgotten_event JOIN {source}.file"
    " ON id = file_id WHERE kept = events)), count(*) FROM {source}.reject",
    "run summaries": "SELECT count(*) FILTER (ended_at < {before}), count(*) FROM {source}.run",
    "uploads": "SELECT count(*) FILTER (happened_at < {before}), count(*) FROM {source}.transfer WHERE is_upload",
}
UNTIMED = "SELECT coalesce(sum(events), 0)::BIGINT FROM {source}.lookup WHERE first_at IS NULL"

# Ready relations of sessions of which a part remains are computed again; those of the others are copied.
_COPY = f"""
INSERT INTO store.lookup FROM {{source}}.lookup WHERE first_at >= {{before}} OR first_at IS NULL;
INSERT INTO store.event
FROM {{source}}.event ANTI JOIN straddling USING (session_id, hash_id)
WHERE happened_at >= {{before}} OR happened_at IS NULL;
INSERT INTO store.run FROM {{source}}.run WHERE ended_at >= {{before}};
INSERT INTO store.task FROM {{source}}.task WHERE run_id IN (SELECT id FROM store.run);
INSERT INTO store.input_set FROM {{source}}.input_set
WHERE set_id IN (SELECT unnest([files_set, settings_set]) FROM store.task UNION SELECT global_set FROM store.run);
INSERT INTO store.input FROM {{source}}.input WHERE id IN (SELECT input_id FROM store.input_set);
INSERT INTO store.unlisted_task FROM {{source}}.unlisted_task WHERE run_id IN (SELECT id FROM store.run);
INSERT INTO store.artifact FROM {{source}}.artifact;
INSERT INTO store.transfer FROM {{source}}.transfer WHERE happened_at >= {{before}} OR happened_at IS NULL;
INSERT INTO store.session FROM {{source}}.session
WHERE id IN (SELECT session_id FROM store.lookup UNION SELECT session_id FROM store.run);
INSERT INTO store.match FROM {{source}}.match
WHERE run_id IN (SELECT id FROM store.run) AND session_id IN (SELECT id FROM store.session);
INSERT INTO store.hash FROM {{source}}.hash
WHERE id IN (SELECT hash_id FROM store.lookup UNION SELECT hash_id FROM store.task UNION
             SELECT hash_id FROM store.unlisted_task UNION SELECT hash_id FROM store.artifact UNION
             SELECT hash_id FROM store.transfer);
INSERT INTO store.name FROM {{source}}.name WHERE hash_id IN (SELECT id FROM store.hash);
INSERT INTO store.context FROM {{source}}.context
WHERE id IN (SELECT context_id FROM store.event UNION SELECT context_id FROM store.lookup)
   OR (team IS NULL AND ci IS NULL AND interactive IS NULL);

INSERT INTO store.file
SELECT f.* REPLACE (read - coalesce(events, 0) - CASE WHEN events = kept THEN rejected ELSE 0 END AS read,
                    kept - coalesce(events, 0) AS kept, CASE WHEN events = kept THEN 0 ELSE rejected END AS rejected,
                    forgotten + coalesce(events, 0) + CASE WHEN events = kept THEN rejected ELSE 0 END
                    + (SELECT count(*) FROM {{source}}.run r WHERE r.file_id = f.id AND ended_at < {{before}})
                        AS forgotten)
FROM {{source}}.file f LEFT JOIN forgotten_event ON file_id = id;
INSERT INTO store.reject FROM {{source}}.reject WHERE file_id IN (SELECT id FROM store.file WHERE rejected > 0);

CREATE TEMP TABLE cut_session AS
SELECT session_id FROM {{source}}.session_quarter GROUP BY session_id
HAVING min(first_at) < {{before}} AND (max(last_lookup_at) >= {{before}} OR bool_or(first_at IS NULL));
INSERT INTO store.session_quarter FROM {{source}}.session_quarter ANTI JOIN cut_session USING (session_id)
WHERE quarter_at IS NULL OR first_at >= {{before}};
INSERT INTO store.session_quarter
{SESSION_QUARTERS.format(lookups="(FROM store.lookup SEMI JOIN cut_session USING (session_id))")};
INSERT INTO store.session_summary FROM {{source}}.session_summary ANTI JOIN cut_session USING (session_id)
WHERE first_at IS NULL OR first_at >= {{before}};
INSERT INTO store.session_summary
{SUMMARIES.format(lookups="(FROM store.lookup SEMI JOIN cut_session USING (session_id))")};
CREATE TEMP TABLE mixed AS
SELECT session_id FROM store.lookup SEMI JOIN cut_session USING (session_id)
GROUP BY session_id HAVING min(context_id) <> max(context_id);
{SET_FIRST_CONTEXTS}
INSERT INTO store.hash_duration {HASH_DURATIONS.format(lookups="store.lookup")};
DROP TABLE mixed; DROP TABLE cut_session; DROP TABLE straddling; DROP TABLE forgotten_event;
"""


def count_old(connection: "DuckDBPyConnection", before: datetime) -> tuple[Mapping[str, tuple[int, int]], int]:
    """Return how much is older than `before`, and of how much, by what it is; and how many events have no time."""
    names = {"source": "store", "before": time_literal(before)}
    connection.execute(_OLD_EVENTS.format(**names))
    counts = {name: connection.execute(sql.format(**names)).fetchall()[0] for name, sql in COUNTS.items()}
    ((untimed,),) = connection.execute(UNTIMED.format(**names)).fetchall()
    connection.execute("DROP TABLE straddling; DROP TABLE forgotten_event")
    return counts, untimed


def forget(path: Path, before: datetime, workspace: Path) -> None:
    """Remove what is older than `before` from the archive at `path`; a kill leaves it as it was.

    Raises:
        ArchiveError: the file is in use, is not an archive, or there is no space for another one.
    """
    names = {"source": "old.store", "before": time_literal(before)}
    with rewrite_archive(path, workspace) as connection:
        connection.execute(_OLD_EVENTS.format(**names))
        connection.execute(_COPY.format(**names))
