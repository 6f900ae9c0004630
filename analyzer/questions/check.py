"""Answers `check`: compares measures of a log with thresholds, for use in CI."""

from collections.abc import Iterator
from math import isclose

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection
from analyzer.questions.compare import SideMeasures, measure_rates, measure_side
from analyzer.questions.comparison_sides import last_two_weeks, narrow_selection
from analyzer.questions.options import CheckOptions
from analyzer.questions.rates import Rate, rate_change
from analyzer.questions.report import Report, build_report, select_scope
from analyzer.table import BY_ROW, COUNT, MS, RATIO, RATIO_CHANGE, TEXT, Column, Table

OK, FAILED, NOT_ENOUGH_DATA = "ok", "failed", "not enough data"

COLUMNS = (
    Column("check", TEXT, "measure that is checked"),
    Column("verdict", TEXT, "ok, failed, or not enough data"),
    Column("found", BY_ROW, "value of the measure"),
    Column("wanted", BY_ROW, "threshold: the minimum of the measure"),
    Column("lookups", COUNT, "lookups behind `found`: of a drop, the smaller week's; misses, where none were remote"),
    Column("unit", TEXT, "unit of `found` and `wanted`", detail=True),
)


def check(log: OpenLog, selection: Selection, options: CheckOptions) -> Report:
    """Answer `check`: the table `checks`, a row per threshold; a drop compares the last 7 days with the 7 before."""
    scope = select_scope(log, selection, needs_both_for="check")
    weeks = [
        measure_rates(select_scope(log, narrow_selection(selection, week)).selected)[0]
        for week in last_two_weeks(log, selection)
    ]
    rows = list(_rows(options, measure_side(scope), *weeks))
    return build_report("check", scope, [Table("checks", COLUMNS, rows)])


def _rows(options: CheckOptions, whole: SideMeasures, before: Rate, after: Rate) -> Iterator[tuple[object, ...]]:
    lookups, remote = whole.rate.lookups, whole.remote_rate
    # A remote cache that no lookup asked has no hit rate. Misses show that it should have been asked, hits do not.
    remote_lookups = remote.lookups or lookups - whole.rate.hits
    compared_lookups = min(before.lookups, after.lookups)
    min_change = None if options.max_drop is None else -options.max_drop
    for name, unit, value, minimum, count in (
        ("hit_rate", RATIO, whole.rate.value, options.min_hit_rate, lookups),
        ("remote_hit_rate", RATIO, remote.value, options.min_remote_hit_rate, remote_lookups),
        ("time_saved", MS, whole.time_saved_ms, options.min_time_saved_ms, lookups),
        ("hit_rate_change", RATIO_CHANGE, rate_change(before, after).value, min_change, compared_lookups),
    ):
        if minimum is not None:
            verdict = _verdict(value, minimum) if count >= max(options.min_lookups, 1) else NOT_ENOUGH_DATA
            yield name, verdict, value, minimum, count, unit


def _verdict(value: float | None, minimum: float) -> str:
    # 0.9 - 0.85 is a little more than 0.05 in binary fractions: a value that rounding put below the minimum is equal.
    reached = value is not None and (value >= minimum or isclose(value, minimum, rel_tol=1e-9, abs_tol=1e-12))
    return OK if reached else FAILED
