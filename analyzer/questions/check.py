"""CheckOptions that a log must keep: for CI, which fails where they are missed."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isclose

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection
from analyzer.questions.compare import last_two_weeks, narrowed
from analyzer.questions.comparison_sides import SideMeasures, measure_side
from analyzer.questions.options import CheckOptions
from analyzer.questions.rates import Rate
from analyzer.questions.report import Report, build_report, select_scope
from analyzer.table import BY_ROW, COUNT, MS, RATIO, RATIO_CHANGE, TEXT, Column, Table

OK, FAILED, UNKNOWN = "ok", "failed", "not enough data"

COLUMNS = (
    Column("check", TEXT, "what is checked"),
    Column("verdict", TEXT, "ok, failed, or not enough data to say"),
    Column("found", BY_ROW, "what the log shows"),
    Column("wanted", BY_ROW, "the threshold"),
    Column("lookups", COUNT, "what it rests on: of a drop, the fewer of both; or the misses, if none asked remotely"),
    Column("unit", TEXT, "the unit of what is found and wanted", detail=True),
)


@dataclass(frozen=True, slots=True)
class CheckedRates:
    """What is checked: everything selected, and the two weeks whose rates are compared."""

    whole: SideMeasures
    before: Rate
    after: Rate


def checks(wanted: CheckOptions, sides: CheckedRates) -> Table:
    """Return the table `checks`: a row a threshold."""
    return Table("checks", COLUMNS, list(_rows(wanted, sides)))


def _rows(wanted: CheckOptions, sides: CheckedRates) -> Iterator[tuple[object, ...]]:
    least, whole = wanted.min_lookups, sides.whole
    misses = whole.rate.lookups - whole.rate.hits
    for name, rate, limit, unasked in (
        ("hit_rate", whole.rate, wanted.min_hit_rate, 0),
        ("remote_hit_rate", whole.remote, wanted.min_remote_hit_rate, misses),
    ):
        if limit is not None:
            value, lookups = rate.value, rate.lookups or unasked
            missed = value is None or _is_below(value, limit)
            yield name, _verdict(lookups, least, missed=missed), value, limit, lookups, RATIO
    if wanted.min_time_saved_ms is not None:
        lookups, saved_ms = whole.rate.lookups, whole.saved_ms
        missed = _is_below(saved_ms, wanted.min_time_saved_ms)
        yield "time_saved", _verdict(lookups, least, missed=missed), saved_ms, wanted.min_time_saved_ms, lookups, MS
    if wanted.max_drop is not None:
        yield _drop(wanted.max_drop, least, sides)


def _drop(limit: float, least: int, sides: CheckedRates) -> tuple[object, ...]:
    before, after = sides.before.value, sides.after.value
    lookups = min(sides.before.lookups, sides.after.lookups)
    found = None if before is None or after is None else after - before
    missed = found is not None and _is_below(found, -limit)
    return "hit_rate_change", _verdict(lookups, least, missed=missed), found, -limit, lookups, RATIO_CHANGE


def _is_below(found: float, limit: float) -> bool:
    """Tell whether a number is below another by more than binary fractions are off."""
    return found < limit and not isclose(found, limit, rel_tol=1e-9, abs_tol=1e-12)


def _verdict(lookups: int, least: int, *, missed: bool) -> str:
    return UNKNOWN if lookups < max(least, 1) else FAILED if missed else OK


def check(log: OpenLog, selection: Selection, wanted: CheckOptions) -> Report:
    """Answer `check`: the table `checks`, a row a threshold; the drop is that of the last 7 days against the 7 before.

    Raises:
        UsageError: `source` or `event` is given.
    """
    before, after = (
        measure_side(select_scope(log, narrowed(selection, sample), needs_both_for="check").selected).rate
        for sample in last_two_weeks(log, selection)
    )
    asked = select_scope(log, selection)
    return build_report("check", asked, [checks(wanted, CheckedRates(measure_side(asked.selected), before, after))])
