"""Answers `retention`: remote hit rate and time saved by how long the cache keeps artifacts."""

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection
from analyzer.questions.miss_classes import DAY_US
from analyzer.questions.options import RetentionOptions
from analyzer.questions.report import Report, build_report
from analyzer.questions.retention_replay import Observed, PolicyResult, observe, replay_policies
from analyzer.questions.scope import Scope, select_scope
from analyzer.table import COUNT, FACTOR, FLAG, MS, MS_CHANGE, NUMBER, RATIO, RATIO_CHANGE, TEXT, Column, Table

DAYS = (1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90)
WEEK_US = 7 * DAY_US
Row = tuple[object, ...]

OBSERVED_COLUMNS = (
    Column("remote_lookups", COUNT, "lookups that asked the remote cache at a known time"),
    Column("remote_hits", COUNT, "those with a REMOTE HIT"),
    Column("remote_hit_rate", RATIO, "remote_hits / remote_lookups, as in the log"),
    Column("duration_coverage", RATIO, "remote lookups with known or imputed duration / remote lookups"),
)

POLICY = Column("policy", TEXT, "absolute: artifacts are kept from their upload; sliding: from their last use")
EXTRAPOLATED = Column("extrapolated", FLAG, "longer than half of the log, which can show the effect only in part")

CURVE_COLUMNS = (
    POLICY,
    Column("days", NUMBER, "how long artifacts are kept"),
    Column("remote_hit_rate", RATIO, "hits / lookups that ask the remote cache, if every miss is uploaded"),
    Column("hits", COUNT, "lookups that would be remote hits", detail=True),
    Column("time_saved_ms", MS, "task time of these hits, where known or imputed", detail=True),
    Column("time_saved_a_week_ms", MS, "time saved per week of the log, if the log has at least a week"),
    Column("artifacts", COUNT, "artifacts stored, on average over the log"),
    EXTRAPOLATED,
)

STEP_COLUMNS = (
    POLICY,
    Column("step", TEXT, "from the present retention to another one"),
    Column("hit_rate_change", RATIO_CHANGE, "change of the remote hit rate"),
    Column("saved_a_week_change_ms", MS_CHANGE, "change of the time saved per week, if the log has at least a week"),
    Column("artifacts_factor", FACTOR, "stored artifacts as a multiple of those stored now"),
    EXTRAPOLATED,
)

NO_REMOTE_LOOKUPS = "no lookup asked the remote cache at a known time, so there is no retention curve"
ALL_UPLOADED = (
    "the curve assumes that every miss is uploaded: uploads that never arrive (see misses) make the observed rate"
    " lower, artifacts that the cache keeps longer make it higher"
)


def retention(log: OpenLog, selection: Selection, options: RetentionOptions) -> Report:
    """Answer `retention`: the tables `observed`, `curve` and `steps`."""
    scope = select_scope(log, selection, needs_both_for="retention")
    observed, curve, steps = retention_tables(scope, options.retention_days)
    note = ALL_UPLOADED if observed.rows else NO_REMOTE_LOOKUPS
    return build_report("retention", scope, [observed, curve, steps], curve, [note])


def retention_tables(scope: Scope, days: float) -> list[Table]:
    """Return the tables `observed`, `curve` and `steps`; steps start from `days`, the present retention."""
    observed = observe(scope)
    rates, curve, steps = list[Row](), list[Row](), list[Row]()
    if observed:
        results = replay_policies(scope, observed, sorted({*DAYS, days}))
        rates = [(observed.lookups, observed.hits, observed.hits / observed.lookups, observed.duration_coverage)]
        curve = [_curve_row(observed, policy, day, result) for (policy, day), result in results.items()]
        steps = [
            (policy, *_step_values(observed, days, results[policy, days], day, result))
            for (policy, day), result in results.items()
            if day != days
        ]
    return [
        Table("observed", OBSERVED_COLUMNS, rates, upright=True),
        Table("curve", CURVE_COLUMNS, curve),
        Table("steps", STEP_COLUMNS, steps),
    ]


def _curve_row(observed: Observed, policy: str, day: float, result: PolicyResult) -> Row:
    rate, saved_ms = result.hits / observed.lookups, _saved_ms(result, observed)
    artifacts = round(result.stored_us / observed.span_us) if observed.span_us else None
    weekly_ms = _per_week(saved_ms, observed)
    return policy, day, rate, result.hits, saved_ms, weekly_ms, artifacts, _is_extrapolated(day, observed)


def _step_values(observed: Observed, base: float, before: PolicyResult, day: float, after: PolicyResult) -> Row:
    rate_change = (after.hits - before.hits) / observed.lookups
    saved_ms, before_ms = _saved_ms(after, observed), _saved_ms(before, observed)
    change_ms = None if saved_ms is None or before_ms is None else round(saved_ms - before_ms, 6)
    weekly_ms = _per_week(change_ms, observed)
    factor = after.stored_us / before.stored_us if before.stored_us else None
    return f"{base:g} d → {day:g} d", rate_change, weekly_ms, factor, _is_extrapolated(max(day, base), observed)


def _saved_ms(result: PolicyResult, observed: Observed) -> float | None:
    """Return the time that the hits save; None if there are hits, but no lookup has a known duration."""
    return round(result.saved_ms, 6) if observed.duration_coverage or not result.hits else None


def _per_week(saved_ms: float | None, observed: Observed) -> float | None:
    """Return the time saved per week; None for a log of less than a week, which is too short for a weekly rate."""
    is_long_enough = observed.span_us >= WEEK_US
    return saved_ms * WEEK_US / observed.span_us if saved_ms is not None and is_long_enough else None


def _is_extrapolated(day: float, observed: Observed) -> bool:
    return day * DAY_US > observed.span_us / 2
