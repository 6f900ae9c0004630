"""What changed between two sides, and whether a hit rate or only the mix of lookups did."""

from collections.abc import Sequence
from datetime import date

from analyzer.metrics.dimension import DIMENSIONS
from analyzer.metrics.effects import Effect, effects
from analyzer.metrics.rate import change
from analyzer.metrics.side import COMPARED, Side
from analyzer.table import A_TO_B, BOUNDS, COUNT, MS, MS_CHANGE, RATIO, RATIO_CHANGE, TEXT, TIME, Heading, Table

FELL, ROSE, BY_CHANCE = "fell", "rose", "no more than chance explains"
TOO_FEW = "not enough sessions to tell"
"""Whether the hit rate has changed at all."""


def _bounded(name: str, unit: str, description: str) -> tuple[Heading, Heading, Heading]:
    """Return the headings of a value and of the bounds it lies between."""
    return (
        Heading(name, unit, description, read_with=BOUNDS),
        Heading(f"{name}_low", unit, "with 95 % confidence it is no lower; sessions are what is drawn"),
        Heading(f"{name}_high", unit, "and no higher"),
    )


def _a_to_b(name: str, unit: str, description: str) -> tuple[Heading, Heading]:
    """Return the headings of a value in A and in B."""
    return (
        Heading(f"{name}_a", unit, f"{description} in A", read_with=A_TO_B),
        Heading(f"{name}_b", unit, f"{description} in B"),
    )


SIDE_COLUMNS = (
    Heading("side", TEXT, "what is compared"),
    Heading("sessions", COUNT, "its runs"),
    Heading("lookups", COUNT, "its lookups"),
    *_bounded("hit_rate", RATIO, "hits / lookups"),
    Heading("remote_hit_rate", RATIO, "lookups with a REMOTE HIT / lookups with any REMOTE event"),
    Heading("time_saved_ms", MS, "what its hits saved, where the duration is known"),
    Heading("time_lost_ms", MS, "what the tasks of its misses took, where that is known or imputed"),
    Heading("first_at", TIME, "time of its first lookup", detail=True),
    Heading("last_at", TIME, "time of its last lookup", detail=True),
)

CHANGE_COLUMNS = (
    *_bounded("hit_rate_change", RATIO_CHANGE, "the hit rate of B less that of A"),
    *_bounded("remote_hit_rate_change", RATIO_CHANGE, "the remote hit rate of B less that of A"),
    Heading("time_saved_change_ms", MS_CHANGE, "time saved of B less that of A"),
    Heading("time_lost_change_ms", MS_CHANGE, "time lost of B less that of A"),
    Heading("change", TEXT, "whether the hit rate has changed at all"),
    Heading("change_began", TEXT, "the day (UTC) from which on the hit rate is another one, where one stands out"),
)

EFFECT_COLUMNS = (
    Heading("by", TEXT, "the dimension"),
    Heading("hit_rate_change", RATIO_CHANGE, "the hit rate of B less that of A"),
    Heading("rate_effect", RATIO_CHANGE, "what the groups' own hit rates changed"),
    Heading("mix_effect", RATIO_CHANGE, "what their shares of the lookups changed"),
    Heading("groups", COUNT, "groups on either side"),
)

GROUP_COLUMNS = (
    *_a_to_b("hit_rate", RATIO, "its hit rate"),
    Heading("rate_effect", RATIO_CHANGE, "what it adds to the change of the hit rate through its own"),
    Heading("mix_effect", RATIO_CHANGE, "what it adds through its share of the lookups"),
    *_a_to_b("lookups", COUNT, "its lookups"),
    Heading("effect", RATIO_CHANGE, "both effects"),
)


def compare(names: tuple[str, str], sides: tuple[Side, Side], began: date | None, limit: int) -> list[Table]:
    """Return the tables `change`, `sides` and `effects`, and by each dimension one of its groups, such as `by_team`."""
    by = {name: effects(sides[0].groups[name], sides[1].groups[name]) for name in COMPARED}
    told = {name: found for name, found in by.items() if any(one.group is not None for one in found)}
    return [
        Table("change", CHANGE_COLUMNS, [_change(*sides, began)], upright=True),
        Table(
            "sides", SIDE_COLUMNS, [_side(name, side) for name, side in zip(names, sides, strict=True)], upright=True
        ),
        Table("effects", EFFECT_COLUMNS, [_effect(name, found) for name, found in told.items()]),
        *(_groups(name, found[:limit]) for name, found in told.items()),
    ]


def _side(name: str, side: Side) -> tuple[object, ...]:
    rate = side.rate
    times = (side.saved_ms, side.lost_ms, side.first_at, side.last_at)
    return name, rate.sessions, rate.lookups, rate.value, *rate.interval, side.remote.value, *times


def _change(before: Side, after: Side, began: date | None) -> tuple[object, ...]:
    rate, remote = change(before.rate, after.rate), change(before.remote, after.remote)
    times = (after.saved_ms - before.saved_ms, after.lost_ms - before.lost_ms)
    verdict = TOO_FEW
    if rate.low is not None and rate.high is not None:
        verdict = BY_CHANCE if rate.low <= 0 <= rate.high else FELL if rate.high < 0 else ROSE
    return (
        *(rate.value, rate.low, rate.high, remote.value, remote.low, remote.high),
        *(round(ms, 6) for ms in times),
        verdict,
        began.isoformat() if began else None,
    )


def _effect(name: str, found: Sequence[Effect]) -> tuple[object, ...]:
    rate_effect, mix_effect = sum(one.rate_effect for one in found), sum(one.mix_effect for one in found)
    return name, rate_effect + mix_effect, rate_effect, mix_effect, len(found)


def _groups(name: str, found: Sequence[Effect]) -> Table:
    columns = (Heading(name, TEXT, DIMENSIONS[name].description), *GROUP_COLUMNS)
    rows = [
        (
            *(one.group, one.rate_before, one.rate_after, one.rate_effect, one.mix_effect),
            *(one.lookups_before, one.lookups_after, one.total),
        )
        for one in found
    ]
    return Table(f"by_{name}", columns, rows)
