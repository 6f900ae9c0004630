"""The section on what changed against the period before, and whether rates or the mix of lookups changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection
from analyzer.questions.compare import FELL, NOT_SIGNIFICANT, ROSE, TOO_FEW_SESSIONS, compare
from analyzer.questions.comparison_sides import ComparisonSide, Sides, last_two_weeks
from analyzer.questions.options import CompareOptions
from analyzer.questions.page.trends import DIMENSION_NAMES
from analyzer.questions.scope import Scope
from analyzer.table import MS, POINTS, RATIO, RATIO_CHANGE, TEXT, Section, Sections, Sentence, Table
from analyzer.times import add_clamped

LOG_PERIOD = "SELECT (SELECT min(first_at) FROM log_period), (SELECT max(last_lookup_at) FROM log_count)"
# How much of a period may lie outside of the log: a log seldom begins or ends at midnight.
MAX_MISSING_SHARE = 0.1
WEEKS_INSTEAD = Sentence("The log has no earlier period of the same length, so the last two weeks are compared.")
CAVEATS = {NOT_SIGNIFICANT: " (not statistically significant)", TOO_FEW_SESSIONS: " (too few sessions to be sure)"}


@dataclass(frozen=True, slots=True)
class Changes:
    """How a period differs from the one before. Without `requested`, the log's last 7 days are compared."""

    periods: Sides
    requested: bool
    tables: Mapping[str, Table]
    cautions: Sequence[str]

    @property
    def change(self) -> Mapping[str, Any]:
        """The differences; those of rates are None where a period has no lookups."""
        return self.tables["change"].records()[0]

    @property
    def is_known(self) -> bool:
        """Whether both periods have lookups."""
        return self.change["hit_rate_change"] is not None

    @property
    def title(self) -> str:
        """What is compared, such as "the last 7 days against the 7 days before"."""
        before, after = self.periods
        return f"{after.name} against {before.name}"

    @property
    def sides(self) -> list[dict[str, Any]]:
        """The measures of the period before and of the period."""
        return self.tables["sides"].records()


def compare_periods(scope: Scope) -> Changes:
    """Compare the selected period with the one before it, or the last 7 days if the log does not cover both."""
    requested = _requested_periods(scope.log, scope.selection)
    periods = requested or _last_weeks(scope.log, scope.selection)
    report = compare([scope.log], replace(scope.selection, since=None, until=None), periods, CompareOptions())
    tables = {table.name: table for table in report.tables}
    return Changes(periods, requested is not None, tables, report.facts["cautions"])


def changes_section(scope: Scope, changes: Changes) -> Sections:
    """Yield the section of what changed, where both periods have lookups."""
    if not changes.is_known:
        return
    sentences = [WEEKS_INSTEAD] if scope.selection.since and not changes.requested else []
    sentences += [_periods_sentence(changes.periods), _change_sentence(changes.change)]
    sentences += cause_sentences(changes.change["change"], changes.tables)
    sentences += [Sentence("{}.", [(caution[0].upper() + caution[1:], TEXT)]) for caution in changes.cautions]
    yield Section("changes", "What changed", sentences, "sides", "Both periods", brief=True), changes.tables["sides"]


def _requested_periods(log: OpenLog, selection: Selection) -> Sides | None:
    """Return the selected period and the equally long one before it; None where the log does not cover both."""
    since, until = selection.since, selection.until
    ((first_at, last_at),) = log.connection.execute(LOG_PERIOD).fetchall()
    if since is None or last_at is None:
        return None
    end = add_clamped(last_at, timedelta(microseconds=1))
    if until and until - end <= (until - since) * MAX_MISSING_SHARE:
        end = until
    start = add_clamped(since, min(since - end, timedelta(0)))
    if end <= since or first_at > start + (end - since) * MAX_MISSING_SHARE:
        return None
    before = ComparisonSide("the period before", {"since": start, "until": since})
    return before, ComparisonSide("this period", {"since": since, "until": end})


def _last_weeks(log: OpenLog, selection: Selection) -> Sides:
    before, after = (replace(side, name=side.name.partition(": ")[2]) for side in last_two_weeks(log, selection))
    return before, after


def _periods_sentence(periods: Sides) -> Sentence:
    texts = [text for side in reversed(periods) for text in (side.name, _format_dates(side))]
    return Sentence("Compares {} ({}) with {} ({}).", [(text, TEXT) for text in texts])


def _format_dates(side: ComparisonSide) -> str:
    since, until = side.filters["since"], side.filters["until"]
    if since.time() == until.time() == datetime.min.time():
        # `until` is exclusive: the last whole day is the day before.
        return f"{since:%Y-%m-%d} to {until - timedelta(days=1):%Y-%m-%d}"
    return f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC"


def _change_sentence(change: Mapping[str, Any]) -> Sentence:
    rate, rate_values = _describe_change(change["hit_rate_change"], POINTS, smallest=0.0005)
    saved, saved_values = _describe_change(change["time_saved_change_ms"], MS, smallest=1)
    text = f"Hit rate {rate}{CAVEATS.get(change['change'], '')}; time saved {saved}."
    values = [*rate_values, *saved_values]
    if change["change_began"] is None:
        return Sentence(text, values)
    return Sentence(f"{text} The change began about {{}}.", [*values, (change["change_began"], TEXT)])


def _describe_change(change: float | None, unit: str, *, smallest: float) -> tuple[str, list[tuple[Any, str]]]:
    """Return a verb with the absolute change; below `smallest` it would be written as 0."""
    if change is None:
        return "is unknown", []
    if abs(change) < smallest:
        return "did not change", []
    return f"{'rose' if change > 0 else 'fell'} by {{}}", [(abs(change), unit)]


def cause_sentences(verdict: str, tables: Mapping[str, Table]) -> Iterator[Sentence]:
    """Yield a sentence if the mix, or one group, explains most of a significant change."""
    effects = tables["effects"].records()
    if not effects or verdict not in (FELL, ROSE):
        return
    widest = _largest(effects, "mix_effect")
    mix_effect, rate_effect = widest["mix_effect"], widest["rate_effect"] or 0
    top = _largest([{"by": one["by"], **tables[f"by_{one['by']}"].records()[0]} for one in effects], "effect")
    group = top[top["by"]]
    if abs(mix_effect) > abs(rate_effect):
        noun = DIMENSION_NAMES[widest["by"]]
        text = f"Most of the change is from the mix of {noun}s: it accounts for {{}}, their own hit rates for {{}}."
        yield Sentence(text, [(mix_effect, RATIO_CHANGE), (rate_effect, RATIO_CHANGE)])
    elif group is not None and abs(top["effect"]) >= abs(widest["hit_rate_change"]) / 2:
        text = f"Most of the change is from {DIMENSION_NAMES[top['by']]} {{}}: it accounts for {{}};"
        rates = [(top["hit_rate_a"], RATIO), (top["hit_rate_b"], RATIO)]
        values = [(group, TEXT), (top["effect"], RATIO_CHANGE), *rates]
        yield Sentence(f"{text} its own hit rate went from {{}} to {{}}.", values)


def _largest(records: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the record with the largest absolute value; of equal ones the last: teams explain more than tasks."""
    return max(reversed(records), key=lambda record: abs(record[name]))
