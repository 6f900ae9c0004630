"""Builds the page of `report` from its sections.

To add a section, write a function from `PageContext` to `Sections` and list it in `SECTIONS`.
"""

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection
from analyzer.questions.options import PageOptions
from analyzer.questions.page import PageContext
from analyzer.questions.page.changes import changes_section
from analyzer.questions.page.misses import misses_sections, retention_section
from analyzer.questions.page.provenance import data_quality_section, definitions_section, provenance_section
from analyzer.questions.page.summary import describe_filters, headlines, scope_sentences
from analyzer.questions.page.trends import group_sections, sessions_section, time_sections, week_section
from analyzer.questions.report import Report, build_report, select_scope
from analyzer.questions.stats import check_time_zone
from analyzer.table import BY_ROW, TEXT, Column, Table

SECTIONS = (
    changes_section,
    time_sections,
    group_sections,
    misses_sections,
    retention_section,
    sessions_section,
    week_section,
    data_quality_section,
    definitions_section,
    provenance_section,
)

ANSWER_COLUMNS = (
    Column("measure", TEXT, "name of the measure"),
    Column("value", BY_ROW, "its value; null where it cannot be known"),
    Column("unit", TEXT, "its unit"),
)


def build_page(log: OpenLog, selection: Selection, options: PageOptions) -> Report:
    """Return the report of `report`: the table `answer` with the headlines, and the table of each section.

    Raises:
        UsageError: `source` or `event` is given, or the time zone is unknown.
    """
    check_time_zone(log.connection, options.tz)
    scope = select_scope(log, selection, needs_both_for="report")
    context = PageContext(scope, options)
    answer = headlines(context)
    answer_rows = [(one.label.lower().replace(" ", "_"), one.value, one.unit) for one in answer]
    parts = [part for sections in SECTIONS for part in sections(context)]
    tables = [Table("answer", ANSWER_COLUMNS, answer_rows), *(table for _, table in parts)]
    findings = next(len(table.rows) for table in tables if table.name == "findings")
    about, sentences = describe_filters(selection), scope_sentences(context, findings)
    sections = [section for section, _ in parts]
    return build_report("report", scope, tables, about=about, summary=sentences, headlines=answer, sections=sections)
