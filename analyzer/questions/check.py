"""Answers `check`: compares measures of a log with thresholds, for use in CI."""

from collections.abc import Iterator
from math import isclose

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection
from analyzer.errors import UsageError
from analyzer.questions.baseline import baseline_notes
from analyzer.questions.compare import SideTotals, measure_rates, measure_totals
from analyzer.questions.comparison_sides import last_two_weeks, narrow_selection
from analyzer.questions.doctor.server import outage_notes
from analyzer.questions.options import CheckOptions
from analyzer.questions.rates import rate_change
from analyzer.questions.report import Report, build_report, unknown_name_notes
from analyzer.questions.scope import select_scope
from analyzer.table import BY_ROW, COUNT, MS, RATIO, RATIO_CHANGE, TEXT, Column, Table

LOCAL_ONLY = "local_only_misses"
OK, FAILED, NOT_ENOUGH_DATA = "ok", "failed", "not enough data"

COLUMNS = (
    Column("check", TEXT, "measure that is checked"),
    Column("verdict", TEXT, "ok, failed, or not enough data"),
    Column("found", BY_ROW, "value of the measure"),
    Column("wanted", BY_ROW, "threshold: the minimum of the measure, of local-only misses the maximum"),
    Column("lookups", COUNT, "lookups behind `found`: of a drop, the smaller side's; of local-only misses, all misses"),
    Column("unit", TEXT, "unit of `found` and `wanted`", detail=True),
)


def check(log: OpenLog, selection: Selection, options: CheckOptions) -> Report:
    """Answer `check`: the table `checks`, a row per threshold."""
    scope = select_scope(log, selection, needs_both_for="check")
    whole = measure_totals(scope)
    names_are_known = log.counts().read and log.view == "events"  # run summaries alone have no team
    if names_are_known and not whole.rate.lookups and (unknown := unknown_name_notes(log, scope.selection)):
        raise UsageError(f"nothing to check: {'; '.join(unknown)}")
    rows = list(_rows(options, whole, *_hit_rate_change(log, selection, options, whole)))
    notes = list(outage_notes(log, selection, [(whole.first_at, whole.last_at)]))
    if options.baseline:
        notes += baseline_notes(options.baseline, log, selection)
    return build_report("check", scope, [Table("checks", COLUMNS, rows)], notes=notes)


def _hit_rate_change(
    log: OpenLog, selection: Selection, options: CheckOptions, whole: SideTotals
) -> tuple[float | None, int]:
    """Return the change from the baseline, or of the last 7 days, and the lookups of the side that has fewer."""
    if baseline := options.baseline:
        rate = whole.rate.value
        return None if rate is None else rate - baseline.hit_rate, min(baseline.lookups, whole.rate.lookups)
    if not options.compares_weeks:
        return None, 0
    before, after = (
        measure_rates(select_scope(log, narrow_selection(selection, week)))[0]
        for week in last_two_weeks(log, selection)
    )
    return rate_change(before, after).value, min(before.lookups, after.lookups)


def _rows(
    options: CheckOptions, whole: SideTotals, change: float | None, compared_lookups: int
) -> Iterator[tuple[object, ...]]:
    lookups, misses = whole.rate.lookups, whole.rate.lookups - whole.rate.hits
    min_change = None if options.drop_limit is None else -options.drop_limit
    for name, unit, value, threshold, count in (
        ("hit_rate", RATIO, whole.rate.value, options.min_hit_rate, lookups),
        ("remote_hit_rate", RATIO, whole.remote_rate.value, options.min_remote_hit_rate, whole.remote_rate.lookups),
        # The remote hit rate of the few lookups that asked says nothing about a cache that most misses did not ask.
        (LOCAL_ONLY, RATIO, whole.local_only_misses / misses if misses else None, options.local_only_limit, misses),
        ("time_saved", MS, whole.time_saved_ms, options.min_time_saved_ms, lookups),
        ("hit_rate_change", RATIO_CHANGE, change, min_change, compared_lookups),
    ):
        if threshold is None:
            continue
        verdict = NOT_ENOUGH_DATA
        if value is not None and count >= max(options.min_lookups, 1):
            verdict = OK if _reaches(value, threshold, is_maximum=name == LOCAL_ONLY) else FAILED
        yield name, verdict, value, threshold, count, unit


def _reaches(value: float, threshold: float, *, is_maximum: bool) -> bool:
    # 0.9 - 0.85 is a little more than 0.05 in binary fractions: rounding must not put a value beyond its threshold.
    is_equal = isclose(value, threshold, rel_tol=1e-9, abs_tol=1e-12)
    return is_equal or (value < threshold if is_maximum else value > threshold)
