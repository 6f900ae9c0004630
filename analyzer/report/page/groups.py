"""Hit rates by team, CI, task and package, each where there are several."""

from analyzer.metrics.stats import Grouping, dimension, grouped
from analyzer.report.page.question import Parts, Subject, chosen
from analyzer.section import Chart, Section, Words
from analyzer.table import COUNT, RATIO, TEXT, Table

COMPARED = {"team": "team", "ci": "CI vendor", "task": "task", "package": "package"}
MOST = 20
FEWEST = 100
"""With fewer lookups a rate says little."""
COLUMNS = ("lookups", "hit_rate", "local_hit_rate", "remote_hit_rate", "time_saved_ms", "duration_coverage")


def groups(subject: Subject) -> Parts:
    """Give a section a dimension that has at least two groups."""
    for name, words in COMPARED.items():
        table = _grouped(subject, name)
        if len(table.rows) > 1:
            yield _section(name, words, table)


def _grouped(subject: Subject, name: str) -> Table:
    grouping = Grouping((name,), subject.question.tz)
    found = grouped(subject.asked.selected, [dimension(name)], grouping, subject.asked.selection)
    return chosen(found, [name, *COLUMNS], f"by_{name}")


def _section(name: str, words: str, table: Table) -> tuple[Section, Table]:
    named = sum(row[0] is not None for row in table.rows)
    rest = "; the row of — is of lookups that name none" if named < len(table.rows) else ""
    told = [Words(f"Lookups name {{}} {words}{'s' * (named != 1)}{rest}{_most(table)}.", [(named, COUNT)])]
    enough = [row for row in table.rows if row[0] is not None and row[1] >= FEWEST]
    if len(enough) > 1:
        group, lookups, rate, *_ = min(enough, key=lambda row: row[2])
        text = "Lowest of those with at least {} lookups: {}, {} of {}."
        told.append(Words(text, [(FEWEST, COUNT), (group, TEXT), (rate, RATIO), (lookups, COUNT)]))
    what = f"Horizontal bars, one a {words}: its hit rate, and of how many lookups; those with the most first."
    chart = Chart("rank", f"Hit rate by {words}", what, name, ("hit_rate",), size="lookups")
    return Section(f"By {words}", told, table.name, [chart]), Table(table.name, table.columns, table.rows[:MOST])


def _most(table: Table) -> str:
    cut = len(table.rows) - MOST
    return f"; {cut:,} with fewer lookups are left out" if cut > 0 else ""
