"""Whether a hit rate changed because groups hit less, or because there are more lookups of groups that always hit less.

By a dimension the difference of two pooled rates falls into a *rate effect*, what the groups' own rates changed, at the
mean of their shares of the lookups, and a *mix effect*, what their shares changed, at the mean of their rates, measured
against the mean of both pooled rates. A group that one side lacks has no change of rate: all of it is mix. The effects
of all groups add up to the difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effect:
    """What a group adds to the difference of two pooled rates; None as a rate where a side lacks the group."""

    group: str | None
    lookups_before: int
    lookups_after: int
    rate_before: float | None
    rate_after: float | None
    rate_effect: float
    mix_effect: float

    @property
    def total(self) -> float:
        """Both effects."""
        return self.rate_effect + self.mix_effect


Groups = Mapping[str | None, tuple[int, int]]
"""Lookups and hits by group."""


def effects(before: Groups, after: Groups) -> list[Effect]:
    """Return each group's effects, the largest first; none where a side has no lookups."""
    totals = [(sum(n for n, _ in side.values()), sum(h for _, h in side.values())) for side in (before, after)]
    if not all(lookups for lookups, _ in totals):
        return []
    centre = sum(hits / lookups for lookups, hits in totals) / 2
    found = []
    for group in before.keys() | after.keys():
        sides = [side.get(group, (0, 0)) for side in (before, after)]
        shares = [lookups / total for (lookups, _), (total, _) in zip(sides, totals, strict=True)]
        rates = [hits / lookups if lookups else None for lookups, hits in sides]
        old, new = (rate if rate is not None else rates[1 - n] or 0.0 for n, rate in enumerate(rates))
        rate_effect = (shares[0] + shares[1]) / 2 * (new - old)
        mix_effect = (shares[1] - shares[0]) * ((new + old) / 2 - centre)
        found.append(Effect(group, sides[0][0], sides[1][0], rates[0], rates[1], rate_effect, mix_effect))
    return sorted(found, key=lambda one: (-abs(one.total), one.group or ""))
