"""One run: every lookup in order, and what a warm cache would have saved."""

from analyzer.archive.selection import Selected, run
from analyzer.errors import UsageError
from analyzer.message import Option
from analyzer.table import COUNT, HASH, MS, NAME, RATIO, TEXT, TIME, Heading, Table

KNOWN = """
SELECT DISTINCT s.session
FROM session_summary m JOIN store.session s ON s.id = m.session_id
LEFT JOIN (session_run k JOIN run r ON r.id = k.run_id) ON k.session_id = m.session_id
WHERE starts_with(s.session, $id) OR starts_with(r.run, $id)
ORDER BY s.session LIMIT 4
"""

RUN_COLUMNS = (
    Heading("session", TEXT, "one run of the build client"),
    Heading("run", TEXT, "the run's id, where its summary is known"),
    Heading("command", TEXT, "what was run"),
    Heading("branch", TEXT, "on which branch"),
    Heading("sha", TEXT, "at which commit"),
    Heading("user", TEXT, "by whom"),
    Heading("team", TEXT, "slug, else teamId"),
    Heading("ci", TEXT, "CI vendor the client detected"),
    Heading("first_at", TIME, "time of its first event"),
    Heading("last_at", TIME, "time of its last event"),
    Heading("lookups", COUNT, "its lookups"),
    Heading("hits", COUNT, "lookups with a HIT"),
    Heading("hit_rate", RATIO, "hits / lookups"),
    Heading("time_saved_ms", MS, "what its hits saved, where the duration is known"),
    Heading("time_lost_ms", MS, "what the tasks of its misses took, where that is known or imputed"),
    Heading("warm_cache_saves_ms", MS, "what it would have saved had all been hits: both added up"),
    Heading("warm_cache_coverage", RATIO, "lookups whose duration is known or imputed / lookups"),
)

RUN = """
SELECT s.session, any_value(r.run), any_value(r.command), any_value(r.branch), any_value(r.sha), any_value(r."user"),
       min(l.team), min(l.ci), min(l.first_at), max(l.last_at), count(*), count(*) FILTER (kinds & 5 > 0),
       count(*) FILTER (kinds & 5 > 0) / count(*),
       CASE WHEN count(*) FILTER (kinds & 5 > 0) = 0 THEN 0 ELSE round(fsum(l.duration_ms), 6) END,
       CASE WHEN count(*) FILTER (kinds & 5 = 0) = 0 THEN 0 ELSE round(fsum(m.imputed_ms), 6) END,
       coalesce(round(fsum(coalesce(l.duration_ms, m.imputed_ms)), 6), 0),
       count(coalesce(l.duration_ms, m.imputed_ms)) / count(*)
FROM {selected} l JOIN store.session s ON s.id = l.session_id
LEFT JOIN miss m ON m.session_id = l.session_id AND m.hash_id = l.hash_id
LEFT JOIN (session_run k JOIN run r ON r.id = k.run_id) ON k.session_id = l.session_id
GROUP BY s.session
"""

LOOKUP_COLUMNS = (
    Heading("hash", HASH, "the artifact"),
    Heading("name", NAME, "the task that the hash is of"),
    Heading("outcome", TEXT, "local_hit, remote_hit or miss"),
    Heading("class", TEXT, "of a miss, why: a candidate, no verdict"),
    Heading("duration_ms", MS, "of a hit, what it saved; of a miss, what its task took, where known or imputed"),
    Heading("first_at", TIME, "time of its first event"),
)

LOOKUPS = """
SELECT h.hash, n.name,
       CASE WHEN kinds & 1 > 0 THEN 'local_hit' WHEN kinds & 4 > 0 THEN 'remote_hit' ELSE 'miss' END,
       m.class, coalesce(l.duration_ms, m.imputed_ms), l.first_at
FROM {selected} l JOIN store.hash h ON h.id = l.hash_id LEFT JOIN name n ON n.hash_id = l.hash_id
LEFT JOIN miss m ON m.session_id = l.session_id AND m.hash_id = l.hash_id
LEFT JOIN (SELECT session_id, hash_id, min({'file': file_id, 'position': position}) AS place
           FROM event WHERE session_id IN (SELECT session_id FROM {selected}) GROUP BY ALL) e
  ON e.session_id = l.session_id AND e.hash_id = l.hash_id
ORDER BY l.first_at NULLS LAST, e.place, h.hash
"""


def find(selected: Selected, text: str) -> str:
    """Return the session of an id, or of the start of one; of a session or of a run.

    Raises:
        UsageError: there is none, or there are several.
    """
    found = [session for (session,) in run(selected.connection, KNOWN, {"id": text})]
    if text in found or len(found) == 1:
        return text if text in found else found[0]
    if found:
        raise UsageError(Option("id", text), f": {', '.join(found[:3])} start so; write more of the id")
    raise UsageError(Option("id", text), ": no session or run of the log starts so; `sessions` without one lists some")


def session(selected: Selected) -> list[Table]:
    """Return the tables `session` and `lookups` of the one session selected, whose misses are classed."""
    return [
        Table("session", RUN_COLUMNS, selected.ask(RUN), upright=True),
        Table("lookups", LOOKUP_COLUMNS, selected.ask(LOOKUPS)),
    ]
