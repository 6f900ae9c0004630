"""What no request can carry, and rates that are none: refused before anything is read."""

import math
from collections.abc import Mapping

from analyzer.errors import Option, UsageError
from analyzer.event import MAX_CI_LENGTH

LEAST_RATE = 0.01


def require_names(names: Mapping[str, str | None]) -> None:
    """Refuse names of teams and CIs, by name, that no request carries.

    Raises:
        UsageError: a value that the server could only refuse.
    """
    for name, value in names.items():
        if value is not None and (not value.strip() or value != value.strip() or not value.isprintable()):
            raise UsageError(Option(name, value), ": empty, or with characters that no request carries")
        if name.endswith("ci") and len(value or "") > MAX_CI_LENGTH:
            raise UsageError(Option(name, value), f": longer than {MAX_CI_LENGTH} characters, which the API refuses")


def require_rate(name: str, rate: float) -> None:
    """Refuse a rate of requests that is none.

    Raises:
        UsageError: it is less than one in a hundred minutes, and not 0.
    """
    if not math.isfinite(rate) or rate < 0 or 0 < rate < LEAST_RATE:
        raise UsageError(Option(name, rate), f": at least {LEAST_RATE}, or 0 for no limit")


def require_counts(counts: Mapping[str, int | None]) -> None:
    """Refuse counts below 1, by name.

    Raises:
        UsageError: one is less than 1.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise UsageError(Option(name, count), ": at least 1")
