"""The day a change began: the one that parts the days before and after it into the most different hit rates."""

from collections.abc import Sequence
from datetime import date

from analyzer.metrics.rate import Rate, change

LEAST_ERRORS = 3.0
"""How many standard errors the two sides of a day must differ, as every day is tried."""


def onset(days: Sequence[tuple[date, Rate]]) -> date | None:
    """Return the first day of the changed rate; None where no day parts the log clearly."""
    best, found = LEAST_ERRORS, None
    for place in range(1, len(days)):
        before, after = (sum((rate for _, rate in part), Rate()) for part in (days[:place], days[place:]))
        errors = change(before, after).errors
        if errors is not None and abs(errors) > best:
            best, found = abs(errors), days[place][0]
    return found
