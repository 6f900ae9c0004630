"""The answer at the top: three numbers in plain words, and what changed against the period before."""

from dataclasses import replace
from datetime import datetime, timedelta

from analyzer.archive.opening import Opened
from analyzer.archive.selection import Selection
from analyzer.metrics.misses import summary
from analyzer.metrics.stats import Grouping, totals
from analyzer.report.compare import Sample, compare, last_two_weeks
from analyzer.report.page.question import Parts, Subject
from analyzer.section import Headline, Section, Words
from analyzer.table import COUNT, MS, MS_CHANGE, RATIO, RATIO_CHANGE, Table

BEFORE = "SELECT count(*) FROM lookup WHERE first_at < $since"
LAST = "SELECT max(last_at) FROM {selected}"


def headlines(subject: Subject) -> list[Headline]:
    """Return the three numbers: hit rate, time saved, and time lost that was avoidable. Misses are classed already."""
    selected = subject.asked.selected
    found = _row(totals(selected, Grouping()))
    missed = _row(summary(selected))
    rate = Words("Of {} lookups the cache answered {}; turbo calls them cached of total.",
                 [(found["lookups"], COUNT), (found["hits"], COUNT)])  # fmt: skip
    if not found["lookups"]:
        rate = Words("There are no lookups to tell it of.")
    saved = Words("Serial task time that hits spared; {} of them have a known duration.",
                  [(found["duration_coverage"], RATIO)])  # fmt: skip
    lost = Words("Tasks that ran again though their artifact had been made before; {} of all misses' time is known.",
                 [(missed["imputed_coverage"], RATIO)])  # fmt: skip
    nothing_known = found["hits"] and not found["duration_coverage"]
    if nothing_known:
        saved = Words("No hit has a known duration: the server does not return it, so it cannot be told.")
    unknown = missed["misses"] and not missed["imputed_coverage"]
    if unknown:
        lost = Words("No miss has a duration that is known or can be imputed, so it cannot be told.")
    return [
        Headline("Hit rate", found["hit_rate"], RATIO, rate),
        Headline("Time saved", None if nothing_known else found["time_saved_ms"], MS, saved),
        Headline("Avoidable time", None if unknown else missed["avoidable_time_ms"], MS, lost),
    ]


def _row(table: Table) -> dict[str, object]:
    return {column.name: value for column, value in zip(table.columns, table.rows[0], strict=True)}


def changed(subject: Subject) -> Parts:
    """Give the section of what changed against the previous equal period, where the log has both."""
    opened, selection = subject.asked.opened, subject.asked.selection
    if selection.chooses_events:
        return
    pair = _periods(opened, selection)
    whole = replace(selection, since=None, until=None)
    report = compare([opened], whole, pair, limit=5)
    change, sides = (_row(table) for table in report.tables[:2]), report.tables[1]
    found = next(change)
    if found["hit_rate_change"] is None:
        return
    text = "{}, against {}: the hit rate changed by {} ({}), time saved by {}."
    values = [(pair[1].name, ""), (pair[0].name, ""), (found["hit_rate_change"], RATIO_CHANGE), (found["change"], ""),
              (found["time_saved_change_ms"], MS_CHANGE)]  # fmt: skip
    yield Section("What changed", [Words(text, values)], sides.name), sides


def _periods(opened: Opened, selection: Selection) -> tuple[Sample, Sample]:
    """Return the period that is asked for and the equal one before; else the last 7 days and the 7 before."""
    since, until = selection.since, selection.until
    if since is None or not opened.connection.execute(BEFORE, {"since": since}).fetchall()[0][0]:
        return last_two_weeks(opened, selection)
    end = until or opened.connection.execute("SELECT max(first_at) FROM lookup").fetchall()[0][0]
    end = max(end + (timedelta(0) if until else timedelta(microseconds=1)), since)
    start = since - (end - since)
    return _sample("Before", start, since), _sample("This period", since, end)


def _sample(name: str, since: datetime, until: datetime) -> Sample:
    return Sample(f"{name} ({since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC)", {"since": since, "until": until})
