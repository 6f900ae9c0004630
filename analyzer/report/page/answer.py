"""The answer at the top: three numbers in plain words. Where one cannot be known, why."""

from typing import Any

from analyzer.metrics.misses import by_class, summary
from analyzer.metrics.stats import Grouping, totals
from analyzer.report.page.question import Row, Subject, row_of
from analyzer.section import Headline, Words
from analyzer.table import COUNT, MS, RATIO

LABELS = {"Hit rate": RATIO, "Time saved": MS, "Avoidable time": MS}
NO_LOOKUPS = Words("There are no lookups.")
UNTOLD = ("untimed", "unknown_cold")
"""The classes of misses of which it cannot be said whether the artifact had been made before."""


def headlines(subject: Subject) -> list[Headline]:
    """Return the three numbers: hit rate, time saved, and time lost that was avoidable. Misses are classed already."""
    selected = subject.asked.selected
    found = row_of(totals(selected, Grouping()))
    if not found["lookups"]:
        return [Headline(label, None, unit, NO_LOOKUPS) for label, unit in LABELS.items()]
    text = "The cache answered {} of {} lookups; turbo calls them cached of total."
    rate = Words(text, [(found["hits"], COUNT), (found["lookups"], COUNT)])
    misses = {name: count for name, count, *_ in by_class(selected).rows}
    numbers = ((found["hit_rate"], rate), _saved(found), _avoidable(row_of(summary(selected)), misses))
    labelled = zip(LABELS.items(), numbers, strict=True)
    return [Headline(label, value, unit, words) for (label, unit), (value, words) in labelled]


def _saved(found: Row) -> tuple[Any, Words]:
    if not found["hits"]:
        return 0, Words("No lookup was a hit.")
    if not found["duration_coverage"]:
        return None, Words("No hit has a known duration: the server does not return it, so it cannot be told.")
    text = "Serial task time that hits spared; {} of them have a known duration."
    return found["time_saved_ms"], Words(text, [(found["duration_coverage"], RATIO)])


def _avoidable(missed: Row, misses: dict[str, int]) -> tuple[Any, Words]:
    """Return avoidable time by the totals of misses, and by how many there are of each class."""
    untold = sum(misses.get(name, 0) for name in UNTOLD)
    if not missed["misses"]:
        return 0, Words("Nothing missed.")
    if untold == missed["misses"]:
        return None, Words("It cannot be told of any miss: they have no time, or are too early in the log.")
    if not missed["avoidable_misses"]:
        rest = "; of {} it cannot be told" if untold else ""
        text = f"No miss is known to be of what had been made before{rest}."
        return 0, Words(text, [(untold, COUNT)] if untold else [])
    if not missed["avoidable_coverage"]:
        text = "{} misses were of what had been made before, but how long it takes is not known."
        return None, Words(text, [(missed["avoidable_misses"], COUNT)])
    text = "Tasks of {} misses ran although their artifact had been made before; how long {} of them take is known."
    return missed["avoidable_time_ms"], Words(
        text, [(missed["avoidable_misses"], COUNT), (missed["avoidable_coverage"], RATIO)]
    )
