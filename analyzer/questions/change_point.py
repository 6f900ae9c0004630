"""The day a change began: the one that parts the days before and after it into the most different hit rates.

Every day is tried, so the two sides of one must differ by more than chance makes of so many tries. What chance makes is
judged by all sessions together, as if nothing had changed: a side of few sessions, or of ones all alike, says little.
"""

from collections.abc import Sequence
from datetime import date
from math import sqrt
from statistics import NormalDist

from analyzer.questions.rates import MIN_SESSIONS, Rate

CHANCE = 0.01
"""How often a log in which nothing changed may have such a day."""


def change_point(days: Sequence[tuple[date, Rate]]) -> date | None:
    """Return the first day of the changed rate; None where no day parts the log clearly."""
    whole = sum((rate for _, rate in days), Rate())
    best, found = NormalDist().inv_cdf(1 - CHANCE / 2 / max(len(days) - 1, 1)), None
    for place in range(1, len(days)):
        before, after = (sum((rate for _, rate in part), Rate()) for part in (days[:place], days[place:]))
        errors = _errors(before, after, whole)
        if errors > best:
            best, found = errors, days[place][0]
    return found


def _errors(before: Rate, after: Rate, whole: Rate) -> float:
    """Return in how many standard errors two parts of a whole differ; 0 where that cannot be told."""
    if min(before.sessions, after.sessions) < MIN_SESSIONS or not before.lookups or not after.lookups:
        return 0
    variance = whole.squares(whole.hits / whole.lookups) / (whole.sessions - 1)
    error = sqrt(variance * (before.sessions / before.lookups**2 + after.sessions / after.lookups**2))
    difference = abs(after.hits / after.lookups - before.hits / before.lookups)
    return difference / error if error else 0
