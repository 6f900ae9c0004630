"""Builds the page of `report`: the headlines, what they are about, and sections with all answers in reading order.

To add a section, write a function in a module here that yields it with its table, and call it in `build_page`.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time
from typing import Any

from analyzer.archive.accounting import Accounting
from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import LIST_FILTERS, Selection
from analyzer.questions.doctor.report import left_out
from analyzer.questions.doctor.server import describe_outages, outages_in
from analyzer.questions.groups import check_time_zone
from analyzer.questions.options import PageOptions
from analyzer.questions.page.changes import changes_section, compare_periods
from analyzer.questions.page.explorer import build_explorer
from analyzer.questions.page.headlines import headlines, measure_figures, verdict
from analyzer.questions.page.misses import causes_left_out, misses_sections, retention_section
from analyzer.questions.page.observed import observe
from analyzer.questions.page.provenance import data_quality_section, definitions_section, provenance_section
from analyzer.questions.page.trends import group_sections, sessions_section, time_marks, time_sections, week_section
from analyzer.questions.report import Report, build_report
from analyzer.questions.scope import Scope, select_scope
from analyzer.table import BY_ROW, COUNT, NUMBER, TEXT, TIME, Column, Headline, Sentence, Table

ANSWER_COLUMNS = (
    Column("measure", TEXT, "name of the measure"),
    Column("value", BY_ROW, "its value; null where it cannot be known"),
    Column("unit", TEXT, "its unit"),
    # Not displayed: the unit of a row is that of its value, and a difference of rates is written in points.
    Column("change", NUMBER, "its difference from the period before; null where it cannot be known", detail=True),
)


def build_page(log: OpenLog, selection: Selection, options: PageOptions) -> Report:
    """Return the report of `report`: the table `answer` with the headlines, and the table of each section."""
    check_time_zone(log.connection, options.tz)
    scope = select_scope(log, selection, needs_both_for="report")
    found, changes = observe(scope), compare_periods(scope)
    outages = outages_in(log, selection, [(found.first_at, found.last_lookup_at)])
    parts = [
        *changes_section(scope, changes),
        *time_sections(scope, options.tz, time_marks(scope, options.tz, outages)),
        *misses_sections(scope, options.retention_days),
        *group_sections(scope),
        *sessions_section(scope),
        *week_section(scope, options.tz),
        *retention_section(scope, options.retention_days),
        *data_quality_section(scope),
        *definitions_section(),
        *provenance_section(scope, options),
    ]
    sections, anchors = [section for section, _ in parts], {section.anchor for section, _ in parts}
    figures = measure_figures(scope, options.retention_days, changes)
    answer = headlines(figures, anchors)
    report = build_report(
        "report",
        scope,
        [_answer_table(answer), *(table for _, table in parts)],
        notes=[*describe_outages(outages), *left_out(scope), *causes_left_out(scope)],
        verdict=list(verdict(figures, anchors)),
        about=describe_filters(scope.selection),
        headlines=answer,
        sections=sections,
        explorer=build_explorer(scope, options.tz),
        is_full=options.full,
    )
    findings = next(len(table.rows) for table in report.tables if table.name == "findings")
    return replace(report, summary=_scope_sentences(scope, report.accounting, findings))


def _answer_table(answer: Sequence[Headline]) -> Table:
    rows = [(one.label.lower().replace(" ", "_"), one.value, one.unit, one.change) for one in answer]
    return Table("answer", ANSWER_COLUMNS, rows)


def describe_filters(selection: Selection) -> str:
    """Return the filters in words; empty where there are none.

    >>> describe_filters(Selection(team=["web", "data"], interactive=False))
    'team web or data, not interactive'
    """
    lists = [(name, " or ".join(getattr(selection, name))) for name in LIST_FILTERS]
    phrases = [f"{name} {values}" for name, values in (*lists, ("where", " and ".join(selection.where))) if values]
    if selection.interactive is not None:
        phrases.append("interactive" if selection.interactive else "not interactive")
    if selection.status:
        phrases.append(f"requests with status {selection.status}")
    times = (("since", selection.since), ("until", selection.until))
    return ", ".join(phrases + [f"{name} {_format_time(moment)}" for name, moment in times if moment])


def _format_time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}" if moment.time() == time() else f"{moment:%Y-%m-%d %H:%M} UTC"


def _scope_sentences(scope: Scope, count: Accounting, finding_count: int) -> list[Sentence]:
    """Return sentences on the number of lookups, their period, the accounting and the findings about the log."""
    found = observe(scope)
    text = f"{{}} lookup{'s' * (found.lookups != 1)} in {{}} session{'s' * (found.sessions != 1)}"
    values: list[tuple[Any, str]] = [(found.lookups, COUNT), (found.sessions, COUNT)]
    if found.first_at:
        text, values = f"{text}, from {{}} to {{}}", [*values, (found.first_at, TIME), (found.last_at, TIME)]
    sentences = [Sentence(f"{text}.", values)]
    text = "{} events read = {} kept + {} rejected + {} filtered + {} duplicate."
    numbers = (count.read, count.kept, count.rejected, count.filtered, count.duplicate)
    sentences.append(Sentence(text, [(number, COUNT) for number in numbers]))
    if finding_count:
        text = f"{{}} finding{'s' * (finding_count != 1)} about the log may affect these numbers."
        sentences.append(Sentence(text, [(finding_count, COUNT)], see="data-quality"))
    return sentences
