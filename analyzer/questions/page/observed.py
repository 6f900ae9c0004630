"""Counts the lookups and sessions of a page, and finds their period."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from analyzer.archive.counts import ADDED_COUNTS
from analyzer.archive.selection import count_reads
from analyzer.questions.measures import SESSIONS
from analyzer.questions.scope import Given, Rows, Scope, Step
from analyzer.questions.stats import COUNTED

OBSERVED = f"SELECT {ADDED_COUNTS}, {SESSIONS} AS sessions FROM {COUNTED}"
MERGED = """
SELECT coalesce(sum(lookups), 0)::BIGINT, coalesce(sum(sessions), 0)::BIGINT, min(first_at), max(last_lookup_at),
       max(last_at)
FROM {parts}
"""


@dataclass(frozen=True, slots=True)
class Observed:
    """The selected lookups. Times are null if none has a time; `last_lookup_at` is the first event of the last one."""

    lookups: int
    sessions: int
    first_at: datetime | None
    last_lookup_at: datetime | None
    last_at: datetime | None


def observe(scope: Scope) -> Observed:
    """Return the numbers and times of the selected lookups."""
    gathered = scope.gather([Step("session_id", _count, count_reads(scope.selection, scope.cuts))])
    return Observed(*gathered.rows("observed", MERGED)[0])


def _count(scope: Scope, _passed: Mapping[str, Rows]) -> Given:
    return Given({"observed": Rows(scope.selected, OBSERVED)})
