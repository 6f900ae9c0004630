"""Runs that stand out, and how runs spread: hit rate for their size, and time lost.

Time lost is the imputed time of a run's misses (see imputed). How far a hit rate lies from the pooled one of all
selected lookups is told in standard errors of a rate of so many lookups: a run of three lookups with one hit is no
outlier. Where hits or misses are there, and not one duration is known, their time is null.
"""

from analyzer.archive.selection import Selected
from analyzer.metrics.imputed import impute
from analyzer.table import COUNT, MS, NUMBER, RATIO, TEXT, TIME, Heading, Table

PER_SESSION = """
CREATE OR REPLACE TEMP TABLE per_session AS
SELECT session_id, count(*) AS lookups, count(*) FILTER (kinds & 5 > 0) AS hits, min(first_at) AS first_at,
       CASE WHEN count(*) FILTER (kinds & 5 > 0) = 0 THEN 0 ELSE round(fsum(l.duration_ms), 6) END AS saved_ms,
       CASE WHEN count(*) FILTER (kinds & 5 = 0) = 0 THEN 0 ELSE round(fsum(d.duration_ms), 6) END AS lost_ms
FROM {selected} l LEFT JOIN duration d ON kinds & 5 = 0 AND d.hash_id = l.hash_id
GROUP BY session_id
"""

PERCENTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

SPREAD_COLUMNS = (
    Heading("percentile", TEXT, "p25: a quarter of sessions is at or below each value of this row"),
    Heading("lookups", COUNT, "lookups of a session"),
    Heading("hit_rate", RATIO, "hit rate of a session"),
    Heading("time_saved_ms", MS, "what its hits saved"),
    Heading("time_lost_ms", MS, "what the tasks of its misses took, where that is known or imputed"),
)

SPREAD = """
WITH spread AS (
    SELECT quantile_disc(lookups, $at::DOUBLE[]) AS lookups, quantile_cont(hits / lookups, $at::DOUBLE[]) AS hit_rate,
           quantile_cont(saved_ms, $at::DOUBLE[]) AS saved_ms, quantile_cont(lost_ms, $at::DOUBLE[]) AS lost_ms
    FROM per_session)
SELECT 'p' || (unnest($at::DOUBLE[]) * 100)::INTEGER, unnest(lookups), unnest(hit_rate), unnest(saved_ms),
       unnest(lost_ms)
FROM spread WHERE lookups IS NOT NULL ORDER BY unnest($at::DOUBLE[])
"""

OUTLIER_COLUMNS = (
    Heading("session", TEXT, "one run of the build client"),
    Heading("hit_rate", RATIO, "its hit rate"),
    Heading("lookups", COUNT, "its lookups"),
    Heading("time_lost_ms", MS, "what the tasks of its misses took, where that is known or imputed"),
    Heading("time_saved_ms", MS, "what its hits saved"),
    Heading("first_at", TIME, "time of its first event"),
    Heading("team", TEXT, "slug, else teamId"),
    Heading("ci", TEXT, "CI vendor the client detected"),
    Heading("branch", TEXT, "branch of the run, where its summary is known", detail=True),
    Heading("command", TEXT, "command of the run, where its summary is known", detail=True),
    Heading("deviation", NUMBER, "its hit rate against the pooled one, in standard errors", detail=True),
)

OUTLIERS = """
WITH pooled AS (SELECT sum(hits) / sum(lookups) AS rate FROM per_session),
told AS (
    SELECT p.*, (hits / lookups - rate) / nullif(sqrt(rate * (1 - rate) / lookups), 0) AS deviation
    FROM per_session p, pooled),
chosen AS (
    SELECT t.*, s.session FROM told t JOIN store.session s ON s.id = t.session_id
    WHERE {where} ORDER BY {order}, s.session LIMIT $limit)
SELECT t.session, hits / t.lookups, t.lookups, lost_ms, saved_ms, t.first_at, c.team, c.ci, r.branch, r.command,
       deviation
FROM chosen t JOIN session_summary m ON m.session_id = t.session_id JOIN store.context c ON c.id = m.context_id
LEFT JOIN (session_run k JOIN run r ON r.id = k.run_id) ON k.session_id = t.session_id
ORDER BY {order}, t.session
"""


def sessions(selected: Selected, limit: int) -> list[Table]:
    """Return the tables `low_hit_rate`, `time_lost` and `percentiles`."""
    impute(selected.connection)
    selected.execute(PER_SESSION)
    return [
        _outliers(selected, "low_hit_rate", "deviation < 0", "deviation", limit),
        _outliers(selected, "time_lost", "lost_ms > 0", "lost_ms DESC", limit),
        Table("percentiles", SPREAD_COLUMNS, selected.ask(SPREAD, at=list(PERCENTILES))),
    ]


def _outliers(selected: Selected, name: str, where: str, order: str, limit: int) -> Table:
    return Table(name, OUTLIER_COLUMNS, selected.ask(OUTLIERS.format(where=where, order=order), limit=limit))


SCATTER_COLUMNS = (
    Heading("lookups", COUNT, "lookups of a session, on average over these"),
    Heading("hit_rate", RATIO, "their pooled hit rate"),
    Heading("sessions", COUNT, "sessions of about this size and hit rate"),
    Heading("time_lost_ms", MS, "what the tasks of their misses took, where that is known or imputed"),
    Heading("outlier", TEXT, "the session, where it stands out; it is among the others too"),
)

SCATTER = """
SELECT round(avg(lookups))::BIGINT, sum(hits) / sum(lookups), count(*), round(fsum(lost_ms), 6), NULL
FROM per_session GROUP BY floor(2 * log2(lookups)), floor(20 * hits / lookups) ORDER BY ALL
"""


def scatter(selected: Selected, outliers: Table) -> Table:
    """Return the table `scatter`: the outliers of `sessions`, then sessions of like size and hit rate a row."""
    named = [(lookups, rate, 1, lost_ms, session) for session, rate, lookups, lost_ms, *_ in outliers.rows]
    return Table("scatter", SCATTER_COLUMNS, [*named, *selected.ask(SCATTER)])
