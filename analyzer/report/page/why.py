"""Why lookups missed, what that cost, and what to mend first."""

from dataclasses import replace

from analyzer.metrics.misses import KEY_COLUMNS, by_class, default_key, top
from analyzer.report.page.question import Parts, Subject, chosen
from analyzer.section import Chart, Section, Words
from analyzer.table import Table

MOST = 15
MENDED = ("avoidable_time_ms", "avoidable_misses", "likely_causes", "last_seen")


def why(subject: Subject) -> Parts:
    """Give the sections of misses by class and of the costliest ones. The misses are classed already."""
    selected = subject.asked.selected
    classes = by_class(selected)
    if classes.rows:
        yield _classes(classes)
    key = default_key(selected)
    costliest = top(selected, key, MOST)
    if costliest.rows:
        words = Words("Where a hit was possible, and what it would have spared; causes are candidates, no verdicts.")
        names = [*(column.name for column in KEY_COLUMNS[key]), *MENDED]
        yield Section("What to mend first", [words], costliest.name), chosen(costliest, names)


def _classes(table: Table) -> tuple[Section, Table]:
    names = ["class", "misses", "share", "sessions", "imputed_time_ms", "imputed_coverage", "avoidable", "definition"]
    kept = chosen(table, names)
    columns = [replace(column, detail=False) for column in kept.columns]
    what = (
        "Horizontal bars, one a class of misses: what their tasks took, as far as that is known, and how many they are."
    )
    chart = Chart(
        "rank", "Time of misses by class", what, "class", ("imputed_time_ms",), mark="avoidable", size="misses"
    )
    words = Words("Avoidable are misses of what had been made before. Each class is a candidate, no verdict.")
    return Section("Why lookups missed", [words], kept.name, [chart]), Table(kept.name, columns, kept.rows)
