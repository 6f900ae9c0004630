"""The page: its sections in the order in which they are read. A new one is a function and a line here."""

from typing import Any

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection
from analyzer.questions.miss_classes import classify_misses
from analyzer.questions.options import PageOptions
from analyzer.questions.page.changes import changes_section
from analyzer.questions.page.context import PageContext
from analyzer.questions.page.misses import misses_sections
from analyzer.questions.page.provenance import data_quality_section, definitions_section, provenance_section
from analyzer.questions.page.retention import retention_section
from analyzer.questions.page.summary import describe_filters, headlines, scope_sentences
from analyzer.questions.page.trends import group_sections, sessions_section, time_sections, week_section
from analyzer.questions.report import Report, build_report, select_scope
from analyzer.questions.stats import check_time_zone
from analyzer.table import BY_ROW, TEXT, Column, Headline, Table

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

ANSWER = (
    Column("measure", TEXT, "what it is"),
    Column("value", BY_ROW, "its value, null where it cannot be known"),
    Column("unit", TEXT, "its unit"),
)


def build_page(log: OpenLog, selection: Selection, options: PageOptions) -> Report:
    """Answer `report`: the table `answer`, and one a section.

    Raises:
        UsageError: `source` or `event` is given, or there is no such time zone.
    """
    check_time_zone(log.connection, options.tz)
    asked = select_scope(log, selection, needs_both_for="report")
    subject = PageContext(asked, options)
    classify_misses(asked.selected, options.retention_days)
    told = headlines(subject)
    parts = [part for section in SECTIONS for part in section(subject)]
    tables = [_answer(told), *(table for _, table in parts)]
    sections = [section for section, _ in parts]
    findings = next(len(table.rows) for table in tables if table.name == "findings")
    said: dict[str, Any] = {"about": describe_filters(selection), "scope": scope_sentences(subject, findings)}
    return build_report("report", asked, tables, headlines=told, sections=sections, **said)


def _answer(told: list[Headline]) -> Table:
    return Table("answer", ANSWER, [(one.label.lower().replace(" ", "_"), one.value, one.unit) for one in told])
