"""The page: its sections in the order in which they are read. A new one is a function and a line here."""

from typing import Any

from analyzer.archive.opening import Opened
from analyzer.archive.selection import Selection
from analyzer.metrics.classes import classify
from analyzer.metrics.stats import check_time_zone
from analyzer.report.page.answer import headlines
from analyzer.report.page.changed import changed
from analyzer.report.page.groups import groups
from analyzer.report.page.keeping import keeping
from analyzer.report.page.origin import definitions, health, provenance
from analyzer.report.page.over_time import over_time
from analyzer.report.page.question import Question, Subject
from analyzer.report.page.runs import spread, week
from analyzer.report.page.scope import about, scope
from analyzer.report.page.why import why
from analyzer.report.report import Report, answer, ask
from analyzer.section import Headline
from analyzer.table import BY_ROW, TEXT, Heading, Table

SECTIONS = (changed, over_time, groups, why, keeping, spread, week, health, definitions, provenance)

ANSWER = (
    Heading("measure", TEXT, "what it is"),
    Heading("value", BY_ROW, "its value, null where it cannot be known"),
    Heading("unit", TEXT, "its unit"),
)


def page(opened: Opened, selection: Selection, question: Question) -> Report:
    """Answer `report`: the table `answer`, and one a section.

    Raises:
        UsageError: `source` or `event` is given, or there is no such time zone.
    """
    check_time_zone(opened.connection, question.tz)
    asked = ask(opened, selection, needs_both_for="report")
    subject = Subject(asked, question)
    classify(asked.selected, question.retention_days)
    told = headlines(subject)
    parts = [part for section in SECTIONS for part in section(subject)]
    tables = [_answer(told), *(table for _, table in parts)]
    sections = [section for section, _ in parts]
    findings = next(len(table.rows) for table in tables if table.name == "findings")
    said: dict[str, Any] = {"about": about(selection), "scope": scope(subject, findings)}
    return answer("report", asked, tables, headlines=told, sections=sections, **said)


def _answer(told: list[Headline]) -> Table:
    return Table("answer", ANSWER, [(one.label.lower().replace(" ", "_"), one.value, one.unit) for one in told])
