"""The retention curve as tables: a row a policy and T, and what a longer or shorter T would change."""

from collections.abc import Iterator, Sequence

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import LookupsQuery, Selection
from analyzer.questions.miss_classes import DAY_US
from analyzer.questions.options import RetentionOptions
from analyzer.questions.report import Report, build_report, select_scope
from analyzer.questions.retention_replay import POLICIES, Observed, PolicyResult, observe, replay_policies
from analyzer.table import COUNT, FACTOR, FLAG, MS, MS_CHANGE, NUMBER, RATIO, RATIO_CHANGE, TEXT, Column, Table

DAYS = (1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90)
WEEK_US = 7 * DAY_US

OBSERVED_COLUMNS = (
    Column("remote_lookups", COUNT, "lookups that asked the remote cache at a known time"),
    Column("remote_hits", COUNT, "those with a REMOTE HIT"),
    Column("remote_hit_rate", RATIO, "the log's own: remote_hits / remote_lookups"),
)

CURVE_COLUMNS = (
    Column("policy", TEXT, "absolute: kept so long after the upload; sliding: so long after the last use"),
    Column("days", NUMBER, "how long artifacts are kept"),
    Column("remote_hit_rate", RATIO, "of the lookups that ask the remote cache, if every miss is uploaded"),
    Column("hits", COUNT, "such lookups", detail=True),
    Column("time_saved_ms", MS, "what these hits save, where the duration is known or imputed", detail=True),
    Column("time_saved_a_week_ms", MS, "the same, a week of the log, where it is as long as that"),
    Column("artifacts", COUNT, "artifacts stored, on average over the log"),
    Column("extrapolated", FLAG, "longer than half of the log's time, which can show it only in part"),
)

STEP_COLUMNS = (
    Column("policy", TEXT, "absolute: kept so long after the upload; sliding: so long after the last use"),
    Column("step", TEXT, "from how long artifacts are kept to how long they would be"),
    Column("hit_rate_change", RATIO_CHANGE, "what the remote hit rate gains"),
    Column("saved_a_week_change_ms", MS_CHANGE, "what is saved besides, a week, where the log is as long as that"),
    Column("artifacts_factor", FACTOR, "how many times as many artifacts are stored"),
    Column("extrapolated", FLAG, "longer than half of the log's time, which can show it only in part"),
)

PolicyResults = dict[tuple[str, float], PolicyResult]


def retention_tables(selected: LookupsQuery, days: float) -> list[Table]:
    """Return the tables `observed`, `curve` and `steps`, the last from `days`."""
    observed = observe(selected)
    every = sorted({*DAYS, days})
    points = replay_policies(selected, observed, every) if observed else {}
    own = [(observed.lookups, observed.hits, observed.hits / observed.lookups)] if observed else []
    rows = [_row(policy, day, points, observed) for policy in POLICIES for day in every] if observed else []
    steps = list(_steps(points, observed, every, days)) if observed else []
    return [
        Table("observed", OBSERVED_COLUMNS, own, upright=True),
        Table("curve", CURVE_COLUMNS, rows),
        Table("steps", STEP_COLUMNS, steps),
    ]


def _row(policy: str, day: float, points: PolicyResults, observed: Observed) -> tuple[object, ...]:
    kept = points[policy, day]
    rate = kept.hits / observed.lookups
    saved_ms = round(kept.saved_ms, 6)
    stored = round(kept.stored_us / observed.span_us) if observed.span_us else None
    weekly_ms = _a_week(saved_ms, observed)
    return policy, day, rate, kept.hits, saved_ms, weekly_ms, stored, _is_extrapolated(day, observed)


def _steps(
    points: PolicyResults, observed: Observed, every: Sequence[float], base: float
) -> Iterator[tuple[object, ...]]:
    for policy in POLICIES:
        before = points[policy, base]
        for day in every:
            after = points[policy, day]
            if day != base:
                yield (
                    policy,
                    f"{base:g} d → {day:g} d",
                    (after.hits - before.hits) / observed.lookups,
                    _a_week(round(after.saved_ms - before.saved_ms, 6), observed),
                    after.stored_us / before.stored_us if before.stored_us else None,
                    _is_extrapolated(max(day, base), observed),
                )


def _a_week(saved_ms: float, observed: Observed) -> float | None:
    """Return what a week saves; of less than a week that cannot be told."""
    return saved_ms * WEEK_US / observed.span_us if observed.span_us >= WEEK_US else None


def _is_extrapolated(day: float, observed: Observed) -> bool:
    return day * DAY_US > observed.span_us / 2


NEVER = "no lookup asked the remote cache at a known time; a retention curve is of such lookups alone"
UPLOADED = "in the curve every miss is uploaded; uploads that never land (see misses) tell it from what is observed"


def retention(log: OpenLog, selection: Selection, options: RetentionOptions) -> Report:
    """Answer `retention`: the tables `observed`, `curve` and `steps`, the last from `days`.

    Raises:
        UsageError: `source` or `event` is given.
    """
    asked = select_scope(log, selection, needs_both_for="retention")
    observed, *others = retention_tables(asked.selected, options.retention_days)
    note = UPLOADED if observed.rows else NEVER
    return build_report("retention", asked, [observed, *others], others[0], [note])
