"""A hit rate with its interval: lookups of one session hang together, so sessions are what is drawn, not lookups.

The variance of the rate of all lookups, hits / lookups pooled, is estimated from how sessions' hits differ from what
the rate makes of their lookups (the linearised ratio estimator), with Student's t for the number of sessions.
"""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

CONFIDENCE = 0.95
ALIKE = 1e-9
MIN_SESSIONS = 5
"""With fewer sessions no interval is told: nothing is known of how they differ."""

MOMENTS = """
count(*), coalesce(sum({n}), 0)::BIGINT, coalesce(sum({h}), 0)::BIGINT, coalesce(sum({n} * {n}), 0)::DOUBLE,
coalesce(sum({n} * {h}), 0)::DOUBLE, coalesce(sum({h} * {h}), 0)::DOUBLE
"""
"""Of rows a session each, with `n` lookups and `h` hits: what a Rate is made of."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Hits of lookups in so many sessions; the sums of products are over sessions."""

    sessions: int = 0
    lookups: int = 0
    hits: int = 0
    lookups_squared: float = 0
    lookups_times_hits: float = 0
    hits_squared: float = 0

    @property
    def value(self) -> float | None:
        """Hits / lookups; None without lookups."""
        return self.hits / self.lookups if self.lookups else None

    @property
    def error(self) -> float | None:
        """The standard error; None where the sessions are too few."""
        rate = self.value
        if rate is None or self.sessions < MIN_SESSIONS:
            return None
        error = sqrt(self.squares(rate) * self.sessions / (self.sessions - 1)) / self.lookups
        if error > ALIKE:
            return error
        # All sessions are alike, which few can be by chance: where all hit, or all miss, four others are allowed for.
        if 0 < rate < 1:
            return sqrt(rate * (1 - rate) / self.lookups)
        cautious = (rate * self.sessions + 2) / (self.sessions + 4)
        return sqrt(cautious * (1 - cautious) / (self.sessions + 4))

    def squares(self, rate: float) -> float:
        """Return the sum over sessions of the squares of what their hits differ from what `rate` makes of them."""
        sum_of = self.hits_squared - 2 * rate * self.lookups_times_hits + rate * rate * self.lookups_squared
        return max(sum_of, 0.0)

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """The bounds that the rate lies between with 95 % confidence."""
        if self.value is None or self.error is None:
            return None, None
        reach = _t(self.sessions - 1) * self.error
        return max(self.value - reach, 0.0), min(self.value + reach, 1.0)

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(
            self.sessions + other.sessions,
            self.lookups + other.lookups,
            self.hits + other.hits,
            self.lookups_squared + other.lookups_squared,
            self.lookups_times_hits + other.lookups_times_hits,
            self.hits_squared + other.hits_squared,
        )


@dataclass(frozen=True, slots=True)
class RateChange:
    """How one rate differs from another: the difference and its bounds."""

    value: float | None
    low: float | None
    high: float | None


def _freedom(before: Rate, after: Rate) -> float:
    """Return the degrees of freedom of a difference of rates whose variances differ (Welch and Satterthwaite)."""
    parts = [((side.error or 0) ** 2, side.sessions - 1) for side in (before, after)]
    return sum(v for v, _ in parts) ** 2 / sum(v**2 / n for v, n in parts)


def rate_change(before: Rate, after: Rate) -> RateChange:
    """Compare two rates of different sessions."""
    if before.value is None or after.value is None:
        return RateChange(None, None, None)
    value = after.value - before.value
    if before.error is None or after.error is None:
        return RateChange(value, None, None)
    error = sqrt(before.error**2 + after.error**2)
    reach = _t(_freedom(before, after)) * error
    return RateChange(value, value - reach, value + reach)


def _t(freedom: float) -> float:
    """Return the two-sided quantile of Student's t, by its expansion around the normal one.

    >>> round(_t(8), 2), round(_t(1000), 2)
    (2.31, 1.96)
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
