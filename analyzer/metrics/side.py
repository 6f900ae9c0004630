"""One side of a comparison: what is measured of it by itself."""

from dataclasses import dataclass
from datetime import date, datetime

from analyzer.archive.selection import Selected
from analyzer.metrics.dimension import DIMENSIONS, UTC, Dimension
from analyzer.metrics.imputed import impute
from analyzer.metrics.rate import MOMENTS, Rate

COMPARED = ("task", "package", "ci", "team")
"""The dimensions by which a change is told apart."""

PER_SESSION = """
SELECT session_id, count(*) AS lookups, count(*) FILTER (kinds & 5 > 0) AS hits,
       count(*) FILTER (kinds & 12 > 0) AS asked, count(*) FILTER (kinds & 4 > 0) AS answered
FROM {selected} GROUP BY session_id
"""

RATE = f"SELECT {MOMENTS.format(n='lookups', h='hits')} FROM ({PER_SESSION})"
REMOTE_RATE = f"SELECT {MOMENTS.format(n='asked', h='answered')} FROM ({PER_SESSION}) WHERE asked > 0"

DAYS = f"""
SELECT day, {MOMENTS.format(n="lookups", h="hits")}
FROM (SELECT session_id, first_at::DATE AS day, count(*) AS lookups, count(*) FILTER (kinds & 5 > 0) AS hits
      FROM {{selected}} WHERE first_at IS NOT NULL GROUP BY ALL)
GROUP BY day ORDER BY day
"""

TIMES = """
SELECT min(first_at), max(first_at), coalesce(round(fsum(l.duration_ms), 6), 0),
       coalesce(round(fsum(d.duration_ms), 6), 0)
FROM {selected} l LEFT JOIN duration d ON kinds & 5 = 0 AND d.hash_id = l.hash_id
"""

GROUPS = """
SELECT {key}, count(*), count(*) FILTER (kinds & 5 > 0) FROM {{selected}} AS x GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True, slots=True)
class Side:
    """What one side shows: rates, time saved and lost, lookups and hits by group of each dimension."""

    rate: Rate
    remote: Rate
    first_at: datetime | None
    last_at: datetime | None
    saved_ms: float
    lost_ms: float
    groups: dict[str, dict[str | None, tuple[int, int]]]


def measure(selected: Selected) -> Side:
    """Measure one side."""
    impute(selected.connection)
    rate, remote = (Rate(*selected.ask(question)[0]) for question in (RATE, REMOTE_RATE))
    first_at, last_at, saved_ms, lost_ms = selected.ask(TIMES)[0]
    groups = {name: _groups(selected, DIMENSIONS[name]) for name in COMPARED}
    return Side(rate, remote, first_at, last_at, saved_ms, lost_ms, groups)


def _groups(selected: Selected, by: Dimension) -> dict[str | None, tuple[int, int]]:
    found = selected.ask(GROUPS.format(key=by.keyed(UTC)))
    return {group: (lookups, hits) for group, lookups, hits in found}


def days(selected: Selected) -> list[tuple[date, Rate]]:
    """Return the hit rate of each day."""
    return [(day, Rate(*moments)) for day, *moments in selected.ask(DAYS)]
