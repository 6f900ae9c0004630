"""Why lookups missed, what that cost, and what to mend first."""

from analyzer.metrics.misses import by_class, default_key, top
from analyzer.report.page.question import Parts, Subject, chosen
from analyzer.section import Chart, Section, Words
from analyzer.table import Table

MOST = 15


def why(subject: Subject) -> Parts:
    """Give the sections of misses by class and of the costliest ones. The misses are classed already."""
    selected = subject.asked.selected
    classes = by_class(selected)
    if classes.rows:
        yield _classes(classes)
    costliest = top(selected, default_key(selected), MOST)
    if costliest.rows:
        words = Words("Where a hit was possible, and what it would have spared; causes are candidates, no verdicts.")
        yield Section("What to mend first", [words], costliest.name), costliest


def _classes(table: Table) -> tuple[Section, Table]:
    names = ["class", "misses", "share", "sessions", "imputed_time_ms", "imputed_coverage", "avoidable", "definition"]
    kept = chosen(table, names)
    what = "Horizontal bars, one a class of misses: what their tasks took."
    chart = Chart("rank", "Time of misses by class", what, "class", ("imputed_time_ms",))
    words = Words("Repeat, concurrent, expired and evicted misses are avoidable: the artifact had been made before.")
    return Section("Why lookups missed", [words], kept.name, [chart]), kept
