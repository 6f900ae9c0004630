"""Why lookups missed, what that cost, and what to mend first."""

from dataclasses import replace

from analyzer.questions.misses import KEY_COLUMNS, classes_table, default_key, top_misses_table
from analyzer.questions.page.context import PageContext, Parts, select_columns
from analyzer.table import Chart, Section, Sentence, Table

MAX_TOP_MISSES = 15
TOP_COLUMN_NAMES = ("avoidable_time_ms", "avoidable_misses", "likely_causes", "last_seen")


def misses_sections(subject: PageContext) -> Parts:
    """Give the sections of misses by class and of the costliest ones. The misses are classed already."""
    selected = subject.asked.selected
    classes = classes_table(selected)
    if classes.rows:
        yield _classes(classes)
    key = default_key(selected)
    costliest = top_misses_table(selected, key, MAX_TOP_MISSES)
    if costliest.rows:
        words = Sentence("Where a hit was possible, and what it would have spared; causes are candidates, no verdicts.")
        names = [*(column.name for column in KEY_COLUMNS[key]), *TOP_COLUMN_NAMES]
        yield Section("What to mend first", [words], costliest.name), select_columns(costliest, names)


def _classes(table: Table) -> tuple[Section, Table]:
    names = ["class", "misses", "share", "sessions", "imputed_time_ms", "imputed_coverage", "avoidable", "definition"]
    kept = select_columns(table, names)
    columns = [replace(column, detail=False) for column in kept.columns]
    what = (
        "Horizontal bars, one a class of misses: what their tasks took, as far as that is known, and how many they are."
    )
    chart = Chart(
        "rank", "Time of misses by class", what, "class", ("imputed_time_ms",), mark="avoidable", size="misses"
    )
    words = Sentence("Avoidable are misses of what had been made before. Each class is a candidate, no verdict.")
    return Section("Why lookups missed", [words], kept.name, [chart]), Table(kept.name, columns, kept.rows)
