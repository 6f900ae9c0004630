"""What a measure is: one number over a set of lookups, with everything that is to be said about it."""

from dataclasses import dataclass

from analyzer.table import COUNT, MS, RATIO, TIME


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure: `sql` is an aggregate over rows of lookups (see `selection.LOOKUPS` for their columns).

    A ratio whose denominator is zero is null: there is no such rate. A `detail` is not shown by group to people.
    With `both_sides` it compares LOCAL with REMOTE events: where only one of them was chosen it cannot be known.
    """

    name: str
    unit: str
    definition: str
    sql: str
    caveat: str = ""
    detail: bool = False
    both_sides: bool = False


NET_SAVED = Measure(
    "net_saved_ms",
    MS,
    "time saved less what restoring took, of hits with a known duration",
    "coalesce(round(fsum(duration_ms - CASE WHEN kinds & 1 > 0 THEN $restore_local ELSE $restore_remote END), 6), 0)",
    "restoring takes what --restore-cost says, for every artifact alike",
)

MEASURES = (
    Measure(
        "events",
        COUNT,
        "events kept, repeats of a client's retry included",
        "coalesce(sum(events), 0)::BIGINT",
        "one lookup is up to two events: rates over events are wrong",
        detail=True,
    ),
    Measure(
        "sessions",
        COUNT,
        "runs of the build client that reported at least one event",
        "count(DISTINCT session_id)",
        "a session counts in each group it has a lookup in, so groups may add up to more than the total",
    ),
    Measure("lookups", COUNT, "distinct (session, hash): a task asked for in a run", "count(*)"),
    Measure(
        "hits", COUNT, "lookups with a LOCAL HIT or a REMOTE HIT", "count(*) FILTER (WHERE kinds & 5 > 0)", detail=True
    ),
    Measure("local_hits", COUNT, "lookups with a LOCAL HIT", "count(*) FILTER (WHERE kinds & 1 > 0)", detail=True),
    Measure(
        "remote_hits",
        COUNT,
        "lookups with a REMOTE HIT and no LOCAL HIT",
        "count(*) FILTER (WHERE kinds & 5 = 4)",
        detail=True,
    ),
    Measure("misses", COUNT, "lookups without a HIT", "count(*) FILTER (WHERE kinds & 5 = 0)", detail=True),
    Measure(
        "local_only_misses",
        COUNT,
        "misses with a LOCAL MISS and no REMOTE event",
        "count(*) FILTER (WHERE kinds = 2)",
        "counted among the misses; the remote cache was off or unreachable, or an event was lost",
        detail=True,
        both_sides=True,
    ),
    Measure(
        "hit_rate",
        RATIO,
        "hits / lookups",
        "count(*) FILTER (WHERE kinds & 5 > 0) / nullif(count(*), 0)",
        "what turbo prints as cached of total",
    ),
    Measure(
        "local_hit_rate",
        RATIO,
        "lookups with a LOCAL HIT / lookups with any LOCAL event",
        "count(*) FILTER (WHERE kinds & 1 > 0) / nullif(count(*) FILTER (WHERE kinds & 3 > 0), 0)",
    ),
    Measure(
        "remote_hit_rate",
        RATIO,
        "lookups with a REMOTE HIT / lookups with any REMOTE event",
        "count(*) FILTER (WHERE kinds & 4 > 0) / nullif(count(*) FILTER (WHERE kinds & 12 > 0), 0)",
        "conditional on a local miss: the remote cache is asked only then",
    ),
    Measure(
        "time_saved_ms",
        MS,
        "sum of the hits' durations, once a lookup, where known",
        "coalesce(round(fsum(duration_ms), 6), 0)",
        "serial task time, not waiting time; a duration of 0 is unknown, see duration_coverage",
    ),
    Measure(
        "duration_coverage",
        RATIO,
        "hits with a known duration / hits",
        "count(duration_ms) / nullif(count(*) FILTER (WHERE kinds & 5 > 0), 0)",
        "below 100 % the time saved is a lower bound: some servers do not return x-artifact-duration",
    ),
    Measure("first_at", TIME, "time of the first event", "min(first_at)", "about the end of its run", detail=True),
    Measure("last_at", TIME, "time of the last event", "max(last_at)", "about the end of its run", detail=True),
)
