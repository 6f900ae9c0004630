"""What changed against the period before, and whether rates changed or only the mix of lookups."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection
from analyzer.questions.compare import FELL, ROSE, compare, last_two_weeks, narrowed
from analyzer.questions.comparison_sides import ComparisonSide
from analyzer.questions.options import CompareOptions
from analyzer.questions.page.context import PageContext, Parts, Row, first_row, row_dicts
from analyzer.questions.page.trends import DIMENSION_WORDS
from analyzer.questions.report import Report, select_scope
from analyzer.table import COUNT, MS_CHANGE, RATIO, RATIO_CHANGE, TEXT, Section, Sentence
from analyzer.times import add_clamped

SPAN = "SELECT min(first_at), max(first_at) FROM lookup"
ACTIVE_DAYS = "SELECT count(DISTINCT first_at::DATE) FROM {selected}"
MISSING = 0.1
"""So much of the period before may lie before the log: a log seldom begins at midnight."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The two periods that are compared, by their names, and a sentence on why these."""

    before: ComparisonSide
    after: ComparisonSide
    why: str


def changes_section(subject: PageContext) -> Parts:
    """Give the section of what changed, where the log has both periods."""
    log, selection = subject.asked.log, subject.asked.selection
    pair = _periods(log, selection)
    whole = replace(selection, since=None, until=None)
    report = compare([log], whole, (pair.before, pair.after), CompareOptions())
    found, sides = first_row(report.tables[0]), report.tables[1]
    if found["hit_rate_change"] is None:
        return
    told = [Sentence(pair.why)] if pair.why else []
    told += [_sentence(pair, found), *_cause(report), *_thin(log, whole, pair)]
    yield Section("What changed", told, sides.name), sides


def _periods(log: OpenLog, selection: Selection) -> Pair:
    """Return the period that is asked for and the equal one before; else the last 7 days and the 7 before."""
    since, until = selection.since, selection.until
    first_at, last_at = log.connection.execute(SPAN).fetchall()[0]
    if since is None or last_at is None:
        return _weeks(log, selection, "")
    end = _end(since, until, add_clamped(last_at, timedelta(microseconds=1)))
    start = add_clamped(since, min(since - end, timedelta(0)))
    if end <= since or first_at > start + (end - since) * MISSING:
        return _weeks(log, selection, "The log has no earlier period of the same length: weeks are compared.")
    return Pair(_sample("before", start, since), _sample("this period", since, end), "")


def _end(since: datetime, until: datetime | None, over: datetime) -> datetime:
    """Return the end of the period: `until`, unless the log is over long before."""
    return until if until and until - over <= (until - since) * MISSING else over


def _weeks(log: OpenLog, selection: Selection, why: str) -> Pair:
    weeks = last_two_weeks(log, selection)
    before, after = (
        replace(one, name=name) for one, name in zip(weeks, ("the 7 days before", "the last 7 days"), strict=True)
    )
    return Pair(before, after, why)


def _sample(name: str, since: datetime, until: datetime) -> ComparisonSide:
    return ComparisonSide(name, {"since": since, "until": until})


def _sentence(pair: Pair, found: Row) -> Sentence:
    text = "{} ({}) against {} ({}): the hit rate changed by {} ({}), time saved by {}"
    values: list[tuple[Any, str]] = []
    for one in (pair.after, pair.before):
        name = one.name if values else one.name[0].upper() + one.name[1:]
        values += [(name, ""), (_dates(one), "")]
    values += [
        (found["hit_rate_change"], RATIO_CHANGE),
        (found["change"], ""),
        (found["time_saved_change_ms"], MS_CHANGE),
    ]
    if found["change_began"]:
        return Sentence(f"{text}. The change began about {{}}.", [*values, (found["change_began"], TEXT)])
    return Sentence(f"{text}.", values)


def _dates(sample: ComparisonSide) -> str:
    """Write a period; its last moment is before its end."""
    since, until = sample.filters["since"], sample.filters["until"]
    if since.time() == until.time() == datetime.min.time():
        return f"{since:%Y-%m-%d} to {until - timedelta(days=1):%Y-%m-%d}"
    return f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC"


def _cause(report: Report) -> list[Sentence]:
    """Say whether it was the rates or the mix: by the dimension of whose groups most of it can be told."""
    tables = {table.name: table for table in report.tables}
    by = row_dicts(tables["effects"])
    if not by or first_row(tables["change"])["change"] not in (FELL, ROSE):
        return []
    widest = max(reversed(by), key=lambda one: abs(one["mix_effect"]))
    mix, rate = widest["mix_effect"], widest["rate_effect"]
    if abs(mix) > abs(rate):
        text = "It is the mix of lookups more than the rates: another mix of {}s makes {}, their own rates {}."
        return [Sentence(text, [(DIMENSION_WORDS[widest["by"]], ""), (mix, RATIO_CHANGE), (rate, RATIO_CHANGE)])]
    groups = [(one["by"], first_row(tables[f"by_{one['by']}"])) for one in by]
    name, group = max(reversed(groups), key=lambda one: abs(one[1]["effect"]))
    if group[name] is None or abs(group["effect"]) < abs(widest["hit_rate_change"]) / 2:
        return []
    text = "Most of it is {} {}: {} of the change; its own rate went from {} to {}."
    rates = [(group["hit_rate_a"], RATIO), (group["hit_rate_b"], RATIO)]
    return [Sentence(text, [(DIMENSION_WORDS[name], ""), (group[name], ""), (group["effect"], RATIO_CHANGE), *rates])]


def _thin(log: OpenLog, whole: Selection, pair: Pair) -> list[Sentence]:
    """Warn where one period has lookups on far fewer days than the other: such periods are hardly alike."""
    days = {
        one.name: select_scope(log, narrowed(whole, one)).selected.rows(ACTIVE_DAYS)[0][0]
        for one in (pair.before, pair.after)
    }
    if min(days.values()) * 2 > max(days.values()):
        return []
    values = [value for name, count in days.items() for value in ((name, ""), (count, COUNT))]
    return [Sentence("Take care: days with lookups in {}: {}; in {}: {}.", values)]
