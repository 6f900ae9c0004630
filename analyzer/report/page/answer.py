"""The answer at the top: three numbers in plain words, and what changed against the period before."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from analyzer.archive.opening import Opened
from analyzer.archive.selection import Selection
from analyzer.metrics.misses import summary
from analyzer.metrics.stats import Grouping, totals
from analyzer.report.compare import Sample, compare, last_two_weeks
from analyzer.report.page.question import Parts, Subject
from analyzer.section import Headline, Section, Words
from analyzer.table import COUNT, MS, MS_CHANGE, RATIO, RATIO_CHANGE, Table

BEFORE = "SELECT count(*) FROM lookup WHERE first_at < $since"
LAST = "SELECT max(first_at) FROM lookup"


LABELS = {"Hit rate": RATIO, "Time saved": MS, "Avoidable time": MS}
NO_LOOKUPS = Words("There are no lookups to tell it of.")
Row = dict[str, Any]


def headlines(subject: Subject) -> list[Headline]:
    """Return the three numbers: hit rate, time saved, and time lost that was avoidable. Misses are classed already."""
    selected = subject.asked.selected
    found, missed = _row(totals(selected, Grouping())), _row(summary(selected))
    if not found["lookups"]:
        return [Headline(label, None, unit, NO_LOOKUPS) for label, unit in LABELS.items()]
    text = "The cache answered {} of {} lookups; turbo calls them cached of total."
    rate = Words(text, [(found["hits"], COUNT), (found["lookups"], COUNT)])
    numbers = ((found["hit_rate"], rate), _saved(found), _avoidable(missed))
    labelled = zip(LABELS.items(), numbers, strict=True)
    return [Headline(label, value, unit, words) for (label, unit), (value, words) in labelled]


def _saved(found: Row) -> tuple[Any, Words]:
    if not found["hits"]:
        return 0, Words("No lookup was a hit.")
    if not found["duration_coverage"]:
        return None, Words("No hit has a known duration: the server does not return it, so it cannot be told.")
    text = "Serial task time that hits spared; {} of them have a known duration."
    return found["time_saved_ms"], Words(text, [(found["duration_coverage"], RATIO)])


def _avoidable(missed: Row) -> tuple[Any, Words]:
    if not missed["misses"]:
        return 0, Words("Nothing missed.")
    if not missed["imputed_coverage"]:
        return None, Words("No miss has a duration that is known or can be imputed, so it cannot be told.")
    text = "Tasks that ran again though their artifact had been made before; {} of all misses' time is known."
    return missed["avoidable_time_ms"], Words(text, [(missed["imputed_coverage"], RATIO)])


def _row(table: Table) -> Row:
    return {column.name: value for column, value in zip(table.columns, table.rows[0], strict=True)}


def changed(subject: Subject) -> Parts:
    """Give the section of what changed against the previous equal period, where the log has both."""
    opened, selection = subject.asked.opened, subject.asked.selection
    if selection.chooses_events:
        return
    pair = _periods(opened, selection)
    whole = replace(selection, since=None, until=None)
    report = compare([opened], whole, pair, limit=5)
    found, sides = _row(report.tables[0]), report.tables[1]
    if found["hit_rate_change"] is None:
        return
    text = "{}, against {}: the hit rate changed by {} ({}), time saved by {}."
    names = [sample.name.removeprefix("A: ").removeprefix("B: ") for sample in pair]
    values = [
        *((names[1].capitalize(), ""), (names[0], ""), (found["hit_rate_change"], RATIO_CHANGE)),
        *((found["change"], ""), (found["time_saved_change_ms"], MS_CHANGE)),
    ]
    yield Section("What changed", [Words(text, values)], sides.name), sides


def _periods(opened: Opened, selection: Selection) -> tuple[Sample, Sample]:
    """Return the period that is asked for and the equal one before; else the last 7 days and the 7 before."""
    since, until = selection.since, selection.until
    if since is None or not opened.connection.execute(BEFORE, {"since": since}).fetchall()[0][0]:
        return last_two_weeks(opened, selection)
    end = until or opened.connection.execute(LAST).fetchall()[0][0]
    end = max(end + (timedelta(0) if until else timedelta(microseconds=1)), since)
    start = since - (end - since)
    return _sample("Before", start, since), _sample("This period", since, end)


def _sample(name: str, since: datetime, until: datetime) -> Sample:
    return Sample(f"{name} ({since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC)", {"since": since, "until": until})
