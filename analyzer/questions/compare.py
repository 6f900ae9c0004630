"""What changed between two sides, and whether a hit rate or only the mix of lookups did."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection
from analyzer.errors import Message, Option, UsageError
from analyzer.questions.change_point import change_point
from analyzer.questions.comparison_sides import COMPARED, ComparisonSide, SideMeasures, daily_rates, measure_side
from analyzer.questions.dimensions import DIMENSIONS
from analyzer.questions.effects import Effect, effects
from analyzer.questions.notes import unknown_name_notes
from analyzer.questions.options import CompareOptions
from analyzer.questions.rates import rate_change
from analyzer.questions.report import Report, Scope, build_report, select_scope
from analyzer.table import A_TO_B, BOUNDS, COUNT, MS, MS_CHANGE, RATIO, RATIO_CHANGE, TEXT, TIME, Column, Table
from analyzer.times import add_clamped

FELL, ROSE, BY_CHANCE = "fell", "rose", "no more than chance explains"
TOO_FEW = "not enough sessions to tell"
"""Whether the hit rate has changed at all."""


def _bounded(name: str, unit: str, description: str) -> tuple[Column, Column, Column]:
    """Return the headings of a value and of the bounds it lies between."""
    return (
        Column(name, unit, description, read_with=BOUNDS),
        Column(f"{name}_low", unit, "with 95 % confidence it is no lower; sessions are what is drawn"),
        Column(f"{name}_high", unit, "and no higher"),
    )


def _a_to_b(name: str, unit: str, description: str) -> tuple[Column, Column]:
    """Return the headings of a value in A and in B."""
    return (
        Column(f"{name}_a", unit, f"{description} in A", read_with=A_TO_B),
        Column(f"{name}_b", unit, f"{description} in B"),
    )


SIDE_COLUMNS = (
    Column("side", TEXT, "what is compared"),
    Column("sessions", COUNT, "its runs"),
    Column("lookups", COUNT, "its lookups"),
    *_bounded("hit_rate", RATIO, "hits / lookups"),
    Column("remote_hit_rate", RATIO, "lookups with a REMOTE HIT / lookups with any REMOTE event"),
    Column("time_saved_ms", MS, "what its hits saved, where the duration is known"),
    Column("time_lost_ms", MS, "what the tasks of its misses took, where that is known or imputed"),
    Column("first_at", TIME, "time of its first lookup", detail=True),
    Column("last_at", TIME, "time of its last lookup", detail=True),
)

CHANGE_COLUMNS = (
    *_bounded("hit_rate_change", RATIO_CHANGE, "the hit rate of B less that of A"),
    *_bounded("remote_hit_rate_change", RATIO_CHANGE, "the remote hit rate of B less that of A"),
    Column("time_saved_change_ms", MS_CHANGE, "time saved of B less that of A"),
    Column("time_lost_change_ms", MS_CHANGE, "time lost of B less that of A"),
    Column("change", TEXT, "whether the hit rate has changed at all"),
    Column("change_began", TEXT, "the day (UTC) from which on the hit rate is another one, where one stands out"),
)

EFFECT_COLUMNS = (
    Column("by", TEXT, "the dimension"),
    Column("hit_rate_change", RATIO_CHANGE, "the hit rate of B less that of A"),
    Column("rate_effect", RATIO_CHANGE, "what the groups' own hit rates changed"),
    Column("mix_effect", RATIO_CHANGE, "what their shares of the lookups changed"),
    Column("groups", COUNT, "groups on either side"),
)

GROUP_COLUMNS = (
    *_a_to_b("hit_rate", RATIO, "its hit rate"),
    Column("rate_effect", RATIO_CHANGE, "what it adds to the change of the hit rate through its own"),
    Column("mix_effect", RATIO_CHANGE, "what it adds through its share of the lookups"),
    *_a_to_b("lookups", COUNT, "its lookups"),
    Column("effect", RATIO_CHANGE, "both effects"),
)


def comparison_tables(
    names: tuple[str, str], sides: tuple[SideMeasures, SideMeasures], began: date | None, limit: int
) -> list[Table]:
    """Return the tables `change`, `sides` and `effects`, and by each dimension one of its groups, such as `by_team`."""
    by = {name: effects(sides[0].groups[name], sides[1].groups[name]) for name in COMPARED}
    told = {name: found for name, found in by.items() if any(one.group is not None for one in found)}
    return [
        Table("change", CHANGE_COLUMNS, [_change_row(*sides, began)], upright=True),
        Table(
            "sides",
            SIDE_COLUMNS,
            [_side_row(name, side) for name, side in zip(names, sides, strict=True)],
            upright=True,
        ),
        Table("effects", EFFECT_COLUMNS, [_effect_row(name, found) for name, found in told.items()]),
        *(_group_table(name, found[:limit]) for name, found in told.items()),
    ]


def _side_row(name: str, side: SideMeasures) -> tuple[object, ...]:
    rate = side.rate
    times = (side.saved_ms, side.lost_ms, side.first_at, side.last_at)
    return name, rate.sessions, rate.lookups, rate.value, *rate.interval, side.remote.value, *times


def _change_row(before: SideMeasures, after: SideMeasures, began: date | None) -> tuple[object, ...]:
    rate, remote = rate_change(before.rate, after.rate), rate_change(before.remote, after.remote)
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


def _effect_row(name: str, found: Sequence[Effect]) -> tuple[object, ...]:
    rate_effect, mix_effect = sum(one.rate_effect for one in found), sum(one.mix_effect for one in found)
    return name, rate_effect + mix_effect, rate_effect, mix_effect, len(found)


def _group_table(name: str, found: Sequence[Effect]) -> Table:
    columns = (Column(name, TEXT, DIMENSIONS[name].description), *GROUP_COLUMNS)
    rows = [
        (
            *(one.group, one.rate_before, one.rate_after, one.rate_effect, one.mix_effect),
            *(one.lookups_before, one.lookups_after, one.total),
        )
        for one in found
    ]
    return Table(f"by_{name}", columns, rows)


PERIOD = timedelta(days=7)
LAST = "SELECT max(first_at) FROM {selected}"
KEEP_LOOKUPS = """
CREATE OR REPLACE TEMP TABLE side_{place} AS SELECT session_id, hash_id, kinds, first_at, events FROM {{selected}}
"""
NOTHING = "{side} has no lookups: there is nothing to compare"


def last_two_weeks(log: OpenLog, selection: Selection) -> tuple[ComparisonSide, ComparisonSide]:
    """Return the last seven days of the log, as B, and the seven before."""
    end = select_scope(log, selection).selected.rows(LAST)[0][0]
    until = add_clamped(end or datetime(1970, 1, 1), timedelta(microseconds=1))  # noqa: DTZ001  (times are naive UTC here)
    start, between = add_clamped(until, -2 * PERIOD), add_clamped(until, -PERIOD)
    return (
        ComparisonSide("A: the 7 days before", {"since": start, "until": between}),
        ComparisonSide("B: the last 7 days", {"since": between, "until": until}),
    )


def compare(
    log: Sequence[OpenLog],
    selection: Selection,
    samples: tuple[ComparisonSide, ComparisonSide] | None,
    options: CompareOptions,
) -> Report:
    """Answer `compare` for two samples of one source, or for two sources that are open: four tables.

    A source that stands on both sides is one: its events are accounted for once.

    Raises:
        UsageError: `source` or `event` is given, or a filter is given for a side and for both.
    """
    if len({one.view for one in log}) > 1:
        raise UsageError("one side has events and the other run summaries only; compare like with like")
    pair = samples or last_two_weeks(log[0], selection)
    asked = [
        _measure_sample(source, selection, sample, place)
        for place, (source, sample) in enumerate(zip((log[0], log[-1]), pair, strict=True))
    ]
    before, after = (side for _, side in asked)
    places = [(0, 1)] if log[0] is log[-1] else [(0,), (1,)]
    kept = [_kept(asked[of[0]][0], of) for of in places]
    periods = all(sample.is_period for sample in pair)
    began = change_point(daily_rates(kept[0].selected)) if periods and len(kept) == 1 else None
    tables = comparison_tables((pair[0].name, pair[1].name), (before, after), began, options.limit)
    notes = [NOTHING.format(side=s.name) for s, (_, side) in zip(pair, asked, strict=True) if not side.rate.lookups]
    cut = Message(f"{options.limit:,} groups shown of each dimension (", Option("limit"), ")")
    notes += [cut] if _is_cut(before, after, options.limit) else []
    if len(kept) == 1:
        notes += unknown_name_notes(log[0], asked[1][0].selection)
    reports = [build_report("compare", one, tables, tables[0], notes if one is kept[0] else ()) for one in kept]
    said = dict.fromkeys(note for one in reports for note in one.notes)
    accounting = sum((one.accounting for one in reports[1:]), reports[0].accounting)
    return replace(reports[0], accounting=accounting, notes=list(said))


def _measure_sample(
    log: OpenLog, selection: Selection, sample: ComparisonSide, place: int
) -> tuple[Scope, SideMeasures]:
    """Measure a side, and keep which lookups it was made of."""
    asked = select_scope(log, narrowed(selection, sample), needs_both_for="compare")
    side = measure_side(asked.selected)
    asked.selected.execute(KEEP_LOOKUPS.format(place=place))
    return asked, side


def narrowed(selection: Selection, sample: ComparisonSide) -> Selection:
    """Return the filters of both: a side never has more than --since, --until and the others let through."""
    filters = dict(sample.filters)
    for name, narrower in (("since", max), ("until", min)):
        both = [moment for moment in (getattr(selection, name), filters.pop(name, None)) if moment]
        filters |= {name: narrower(both)} if both else {}
    for name in filters.keys() - {"since", "until"}:
        if getattr(selection, name) not in ((), None):
            raise UsageError(f"{sample.name}: ", Option(name), " is given for both sides; leave out one of the two")
    return replace(selection, **filters)


def _kept(asked: Scope, places: Sequence[int]) -> Scope:
    """Ask about the lookups of the sides at these places, which were measured of one source, each once."""
    tables = [f"FROM side_{place}" for place in places]
    sql = f"SELECT DISTINCT * FROM ({' UNION ALL '.join(tables)})"
    return replace(asked, selected=replace(asked.selected, sql=sql))


def _is_cut(before: SideMeasures, after: SideMeasures, limit: int) -> bool:
    return any(len(before.groups[name].keys() | after.groups[name].keys()) > limit for name in before.groups)
