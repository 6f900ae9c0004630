"""The answer at the top: three numbers in plain words. Where one cannot be known, why."""

from collections.abc import Iterator
from datetime import datetime, time
from typing import Any

from analyzer.archive.selection import Selection
from analyzer.questions.misses import classes_table, misses_table
from analyzer.questions.options import StatsOptions
from analyzer.questions.page.context import PageContext, Row, first_row
from analyzer.questions.page.provenance import COVERED, accounting_sentence
from analyzer.questions.stats import totals_table
from analyzer.table import COUNT, MS, RATIO, TIME, Headline, Sentence

LABELS = {"Hit rate": RATIO, "Time saved": MS, "Avoidable time": MS}
NO_LOOKUPS = Sentence("There are no lookups.")
UNDECIDED_CLASSES = ("untimed", "unknown_cold")
"""The classes of misses of which it cannot be said whether the artifact had been made before."""


def headlines(subject: PageContext) -> list[Headline]:
    """Return the three numbers: hit rate, time saved, and time lost that was avoidable. Misses are classed already."""
    selected = subject.asked.selected
    found = first_row(totals_table(selected, StatsOptions()))
    if not found["lookups"]:
        return [Headline(label, None, unit, NO_LOOKUPS) for label, unit in LABELS.items()]
    text = "The cache answered {} of {} lookups; turbo calls them cached of total."
    rate = Sentence(text, [(found["hits"], COUNT), (found["lookups"], COUNT)])
    misses = {name: count for name, count, *_ in classes_table(selected).rows}
    numbers = (
        (found["hit_rate"], rate),
        _time_saved(found),
        _avoidable_time(first_row(misses_table(selected)), misses),
    )
    labelled = zip(LABELS.items(), numbers, strict=True)
    return [Headline(label, value, unit, words) for (label, unit), (value, words) in labelled]


def _time_saved(found: Row) -> tuple[Any, Sentence]:
    if not found["hits"]:
        return 0, Sentence("No lookup was a hit.")
    if not found["duration_coverage"]:
        return None, Sentence("No hit has a known duration: the server does not return it, so it cannot be told.")
    text = "Serial task time that hits spared; {} of them have a known duration."
    return found["time_saved_ms"], Sentence(text, [(found["duration_coverage"], RATIO)])


def _avoidable_time(missed: Row, misses: dict[str, int]) -> tuple[Any, Sentence]:
    """Return avoidable time by the totals of misses, and by how many there are of each class."""
    untold = sum(misses.get(name, 0) for name in UNDECIDED_CLASSES)
    if not missed["misses"]:
        return 0, Sentence("Nothing missed.")
    if untold == missed["misses"]:
        return None, Sentence("It cannot be told of any miss: they have no time, or are too early in the log.")
    if not missed["avoidable_misses"]:
        rest = "; of {} it cannot be told" if untold else ""
        text = f"No miss is known to be of what had been made before{rest}."
        return 0, Sentence(text, [(untold, COUNT)] if untold else [])
    if not missed["avoidable_coverage"]:
        text = "{} misses were of what had been made before, but how long it takes is not known."
        return None, Sentence(text, [(missed["avoidable_misses"], COUNT)])
    text = "Tasks of {} misses ran although their artifact had been made before; how long {} of them take is known."
    return missed["avoidable_time_ms"], Sentence(
        text, [(missed["avoidable_misses"], COUNT), (missed["avoidable_coverage"], RATIO)]
    )


FILTERS = ("team", "ci", "session", "hash", "where")
SIZE = "SELECT count(*), count(DISTINCT session_id) FROM {selected}"


def describe_filters(selection: Selection) -> str:
    """Return the filters in words; empty where there are none.

    >>> about(Selection(team=["web", "data"], interactive=False))
    'team web or data, not interactive'
    """
    return ", ".join(_filters(selection))


def _filters(selection: Selection) -> Iterator[str]:
    for name in FILTERS:
        values = getattr(selection, name)
        if values:
            yield f"{name} {(' and ' if name == 'where' else ' or ').join(values)}"
    if selection.interactive is not None:
        yield "interactive" if selection.interactive else "not interactive"
    if selection.status:
        yield f"requests that were {selection.status}"
    if selection.since:
        yield f"since {_format_time(selection.since)}"
    if selection.until:
        yield f"until {_format_time(selection.until)}"


def _format_time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}" if moment.time() == time() else f"{moment:%Y-%m-%d %H:%M} UTC"


def scope_sentences(subject: PageContext, findings: int) -> list[Sentence]:
    """Return sentences: how many lookups, from when, where the log's events went, and what is wrong with them."""
    selected = subject.asked.selected
    lookups, sessions = selected.rows(SIZE)[0]
    first_at, last_at = selected.rows(COVERED)[0]
    text = f"{{}} lookup{'s' * (lookups != 1)} in {{}} session{'s' * (sessions != 1)}"
    values = [(lookups, COUNT), (sessions, COUNT)]
    if first_at:
        text, values = f"{text}, from {{}} to {{}}", [*values, (first_at, TIME), (last_at, TIME)]
    told = [Sentence(f"{text}.", values), accounting_sentence(subject.asked)]
    if findings:
        told.append(Sentence("Findings that make these numbers less sure: {}, see Data quality.", [(findings, COUNT)]))
    return told
