"""Defines the measures of `stats`: columns with an SQL aggregate over counts, a definition and a caveat."""

from dataclasses import dataclass

from analyzer.table import COUNT, COVERAGE, MS, RATIO, TIME, Column


@dataclass(frozen=True, slots=True)
class Measure(Column):
    """A column whose `sql` is an aggregate over rows of counts; its `description` is the measure's definition.

    A ratio with a denominator of 0 is null. The SQL uses only columns of the relation `session_quarters`, so that users
    can run it on an archive themselves.
    """

    caveat: str = ""
    merge_sql: str = ""  # instead of `sql`, over the counts of parts of a log, each with its number of `sessions`
    both_sides: bool = False  # relates LOCAL to REMOTE events: null where only one of the two was selected


HITS, TIMED_HITS = "sum(local_hits + remote_hits)", "sum(timed_local_hits + timed_remote_hits)"


# Faster than count(DISTINCT session), by far.
SESSIONS = "count(*) FILTER (is_whole_session) + count(DISTINCT CASE WHEN NOT is_whole_session THEN session END)"


def _count(counts: str) -> str:
    return f"coalesce(sum({counts}), 0)::BIGINT"


def known(ms: str) -> str:
    """Return the SQL of a time that is null if there are hits, but no duration is known."""
    return f"CASE WHEN {TIMED_HITS} > 0 THEN {ms} WHEN coalesce({HITS}, 0) = 0 THEN 0 END"


# Added to the measures when the cost of restoring an artifact is given.
NET_SAVED = Measure(
    "net_saved_ms", MS, "time saved minus the time it took to restore, over hits with a known duration",
    sql=known("round(sum(time_saved_ms)::DOUBLE - $restore_local * sum(timed_local_hits)"
               " - $restore_remote * sum(timed_remote_hits), 6)"),
    caveat="assumes that every local hit, and every remote hit, takes the same time to restore",
)  # fmt: skip

# The most important first: those at the end are left out where a table is too wide.
MEASURES = (
    Measure("events", COUNT, "events kept, including those repeated by a client's retry", detail=True,
            sql=_count("events"),
            caveat="a lookup has one or two events, so rates over events are wrong"),
    Measure("lookups", COUNT, "distinct (session, hash) pairs: one task looked up in one run", sql=_count("lookups")),
    Measure("hits", COUNT, "lookups with a LOCAL HIT or a REMOTE HIT", sql=_count("local_hits + remote_hits"),
            detail=True),
    Measure("local_hits", COUNT, "lookups with a LOCAL HIT", sql=_count("local_hits"), detail=True),
    Measure("remote_hits", COUNT, "lookups with a REMOTE HIT and no LOCAL HIT", sql=_count("remote_hits"),
            detail=True),
    Measure("misses", COUNT, "lookups without a HIT", sql=_count("lookups - local_hits - remote_hits"), detail=True),
    Measure("local_only_misses", COUNT, "misses with a LOCAL MISS and no REMOTE event", detail=True, both_sides=True,
            sql=_count("local_only_misses"),
            caveat="included in misses; the remote cache was disabled or unreachable, or an event was lost"),
    Measure("hit_rate", RATIO, "hits / lookups", sql=f"{HITS} / nullif(sum(lookups), 0)",
            caveat="turbo prints the same ratio as `Cached: X cached, N total`"),
    Measure("time_saved_ms", MS, "sum of the known durations of hits, once per lookup",
            sql=known("sum(time_saved_ms)::DOUBLE"),
            caveat="task time added up, not waiting time; null if there are hits, but no duration is known"),
    Measure("duration_coverage", RATIO, "hits with a known duration / hits", read_with=COVERAGE,
            sql=f"{TIMED_HITS} / nullif({HITS}, 0)",
            caveat="below 100 % the time saved is a lower bound: some servers do not return x-artifact-duration"),
    Measure("local_hit_rate", RATIO, "lookups with a LOCAL HIT / lookups with any LOCAL event",
            sql="sum(local_hits) / nullif(sum(asked_local), 0)"),
    Measure("remote_hit_rate", RATIO, "lookups with a REMOTE HIT / lookups with any REMOTE event",
            sql="sum(had_remote_hit) / nullif(sum(asked_remote), 0)",
            caveat="conditional on a local miss: clients ask the remote cache only then"),
    Measure("sessions", COUNT, "runs of the build client that reported at least one event",
            sql=SESSIONS, merge_sql="coalesce(sum(sessions), 0)::BIGINT",
            caveat="a session counts in each group in which it has a lookup: groups can add up to more than the total"),
    Measure("first_at", TIME, "time of the first event", sql="min(first_at)", detail=True,
            caveat="clients send events at about the end of a run"),
    Measure("last_at", TIME, "time of the last event", sql="max(last_at)", detail=True,
            caveat="clients send events at about the end of a run"),
)  # fmt: skip
