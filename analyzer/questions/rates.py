"""Statistics of hit rates: confidence intervals, differences, rate and mix effects, and change points.

The sampling unit is the session, not the lookup: lookups of one session hit or miss together, so an interval that
treats them as independent would be far too narrow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date
from itertools import accumulate
from math import sqrt
from statistics import NormalDist
from typing import Any

# With fewer sessions there is no interval: their variance cannot be estimated.
MIN_SESSIONS = 5


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with the bounds of its 95 % confidence interval; None where it cannot be estimated."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """A pooled hit rate: sums over sessions of their lookups n, their hits h, and n*n, n*h and h*h.

    These sums are all that the variance needs, and sums of disjoint sets of sessions can be added.
    """

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
    def standard_error(self) -> float | None:
        """The standard error of the rate; None with too few sessions.

        This is the linearised ratio estimator for cluster samples (Cochran, Sampling Techniques, chapter 6): the
        spread of the sessions' residuals, hits minus rate * lookups, relative to all lookups.
        """
        rate = self.value
        if rate is None or self.sessions < MIN_SESSIONS:
            return None
        variance = self.squared_residuals(rate) * self.sessions / (self.sessions - 1)
        error = sqrt(variance) / self.lookups
        if error > 1e-9:  # noqa: PLR2004  (less is rounding: all sessions have the same rate)
            return error
        # Identical sessions have no residuals, yet a few of them do not make the rate certain. Between 0 and 1 the
        # binomial error of the lookups stands in; at 0 or 1 that is zero too, so add two successes and two failures
        # to the sessions (Agresti and Coull).
        if 0 < rate < 1:
            return sqrt(rate * (1 - rate) / self.lookups)
        adjusted = (rate * self.sessions + 2) / (self.sessions + 4)
        return sqrt(adjusted * (1 - adjusted) / (self.sessions + 4))

    def squared_residuals(self, rate: float) -> float:
        """Return the sum over sessions of (hits - rate * lookups) squared."""
        residuals = self.hits_squared - 2 * rate * self.lookups_times_hits + rate * rate * self.lookups_squared
        return max(residuals, 0.0)  # rounding can make the difference of large sums negative

    @property
    def estimate(self) -> Estimate:
        """The rate with its confidence interval, which ends at 0 and 1."""
        if self.value is None or self.standard_error is None:
            return Estimate(self.value)
        margin = t_quantile(self.sessions - 1) * self.standard_error
        return Estimate(self.value, max(self.value - margin, 0.0), min(self.value + margin, 1.0))

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(*(one + another for one, another in zip(astuple(self), astuple(other), strict=True)))


def rate_change(before: Rate, after: Rate) -> Estimate:
    """Return the difference of two rates of disjoint sets of sessions, with its confidence interval (Welch)."""
    if before.value is None or after.value is None:
        return Estimate(None)
    value = after.value - before.value
    if before.standard_error is None or after.standard_error is None:
        return Estimate(value)
    a, b = before.standard_error**2, after.standard_error**2
    # Welch-Satterthwaite: the variances of the two sides need not be equal.
    degrees_of_freedom = (a + b) ** 2 / (a**2 / (before.sessions - 1) + b**2 / (after.sessions - 1))
    margin = t_quantile(degrees_of_freedom) * sqrt(a + b)
    return Estimate(value, value - margin, value + margin)


def t_quantile(degrees_of_freedom: float) -> float:
    """Return the two-sided 95 % quantile of Student's t distribution.

    The series around the normal quantile is 26.7.5 of Abramowitz and Stegun; scipy would be a dependency for one line.

    >>> round(t_quantile(8), 2), round(t_quantile(1000), 2)
    (2.31, 1.96)
    """
    z, n = NormalDist().inv_cdf(0.975), degrees_of_freedom
    first, second = (z**3 + z) / (4 * n), (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
    return z + first + second + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)


# Lookups and hits by group.
Groups = Mapping[str | None, tuple[int, int]]


def group_effects(a: Groups, b: Groups) -> list[dict[str, Any]]:
    """Decompose the difference of two pooled rates by group (Kitagawa, 1955); return a record per group.

    The *rate effect* is the change of a group's own rate, weighted by its mean share of the lookups. The *mix effect*
    is the change of its share, weighted by how far its mean rate is from that of all lookups. All effects add up to
    the difference. The largest effect is first; without lookups on a side there are none. The rate effect of a group
    that only one side has is undefined, None.
    """
    totals = [(sum(n for n, _ in side.values()), sum(h for _, h in side.values())) for side in (a, b)]
    if not all(lookups for lookups, _ in totals):
        return []
    mean_rate = sum(hits / lookups for lookups, hits in totals) / 2
    effects: list[dict[str, Any]] = []
    for group in a.keys() | b.keys():
        counts = [side.get(group, (0, 0)) for side in (a, b)]
        shares = [lookups / total for (lookups, _), (total, _) in zip(counts, totals, strict=True)]
        rates = [hits / lookups if lookups else None for lookups, hits in counts]
        # A group that only one side has cannot have changed its rate: all of its effect is mix.
        old, new = (rate if rate is not None else rates[1 - n] or 0.0 for n, rate in enumerate(rates))
        rate_effect = None if None in rates else (shares[0] + shares[1]) / 2 * (new - old)
        mix_effect = (shares[1] - shares[0]) * ((new + old) / 2 - mean_rate)
        effects.append({
            "group": group, "lookups_a": counts[0][0], "lookups_b": counts[1][0], "hit_rate_a": rates[0],
            "hit_rate_b": rates[1], "rate_effect": rate_effect, "mix_effect": mix_effect,
            "effect": (rate_effect or 0) + mix_effect,
        })  # fmt: skip
    return sorted(effects, key=lambda record: (-abs(record["effect"]), record["group"] or ""))


# How often a log whose hit rate never changed may still have a change point.
FALSE_ALARM_RATE = 0.01


def change_point(days: Sequence[tuple[date, Rate]], change: float | None = None) -> date | None:
    """Return the day that best splits the days into two with a hit rate each; None where no split is significant.

    Of the significant splits, the best is that whose two rates explain most of the variance between lookups.
    Every day is tried as the split. The z score that it must exceed is therefore that of `FALSE_ALARM_RATE` divided by
    the number of tries (Bonferroni). With a `change`, only splits into its direction count.
    """
    rates = [rate for _, rate in days]
    # Sums of all days before and after each split, so that every day can be tried in one pass.
    befores, afters = list(accumulate(rates)), list(accumulate(reversed(rates)))[::-1]
    limit = NormalDist().inv_cdf(1 - FALSE_ALARM_RATE / 2 / max(len(days) - 1, 1))
    best, best_day = 0.0, None
    for (day, _), before, after in zip(days[1:], befores, afters[1:], strict=False):
        if _z_score(before, after, befores[-1]) <= limit:
            continue
        difference = after.hits / after.lookups - before.hits / before.lookups
        explained = difference**2 * before.lookups * after.lookups / befores[-1].lookups
        if explained > best and (change is None or difference * change > 0):
            best, best_day = explained, day
    return best_day


def _z_score(before: Rate, after: Rate, whole: Rate) -> float:
    """Return the difference of two parts of `whole` in standard errors; 0 where it cannot be estimated.

    The variance is that of all sessions around the common rate, as if nothing had changed: on its own, a part with few
    or identical sessions would look certain.
    """
    if min(before.sessions, after.sessions) < MIN_SESSIONS or before.value is None or after.value is None:
        return 0
    variance = whole.squared_residuals(whole.hits / whole.lookups) / (whole.sessions - 1)
    error = sqrt(variance * (before.sessions / before.lookups**2 + after.sessions / after.lookups**2))
    return abs(after.value - before.value) / error if error else 0
