"""What a page is about: filters, period, how much of the log, and how sound that is."""

from collections.abc import Iterator
from datetime import datetime, time

from analyzer.archive.selection import Selection
from analyzer.report.page.origin import COVERED, accounted
from analyzer.report.page.question import Subject
from analyzer.section import Words
from analyzer.table import COUNT, TIME

FILTERS = ("team", "ci", "session", "hash", "where")
SIZE = "SELECT count(*), count(DISTINCT session_id) FROM {selected}"


def about(selection: Selection) -> str:
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
        yield f"since {_moment(selection.since)}"
    if selection.until:
        yield f"until {_moment(selection.until)}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}" if moment.time() == time() else f"{moment:%Y-%m-%d %H:%M} UTC"


def scope(subject: Subject, findings: int) -> list[Words]:
    """Return sentences: how many lookups, from when, where the log's events went, and what is wrong with them."""
    selected = subject.asked.selected
    lookups, sessions = selected.ask(SIZE)[0]
    first_at, last_at = selected.ask(COVERED)[0]
    text = f"{{}} lookup{'s' * (lookups != 1)} in {{}} session{'s' * (sessions != 1)}"
    values = [(lookups, COUNT), (sessions, COUNT)]
    if first_at:
        text, values = f"{text}, from {{}} to {{}}", [*values, (first_at, TIME), (last_at, TIME)]
    told = [Words(f"{text}.", values), accounted(subject.asked)]
    if findings:
        told.append(Words("Findings that make these numbers less sure: {}, see Data quality.", [(findings, COUNT)]))
    return told
