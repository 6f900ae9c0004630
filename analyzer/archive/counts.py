"""Defines the counts that are kept ready: for each session, its lookups in each quarter of an hour and context.

All counts can be added up, so that every question about totals, times, teams, CI and sessions reads a few million rows
instead of every lookup. Since 1972 all time zones are whole quarters of an hour from UTC. `LOOKUP_COUNTS` gives the
same columns for single lookups, as if each were a row of its own; questions therefore read either, with one definition.
"""

QUARTER_MINUTES = 15

# The quarter of an hour in which the time of a row of counts or of a lookup lies.
QUARTER_OF = f"time_bucket(INTERVAL {QUARTER_MINUTES} MINUTE, {{time}})"

# Columns that are added up, each with its SQL over a lookup.
_SUMS = {
    "events": "events",
    "lookups": "1",
    "local_hits": "is_local_hit(kinds)::INTEGER",
    "remote_hits": "is_remote_hit(kinds)::INTEGER",
    "local_only_misses": "is_local_only_miss(kinds)::INTEGER",
    "asked_local": "asked_local(kinds)::INTEGER",
    "asked_remote": "asked_remote(kinds)::INTEGER",
    "had_remote_hit": "had_remote_hit(kinds)::INTEGER",
    "had_local_miss": "had_local_miss(kinds)::INTEGER",
    "asked_remote_after_local_miss": "(had_local_miss(kinds) AND asked_remote(kinds))::INTEGER",
    "timed_local_hits": "(is_local_hit(kinds) AND duration_ms IS NOT NULL)::INTEGER",
    "timed_remote_hits": "(is_remote_hit(kinds) AND duration_ms IS NOT NULL)::INTEGER",
    "time_saved_ms": "coalesce(duration_ms, 0)::DECIMAL(38, 6)",
}
# Decimals are added up exactly: the sum does not depend on the order.
_TYPES = dict.fromkeys(_SUMS, "BIGINT") | {"time_saved_ms": "DECIMAL(38, 6)"}

_EARLIEST_CONTEXT = "arg_min(context_id, {'at': coalesce(first_at, 'infinity'), 'id': context_id})"
_TIMES = "min(first_at) AS first_at, max(last_lookup_at) AS last_lookup_at, max(last_at) AS last_at"


def _sums(sql: dict[str, str]) -> str:
    return ", ".join(f"sum({one})::{_TYPES[name]} AS {name}" for name, one in sql.items())


LOOKUP_COUNTS = ", ".join(
    (
        "session_id, first_at AS quarter_at, context_id, false AS is_whole_session",
        *(f"{sql} AS {name}" for name, sql in _SUMS.items()),
        "first_at, first_at AS last_lookup_at, last_at",
    )
)

# The rows of `session_quarter` for all lookups `{lookups}` of some sessions. `last_lookup_at` is the first event of the
# last lookup. Sessions of one row, most of them, need not be told apart to count them.
SESSION_QUARTERS = f"""
SELECT session_id, {QUARTER_OF.format(time="first_at")} AS quarter_at, context_id,
       count(*) OVER (PARTITION BY session_id) = 1 AS is_whole_session, {_sums(_SUMS)},
       min(first_at) AS first_at, max(first_at) AS last_lookup_at, max(last_at) AS last_at
FROM {{lookups}} GROUP BY 1, 2, 3 ORDER BY 2
"""

SESSION_QUARTER_COLUMNS = (
    "session_id INTEGER, quarter_at TIMESTAMP, context_id INTEGER, is_whole_session BOOLEAN, "
    + ", ".join(f"{name} {type_}" for name, type_ in _TYPES.items())
    + ", first_at TIMESTAMP, last_lookup_at TIMESTAMP, last_at TIMESTAMP"
)


# The aggregates that add up rows of counts, under the names of their columns.
ADDED_COUNTS = f"{_sums({name: name for name in _SUMS})}, {_TIMES}"


def by_session(key: str = "") -> str:
    """Return the SQL of counts added up for each session; with `key` (`SQL AS name`) for each value of that too.

    It reads `{counted}`. `context_id` is that of the first event, with its team and CI.
    """
    keys = f"session_id, {key}" if key else "session_id"
    names = f"session_id, {key.rpartition(' ')[2]}" if key else "session_id"
    # Rows of a whole session need no grouping.
    return f"""(
        SELECT s.*, c.team, c.ci FROM (
            SELECT {keys}, context_id, {", ".join(_SUMS)}, first_at, last_lookup_at, last_at
            FROM {{counted}} WHERE is_whole_session
            UNION ALL
            SELECT {keys}, {_EARLIEST_CONTEXT}, {ADDED_COUNTS}
            FROM {{counted}} WHERE NOT is_whole_session GROUP BY {names}) s
        JOIN store.context c ON c.id = context_id)"""
