"""The top of the page: hit rate, time saved and avoidable time, and which lookups they are of."""

from collections.abc import Iterator, Mapping
from datetime import datetime, time
from typing import Any

from analyzer.archive.selection import Selection
from analyzer.questions.miss_classes import classified_misses
from analyzer.questions.misses import classes_table, misses_table
from analyzer.questions.options import StatsOptions
from analyzer.questions.page import PageContext
from analyzer.questions.page.provenance import COVERED, accounting_sentence
from analyzer.questions.stats import totals_table
from analyzer.table import COUNT, MS, RATIO, TIME, Headline, Sentence

UNDECIDED_CLASSES = ("untimed", "unknown_cold")
"""The classes of misses of which the log cannot tell whether they were avoidable."""

Answer = tuple[Any, Sentence]
"""The value of a headline, None where it cannot be known, and its explanation."""


def headlines(context: PageContext) -> list[Headline]:
    """Return the headlines of the page; without lookups none has a value."""
    selected = context.scope.selected
    (totals,) = totals_table(selected, StatsOptions()).records()
    if totals["lookups"]:
        relation = classified_misses(context.scope, context.options.retention_days)
        (misses,) = misses_table(selected, relation).records()
        classes = {row["class"]: row["misses"] for row in classes_table(selected, relation).records()}
        answers = (_hit_rate(totals), _time_saved(totals), _avoidable_time(misses, classes))
    else:
        answers = ((None, Sentence("There are no lookups.")),) * 3
    labels = (("Hit rate", RATIO), ("Time saved", MS), ("Avoidable time", MS))
    return [
        Headline(label, value, unit, meaning) for (label, unit), (value, meaning) in zip(labels, answers, strict=True)
    ]


def _hit_rate(totals: Mapping[str, Any]) -> Answer:
    text = "{} of {} lookups were hits (turbo prints these numbers as cached and total)."
    return totals["hit_rate"], Sentence(text, [(totals["hits"], COUNT), (totals["lookups"], COUNT)])


def _time_saved(totals: Mapping[str, Any]) -> Answer:
    if not totals["hits"]:
        return 0, Sentence("No lookup was a hit.")
    if not totals["duration_coverage"]:
        return None, Sentence("No hit has a known duration: the cache server does not return durations.")
    text = "Task time saved by cache hits (sequential, not waiting time). The duration is known for {} of the hits."
    return totals["time_saved_ms"], Sentence(text, [(totals["duration_coverage"], RATIO)])


def _avoidable_time(misses: Mapping[str, Any], classes: Mapping[str, int]) -> Answer:
    undecided = sum(classes.get(name, 0) for name in UNDECIDED_CLASSES)
    avoidable = (misses["avoidable_misses"], COUNT)
    if not misses["misses"]:
        return 0, Sentence("There are no misses.")
    if undecided == misses["misses"]:
        return None, Sentence("Unknown for every miss: they have no time, or are too close to the start of the log.")
    if not misses["avoidable_misses"]:
        return 0, Sentence("No miss is known to be avoidable; {} could not be classified.", [(undecided, COUNT)])
    if not misses["avoidable_coverage"]:
        return None, Sentence("{} misses were avoidable, but the duration of their tasks is unknown.", [avoidable])
    text = "Task time of {} misses whose artifact had been built before. The duration is known for {} of them."
    return misses["avoidable_time_ms"], Sentence(text, [avoidable, (misses["avoidable_coverage"], RATIO)])


def describe_filters(selection: Selection) -> str:
    """Return the filters in words; empty where there are none.

    >>> describe_filters(Selection(team=["web", "data"], interactive=False))
    'team web or data, not interactive'
    """
    return ", ".join(_filter_phrases(selection))


def _filter_phrases(selection: Selection) -> Iterator[str]:
    for name in ("team", "ci", "session", "hash", "where"):
        values = getattr(selection, name)
        if values:
            yield f"{name} {(' and ' if name == 'where' else ' or ').join(values)}"
    if selection.interactive is not None:
        yield "interactive" if selection.interactive else "not interactive"
    if selection.status:
        yield f"requests with status {selection.status}"
    if selection.since:
        yield f"since {_format_time(selection.since)}"
    if selection.until:
        yield f"until {_format_time(selection.until)}"


def _format_time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}" if moment.time() == time() else f"{moment:%Y-%m-%d %H:%M} UTC"


def scope_sentences(context: PageContext, findings: int) -> list[Sentence]:
    """Return sentences on the number of lookups, their period, the accounting and the findings about the log."""
    selected = context.scope.selected
    ((lookups, sessions),) = selected.rows("SELECT count(*), count(DISTINCT session_id) FROM {selected}")
    ((first_at, last_at),) = selected.rows(COVERED)
    text = f"{{}} lookup{'s' * (lookups != 1)} in {{}} session{'s' * (sessions != 1)}"
    values = [(lookups, COUNT), (sessions, COUNT)]
    if first_at:
        text, values = f"{text}, from {{}} to {{}}", [*values, (first_at, TIME), (last_at, TIME)]
    sentences = [Sentence(f"{text}.", values), accounting_sentence(context.scope)]
    if findings:
        text = f"{{}} finding{'s' * (findings != 1)} about the log may affect these numbers: see Data quality."
        sentences.append(Sentence(text, [(findings, COUNT)]))
    return sentences
