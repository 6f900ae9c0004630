"""Answers `compare`: how hit rates and times differ between two sides, and whether rates or the mix of lookups changed.

The difference of two hit rates is decomposed by team, CI, task and package: either groups hit more or less often than
before (rate effect), or groups with another hit rate now make more of the lookups (mix effect).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, datetime
from itertools import chain
from typing import Any

from analyzer.archive.counts import ADDED_COUNTS, by_session
from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection, count_reads, lookup_reads
from analyzer.errors import Message, Option, UsageError
from analyzer.questions.comparison_sides import Sides, last_two_weeks, narrow_selection
from analyzer.questions.dimensions import DIMENSIONS
from analyzer.questions.doctor.server import Outage, describe_outages, outages_in
from analyzer.questions.measures import HITS, TIMED_HITS, known
from analyzer.questions.miss_classes import DURATION_READS, imputed_durations
from analyzer.questions.options import DEFAULT_MAX_LOCAL_ONLY, CompareOptions
from analyzer.questions.rates import Estimate, Groups, Rate, change_point, group_effects, rate_change
from analyzer.questions.report import Report, build_report, unknown_name_notes
from analyzer.questions.scope import Gathered, Given, Rows, Scope, Step, both, select_scope
from analyzer.table import A_TO_B, BOUNDS, COUNT, MS, MS_CHANGE, RATIO, RATIO_CHANGE, TEXT, TIME, Column, Table

FELL, ROSE = "fell", "rose"
# The values of the column `change`; a change is significant if its 95 % confidence interval excludes 0.
NOT_SIGNIFICANT, TOO_FEW_SESSIONS = "no significant change", "not enough sessions to tell"


def _bounded(name: str, unit: str, description: str) -> tuple[Column, Column, Column]:
    return (
        Column(name, unit, description, read_with=BOUNDS),
        Column(f"{name}_low", unit, "lower bound of its 95 % confidence interval (over sessions)"),
        Column(f"{name}_high", unit, "upper bound of its 95 % confidence interval (over sessions)"),
    )


CHANGE_COLUMNS = (
    *_bounded("hit_rate_change", RATIO_CHANGE, "hit rate of B minus that of A"),
    *_bounded("remote_hit_rate_change", RATIO_CHANGE, "remote hit rate of B minus that of A"),
    Column("time_saved_change_ms", MS_CHANGE, "time saved in B minus that in A"),
    Column("time_lost_change_ms", MS_CHANGE, "time lost in B minus that in A"),
    Column("change", TEXT, "whether the hit rate changed significantly"),
    Column(
        "change_began",
        TEXT,
        "day (UTC) from which the hit rate differs by more than chance, if one stands out; outages do not count",
    ),
)

SIDE_COLUMNS = (
    Column("side", TEXT, "side of the comparison"),
    Column("sessions", COUNT, "sessions with a lookup"),
    Column("lookups", COUNT, "distinct (session, hash)"),
    *_bounded("hit_rate", RATIO, "hits / lookups"),
    Column("remote_hit_rate", RATIO, "lookups with a REMOTE HIT / lookups with any REMOTE event"),
    Column("local_only_misses", COUNT, "misses that never asked the remote cache: disabled, unreachable, or an outage"),
    Column("time_saved_ms", MS, "task time saved by hits, where their duration is known"),
    Column("duration_coverage", RATIO, "hits with a known duration / hits"),
    Column("time_lost_ms", MS, "task time of misses, where their duration is known or imputed"),
    Column("imputed_coverage", RATIO, "misses with known or imputed time / misses"),
    Column("days", COUNT, "days (UTC) with lookups"),
    Column("first_at", TIME, "time of its first lookup", detail=True),
    Column("last_at", TIME, "time of its last lookup", detail=True),
)

EFFECT_COLUMNS = (
    Column("by", TEXT, "dimension that lookups are grouped by"),
    Column("hit_rate_change", RATIO_CHANGE, "hit rate of B minus that of A"),
    Column(
        "rate_effect", RATIO_CHANGE, "part due to changed hit rates of groups on both sides; null if there are none"
    ),
    Column("mix_effect", RATIO_CHANGE, "part due to changed shares of the groups in all lookups"),
    Column("groups", COUNT, "groups on either side"),
)

GROUP_COLUMNS = (
    Column("hit_rate_a", RATIO, "hit rate of the group in A", read_with=A_TO_B),
    Column("hit_rate_b", RATIO, "hit rate of the group in B"),
    Column("rate_effect", RATIO_CHANGE, "its part in the hit rate change due to its own hit rate"),
    Column("mix_effect", RATIO_CHANGE, "its part in the hit rate change due to its share of the lookups"),
    Column("lookups_a", COUNT, "lookups of the group in A", read_with=A_TO_B),
    Column("lookups_b", COUNT, "lookups of the group in B"),
    Column("effect", RATIO_CHANGE, "sum of both effects"),
)

COMPARED_DIMENSIONS = ("task", "package", "ci", "team")


@dataclass(frozen=True, slots=True)
class SideTotals:
    """The measures of one side that ready counts answer."""

    rate: Rate
    remote_rate: Rate
    local_only_misses: int
    days: int
    first_at: datetime | None
    last_at: datetime | None
    time_saved_ms: float | None
    duration_coverage: float | None


@dataclass(frozen=True, slots=True)
class SideMeasures(SideTotals):
    """All measures of one side; `groups` has the lookups and hits of each group, by dimension."""

    time_lost_ms: float | None
    imputed_coverage: float | None
    groups: Mapping[str, Groups]


def _rate_struct(lookups: str, hits: str) -> str:
    """Return the SQL of a struct with the fields of `Rate`, aggregated over rows of one session each."""
    return f"""{{
        'sessions': count(*) FILTER ({lookups} > 0),
        'lookups': coalesce(sum({lookups}), 0)::BIGINT, 'hits': coalesce(sum({hits}), 0)::BIGINT,
        'lookups_squared': coalesce(sum({lookups} * {lookups}), 0)::DOUBLE,
        'lookups_times_hits': coalesce(sum({lookups} * {hits}), 0)::DOUBLE,
        'hits_squared': coalesce(sum({hits} * {hits}), 0)::DOUBLE}}"""


RATES = f"""
SELECT {_rate_struct("lookups", "hits")}, {_rate_struct("remote_lookups", "remote_hits")},
       coalesce(sum(local_only_misses), 0)::BIGINT
FROM (SELECT lookups, local_hits + remote_hits AS hits, asked_remote AS remote_lookups, had_remote_hit AS remote_hits,
             local_only_misses
      FROM {by_session()})
"""

DAILY_RATES = f"""
SELECT day, {_rate_struct("lookups", "hits")}
FROM (SELECT day, lookups, local_hits + remote_hits AS hits FROM {by_session("quarter_at::DATE AS day")})
WHERE day IS NOT NULL GROUP BY day
"""

DAYS = f"SELECT quarter_at::DATE AS day, {ADDED_COUNTS} FROM {{counted}} GROUP BY day"
TIMES = f"""
SELECT count(DISTINCT day), min(first_at), max(last_lookup_at), {known("sum(time_saved_ms)::DOUBLE")},
       {TIMED_HITS} / nullif({HITS}, 0)
FROM {{parts}}
"""

TIME_LOST = """
SELECT fsum(d.duration_ms) AS lost_ms, count(*) AS misses, count(d.duration_ms) AS known
FROM (SELECT hash_id FROM {selected} WHERE is_miss(kinds)) LEFT JOIN {durations} d USING (hash_id)
"""
MERGED_TIME_LOST = "SELECT known_sum(lost_ms, misses > 0), sum(known) / nullif(sum(misses), 0) FROM {parts}"

GROUPS = """
SELECT {key} AS key, sum(lookups)::BIGINT AS lookups, sum(local_hits + remote_hits)::BIGINT AS hits
FROM {{counted}} AS x GROUP BY key
"""
MERGED_GROUPS = "SELECT key, sum(lookups)::BIGINT, sum(hits)::BIGINT FROM {parts} GROUP BY key ORDER BY key"


def measure_rates(scope: Scope) -> tuple[Rate, Rate, int]:
    """Return the hit rate, the remote hit rate and the number of local-only misses of the selected lookups."""
    step = Step("session_id", _count_totals, count_reads(scope.selection, scope.cuts))
    return _merge_rates(scope.gather([step]))


def _merge_rates(gathered: Gathered) -> tuple[Rate, Rate, int]:
    rates, remote_rates, local_only_misses = zip(*gathered.rows("rates"), strict=True)
    return _add_rates(rates), _add_rates(remote_rates), sum(local_only_misses)


def _add_rates(parts: Iterable[Mapping[str, Any]]) -> Rate:
    return sum((Rate(**part) for part in parts), Rate())


def measure_totals(scope: Scope) -> SideTotals:
    """Return the totals of the selected lookups."""
    gathered = scope.gather([Step("session_id", _count_totals, count_reads(scope.selection, scope.cuts))])
    return SideTotals(*_merge_rates(gathered), *gathered.rows("days", TIMES)[0])


def _count_totals(scope: Scope, _passed: Mapping[str, Rows]) -> Given:
    return Given({"rates": Rows(scope.selected, RATES), "days": Rows(scope.selected, DAYS)})


def measure_side(scope: Scope) -> SideMeasures:
    """Return the measures of the selected lookups."""
    lookups, counts = lookup_reads(scope.selection), count_reads(scope.selection, scope.cuts)
    lost = scope.gather([Step("hash_id", _time_lost, lookups | DURATION_READS)])
    ((lost_ms, lost_coverage),) = lost.rows("lost", MERGED_TIME_LOST)
    # All lookups are read once, for the dimensions that need each.
    sessions = scope.gather([Step("session_id", _count_side, counts | lookups)])
    groups = {
        name: {group: (lookups, hits) for group, lookups, hits in sessions.rows(name, MERGED_GROUPS)}
        for name in COMPARED_DIMENSIONS
    }
    totals = SideTotals(*_merge_rates(sessions), *sessions.rows("days", TIMES)[0])
    values = {field.name: getattr(totals, field.name) for field in fields(totals)}
    return SideMeasures(**values, time_lost_ms=lost_ms, imputed_coverage=lost_coverage, groups=groups)


def _time_lost(scope: Scope, _passed: Mapping[str, Rows]) -> Given:
    sql = TIME_LOST.replace("{durations}", imputed_durations(scope.log))
    return Given({"lost": Rows(scope.selected, sql)})


def _count_side(scope: Scope, passed: Mapping[str, Rows]) -> Given:
    given = dict(_count_totals(scope, passed).rows)
    for name in COMPARED_DIMENSIONS:
        dimension = DIMENSIONS[name]
        selected = scope.selected.by_lookup() if dimension.by_lookup else scope.selected
        given[name] = Rows(selected, GROUPS.format(key=dimension.key))
    return Given(given)


def _count_days(scope: Scope, _passed: Mapping[str, Rows]) -> Given:
    return Given({"days": Rows(scope.selected, DAILY_RATES)})


def find_change_point(scope: Scope, outages: Sequence[Outage], change: float | None = None) -> date | None:
    """Return the day (UTC) from which the hit rate differs most from the days before; None if none stands out.

    With a `change`, it is a day from which the rate differs in that direction. Days of `outages` are left out, and no
    change begins right after one: it may have begun in the days left out.
    """
    reads = count_reads(scope.selection, scope.cuts, scope.other)
    days = defaultdict[date, Rate](Rate)
    for day, rate in scope.gather([Step("session_id", _count_days, reads)]).rows("days"):
        days[day] += Rate(**rate)
    spans = [(outage.since.date(), outage.until.date()) for outage in outages]
    left_out = {day for day in days for since, until in spans if since <= day <= until}
    kept = [day for day in sorted(days) if day not in left_out]
    began = change_point([(day, days[day]) for day in kept], change)
    before = max((day for day in days if began and day < began), default=None)
    return None if before in left_out else began


def comparison_tables(
    names: tuple[str, str], measures: tuple[SideMeasures, SideMeasures], began: date | None, limit: int
) -> list[Table]:
    """Return the tables `change`, `sides`, `effects`, and one of groups for each dimension, such as `by_team`."""
    a, b = measures
    effects = {name: group_effects(a.groups[name], b.groups[name]) for name in COMPARED_DIMENSIONS}
    # Dimensions without a value, such as tasks where no run summary names them, are left out.
    effects = {name: groups for name, groups in effects.items() if any(one["group"] is not None for one in groups)}
    sides = [_side_record(name, side) for name, side in zip(names, measures, strict=True)]
    return [
        Table.from_records("change", CHANGE_COLUMNS, [_change_record(a, b, began)], upright=True),
        Table.from_records("sides", SIDE_COLUMNS, sides, upright=True),
        Table.from_records("effects", EFFECT_COLUMNS, [_effect_record(*item) for item in effects.items()]),
        *(_group_table(name, groups[:limit]) for name, groups in effects.items()),
    ]


def _bounds_record(name: str, estimate: Estimate) -> dict[str, object]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _side_record(name: str, side: SideMeasures) -> dict[str, object]:
    rates = _bounds_record("hit_rate", side.rate.estimate) | {"remote_hit_rate": side.remote_rate.value}
    return {"side": name} | asdict(side) | asdict(side.rate) | rates


def _change_record(a: SideMeasures, b: SideMeasures, began: date | None) -> dict[str, object]:
    change = rate_change(a.rate, b.rate)
    return {
        **_bounds_record("hit_rate_change", change),
        **_bounds_record("remote_hit_rate_change", rate_change(a.remote_rate, b.remote_rate)),
        "time_saved_change_ms": _time_change(a, b, "time_saved_ms"),
        "time_lost_change_ms": _time_change(a, b, "time_lost_ms"),
        "change": _verdict(change),
        "change_began": began.isoformat() if began else None,
    }


def _time_change(a: SideMeasures, b: SideMeasures, name: str) -> float | None:
    """Return the difference of a time; None if it is unknown, or a side has no lookups."""
    times: list[float | None] = [getattr(side, name) if side.rate.lookups else None for side in (a, b)]
    before, after = times
    return None if before is None or after is None else round(after - before, 6)


def _verdict(change: Estimate) -> str:
    if change.low is None or change.high is None:
        return TOO_FEW_SESSIONS
    if change.low <= 0 <= change.high:
        return NOT_SIGNIFICANT
    return FELL if change.high < 0 else ROSE


def _effect_record(dimension: str, groups: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    rate_effects = [group["rate_effect"] for group in groups if group["rate_effect"] is not None]
    return {
        "by": dimension, "hit_rate_change": sum(group["effect"] for group in groups), "groups": len(groups),
        # Undefined, not 0, where the sides have no group in common.
        "rate_effect": sum(rate_effects) if rate_effects else None,
        "mix_effect": sum(group["mix_effect"] for group in groups),
    }  # fmt: skip


def _group_table(dimension: str, groups: Sequence[Mapping[str, Any]]) -> Table:
    columns = (Column(dimension, TEXT, DIMENSIONS[dimension].description), *GROUP_COLUMNS)
    return Table.from_records(f"by_{dimension}", columns, [{**group, dimension: group["group"]} for group in groups])


def compare(logs: Sequence[OpenLog], selection: Selection, sides: Sides | None, options: CompareOptions) -> Report:
    """Answer `compare` for two sides of one log, or for one side of each of two logs.

    Without `sides` the last 7 days of the log are compared with the 7 days before. The events of a log that is on both
    sides are counted once.
    """
    if len({log.view for log in logs}) > 1:
        raise UsageError("one side has events and the other only run summaries; compare two sources of the same kind")
    sides = sides or last_two_weeks(logs[0], selection)
    selections = [narrow_selection(selection, side) for side in sides]
    cuts = [time for one in selections for time in (one.since, one.until) if time]
    scopes = [
        select_scope(log, one, needs_both_for="compare", cuts=cuts)
        for log, one in zip((logs[0], logs[-1]), selections, strict=True)
    ]
    a, b = (measure_side(scope) for scope in scopes)
    same_log = logs[0] is logs[-1]
    counted_scopes = scopes
    if same_log:
        counted_scopes = [both(*scopes)]
    # A change has a first day only where the sides differ in time alone.
    by_time = same_log and all(side.filters and side.filters.keys() <= {"since", "until"} for side in sides)
    outages = _outages(scopes, (a, b), by_time=by_time)
    change = rate_change(a.rate, b.rate)
    has_changed = _verdict(change) in (FELL, ROSE)
    began = find_change_point(counted_scopes[0], outages, change.value) if by_time and has_changed else None
    tables = comparison_tables((sides[0].name, sides[1].name), (a, b), began, options.limit)
    cautions = [*_cautions(sides, (a, b)), *describe_outages(outages)]
    notes = [*_notes(sides, (a, b), options.limit), *cautions]
    notes += unknown_name_notes(logs[0], scopes[1].selection) if same_log else []
    reports = [build_report("compare", scope, tables, notes=notes) for scope in counted_scopes]
    accounting = sum((report.accounting for report in reports[1:]), reports[0].accounting)
    unique_notes = list(dict.fromkeys(note for report in reports for note in report.notes))
    return replace(
        reports[0], accounting=accounting, notes=unique_notes, facts={**reports[0].facts, "cautions": cautions}
    )  # fmt: skip


def _cautions(sides: Sides, measures: Sequence[SideMeasures]) -> list[str]:
    """Return why the sides may differ although the cache did not change: missing days, or lookups that it never got."""
    a, b = measures
    cautions = []
    if a.rate.lookups and b.rate.lookups and min(a.days, b.days) * 2 <= max(a.days, b.days):
        days = f"{a.days:,} in {sides[0].name}, but {b.days:,} in {sides[1].name}"
        cautions.append(f"compare with care: the number of days with lookups is {days}")
    for side, measured in zip(sides, measures, strict=True):
        misses, local_only = measured.rate.lookups - measured.rate.hits, measured.local_only_misses
        if local_only > misses * DEFAULT_MAX_LOCAL_ONLY:
            cautions.append(f"{side.name}: {local_only:,} of {misses:,} misses never asked the remote cache")
    return cautions


def _outages(scopes: Sequence[Scope], measures: Sequence[SideMeasures], *, by_time: bool) -> list[Outage]:
    """Return the outages on each side; sides that differ in time alone share one search for them."""
    periods = [(measured.first_at, measured.last_at) for measured in measures]
    if by_time:
        return outages_in(scopes[0].log, scopes[0].selection, periods)
    sides = [outages_in(scope.log, scope.selection, [period]) for scope, period in zip(scopes, periods, strict=True)]
    return list(dict.fromkeys(chain(*sides)))


def _notes(sides: Sides, measures: tuple[SideMeasures, SideMeasures], limit: int) -> list[str]:
    empty = [side.name for side, measured in zip(sides, measures, strict=True) if not measured.rate.lookups]
    notes: list[str] = [f"{name} has no lookups, so there is nothing to compare" for name in empty]
    a, b = measures
    if any(len(a.groups[name].keys() | b.groups[name].keys()) > limit for name in a.groups):
        notes.append(Message(f"{limit:,} groups shown of each dimension (", Option("limit"), ")"))
    return notes
