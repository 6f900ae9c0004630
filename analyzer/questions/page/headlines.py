"""The top of the page: what the answer is in one or two sentences, and the key figures with their change."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from analyzer.questions.compare import FELL, ROSE
from analyzer.questions.miss_classes import CLASSES
from analyzer.questions.misses import classes_table, classify, misses_table
from analyzer.questions.options import StatsOptions
from analyzer.questions.page.changes import CAVEATS, Changes
from analyzer.questions.page.misses import MAX_TOP_MISSES
from analyzer.questions.scope import Scope, select_scope
from analyzer.questions.stats import totals_table
from analyzer.table import COUNT, MS, MS_CHANGE, POINTS, RATIO, RATIO_CHANGE, TEXT, Headline, Sentence

Record = Mapping[str, Any]

# The classes of misses that may or may not have been avoidable.
UNDECIDED_CLASSES = ("untimed", "unknown_cold")
GOOD = ("Hit rate", "Time saved")  # the headlines of which more is better
MIN_COVERAGE = 0.5  # of misses: with fewer known times, the class that costs most is not known either
MIN_COVERAGE_CHANGE = 0.05  # of hits or misses: what changes a total visibly
COLD = ("cold", "unknown_cold")


@dataclass(frozen=True, slots=True)
class Figures:
    """What the headlines are made of: totals of lookups and of misses, and the classes of misses."""

    totals: Record
    misses: Record
    classes: list[dict[str, Any]]
    changes: Changes
    avoidable_change_ms: float | None

    @property
    def biggest_loss(self) -> Record:
        """The class of misses that took the most task time; the most frequent one, if most times are unknown."""
        if self.are_times_known:
            return max(self.classes, key=lambda row: row["time_lost_ms"] or 0)
        return max(self.classes, key=lambda row: row["misses"])

    @property
    def are_times_known(self) -> bool:
        """Whether the task times of most misses are known or imputed."""
        return (self.misses["imputed_coverage"] or 0) >= MIN_COVERAGE


def measure_figures(scope: Scope, retention_days: float, changes: Changes) -> Figures:
    """Return the figures of the selected lookups, and how they changed."""
    classified = classify(scope, retention_days, MAX_TOP_MISSES)
    (totals,), (misses,) = totals_table(scope, StatsOptions()).records(), misses_table(classified).records()
    change = None
    if changes.is_known:
        before, after = (_avoidable_ms(scope, retention_days, side.filters) for side in changes.periods)
        change = None if before is None or after is None else after - before
    return Figures(totals, misses, classes_table(classified).records(), changes, change)


def _avoidable_ms(scope: Scope, retention_days: float, period: Mapping[str, Any]) -> float | None:
    selection = replace(scope.selection, **period)
    (misses,) = misses_table(classify(select_scope(scope.log, selection), retention_days, 1)).records()
    known: float | None = misses["avoidable_time_ms"]
    return known


def headlines(figures: Figures, anchors: Collection[str]) -> list[Headline]:
    """Return the headlines of the page, whose sections have `anchors`; without lookups none has a value."""
    answers = [(None, Sentence("There are no lookups."))] * 4
    if figures.totals["lookups"]:
        answers = [
            _hit_rate(figures.totals), _time_saved(figures.totals), _time_lost(figures, anchors),
            _avoidable_time(figures),
        ]  # fmt: skip
    changes = figures.changes
    change = changes.change if changes.is_known else defaultdict(lambda: None)
    labels = (
        ("Hit rate", RATIO, change["hit_rate_change"], CAVEATS.get(change["change"], "")),
        ("Time saved", MS, change["time_saved_change_ms"], _coverage_caveat(changes, "duration_coverage", "hits")),
        ("Time lost", MS, change["time_lost_change_ms"], _coverage_caveat(changes, "imputed_coverage", "misses")),
        ("Avoidable time", MS, figures.avoidable_change_ms, ""),
    )
    return [
        Headline(
            label, value, unit, meaning, None if value is None else difference,
            RATIO_CHANGE if unit == RATIO else MS_CHANGE, changes.title + caveat, better_if_higher=label in GOOD,
        )
        for (label, unit, difference, caveat), (value, meaning) in zip(labels, answers, strict=True)
    ]  # fmt: skip


def _coverage_caveat(changes: Changes, coverage: str, noun: str) -> str:
    """Return a caveat if times changed partly because more or fewer of them are known."""
    before, after = (side[coverage] or 0 for side in changes.sides)
    if abs(after - before) < MIN_COVERAGE_CHANGE:
        return ""
    return f" (durations are known for {'more' if after > before else 'fewer'} {noun})"


def verdict(figures: Figures, anchors: Collection[str]) -> Iterator[Sentence]:
    """Yield what the answer is: the hit rate with its change, and the class of misses that lost the most time."""
    totals, change = figures.totals, figures.changes.change
    if not totals["lookups"]:
        yield Sentence("There are no lookups.")
        return
    yield Sentence("{} of {} lookups were hits.", [(totals["hit_rate"], RATIO), (totals["lookups"], COUNT)])
    if change["change"] in (FELL, ROSE):
        text = f"The hit rate {change['change']} by {{}}: {{}} in {{}}, {{}} in {{}}."
        values = [(abs(change["hit_rate_change"]), POINTS)]
        for side, period in zip(figures.changes.sides, figures.changes.periods, strict=True):
            values += [(side["hit_rate"], RATIO), (period.name, TEXT)]
        yield Sentence(text, values, see="changes")
    yield from _loss(figures, anchors)


def _loss(figures: Figures, anchors: Collection[str]) -> Iterator[Sentence]:
    if not figures.classes:
        return
    worst, misses = figures.biggest_loss, figures.misses
    (cause,) = (one.cause for one in CLASSES if one.name == worst["class"])
    names = [(worst["class"], TEXT), (cause, TEXT)]
    counts = [(worst["misses"], COUNT), (misses["misses"], COUNT)]
    see = _section_of(worst, anchors)
    if figures.are_times_known:
        least = "at least " if worst["imputed_coverage"] < 1 else ""
        text = f"The biggest loss: {{}} misses (likely: {{}}), {least}{{}} of task time in {{}} of {{}} misses."
        yield Sentence(text, [*names, (worst["time_lost_ms"], MS), *counts], see=see)
    else:
        yield Sentence("Most misses are {} (likely: {}): {} of {}.", [*names, *counts], see=see)


def _section_of(row: Record, anchors: Collection[str]) -> str:
    """Return the section that helps most with a class of misses."""
    if row["class"] in COLD and "causes" in anchors:
        return "causes"
    return "top-misses" if row["avoidable"] else "misses"


def _hit_rate(totals: Record) -> tuple[Any, Sentence]:
    text = "{} of {} lookups were hits (turbo prints these numbers as cached and total)."
    return totals["hit_rate"], Sentence(text, [(totals["hits"], COUNT), (totals["lookups"], COUNT)])


def _time_saved(totals: Record) -> tuple[Any, Sentence]:
    if not totals["hits"]:
        return 0, Sentence("No lookup was a hit.")
    if not totals["duration_coverage"]:
        return None, Sentence("No hit has a known duration: the cache server does not return durations.")
    text = "Task time saved by cache hits (sequential, not waiting time)"
    if totals["duration_coverage"] == 1:
        return totals["time_saved_ms"], Sentence(f"{text}.")
    text += "; a lower bound, as the duration is known for {} of the hits."
    return totals["time_saved_ms"], Sentence(text, [(totals["duration_coverage"], RATIO)])


def _time_lost(figures: Figures, anchors: Collection[str]) -> tuple[Any, Sentence]:
    misses = figures.misses
    if not misses["misses"]:
        return 0, Sentence("There are no misses.")
    if not misses["imputed_coverage"]:
        return None, Sentence("The duration of the tasks of {} misses is unknown.", [(misses["misses"], COUNT)])
    worst = figures.biggest_loss
    text = "Task time of {} misses, known or imputed for {} of them."
    values = [(misses["misses"], COUNT), (misses["imputed_coverage"], RATIO)]
    if figures.are_times_known:
        text += " Most of it: {} misses, {}."
        values += [(worst["class"], TEXT), (worst["time_lost_ms"], MS)]
    return misses["time_lost_ms"], Sentence(text, values, see=_section_of(worst, anchors))


def _avoidable_time(figures: Figures) -> tuple[Any, Sentence]:
    misses = figures.misses
    undecided = sum(row["misses"] for row in figures.classes if row["class"] in UNDECIDED_CLASSES)
    avoidable = (misses["avoidable_misses"], COUNT)
    if not misses["misses"]:
        return 0, Sentence("There are no misses.")
    if undecided == misses["misses"]:
        return None, Sentence("Unknown for every miss: they have no time, or are too close to the start of the log.")
    if not misses["avoidable_misses"]:
        return 0, Sentence("No miss is known to be avoidable; {} could not be classified.", [(undecided, COUNT)])
    if not misses["avoidable_coverage"]:
        return None, Sentence("{} misses were avoidable, but the duration of their tasks is unknown.", [avoidable])
    text = "Part of the time lost, in {} misses whose artifact had been built before."
    return misses["avoidable_time_ms"], Sentence(
        f"{text} The duration is known for {{}} of them.",
        [avoidable, (misses["avoidable_coverage"], RATIO)],
        see="top-misses",
    )
