"""Builds the page of `report`: the headlines, what they are about, and sections with all answers in reading order.

To add a section, write a function in a module here that yields it with its table, and call it in `build_page`.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, time
from typing import Any

from analyzer.archive.accounting import Accounting
from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import LIST_FILTERS, Selection
from analyzer.questions.doctor.report import left_out
from analyzer.questions.doctor.server import outage_notes
from analyzer.questions.groups import check_time_zone
from analyzer.questions.misses import classes_table, classify, misses_table
from analyzer.questions.options import PageOptions, StatsOptions
from analyzer.questions.page.changes import changes_section
from analyzer.questions.page.misses import MAX_TOP_MISSES, causes_left_out, misses_sections, retention_section
from analyzer.questions.page.observed import observe
from analyzer.questions.page.provenance import data_quality_section, definitions_section, provenance_section
from analyzer.questions.page.trends import group_sections, sessions_section, time_sections, week_section
from analyzer.questions.report import Report, build_report
from analyzer.questions.scope import Scope, select_scope
from analyzer.questions.stats import totals_table
from analyzer.table import BY_ROW, COUNT, MS, RATIO, TEXT, TIME, Column, Headline, Sentence, Table

ANSWER_COLUMNS = (
    Column("measure", TEXT, "name of the measure"),
    Column("value", BY_ROW, "its value; null where it cannot be known"),
    Column("unit", TEXT, "its unit"),
)

# The classes of misses that may or may not have been avoidable.
UNDECIDED_CLASSES = ("untimed", "unknown_cold")


def build_page(log: OpenLog, selection: Selection, options: PageOptions) -> Report:
    """Return the report of `report`: the table `answer` with the headlines, and the table of each section."""
    check_time_zone(log.connection, options.tz)
    scope = select_scope(log, selection, needs_both_for="report")
    answer = _headlines(scope, options.retention_days)
    answer_rows = [(one.label.lower().replace(" ", "_"), one.value, one.unit) for one in answer]
    parts = [
        *changes_section(scope),
        *time_sections(scope, options.tz),
        *group_sections(scope),
        *misses_sections(scope, options.retention_days),
        *retention_section(scope, options.retention_days),
        *sessions_section(scope),
        *week_section(scope, options.tz),
        *data_quality_section(scope),
        *definitions_section(),
        *provenance_section(scope, options),
    ]
    tables = [Table("answer", ANSWER_COLUMNS, answer_rows), *(table for _, table in parts)]
    findings = next(len(table.rows) for table in tables if table.name == "findings")
    found = observe(scope)
    outages = list(outage_notes(log, selection, [(found.first_at, found.last_lookup_at)]))
    sections = [section for section, _ in parts]
    report = build_report(
        "report",
        scope,
        tables,
        notes=[*outages, *left_out(scope), *causes_left_out(scope)],
        headlines=answer,
        sections=sections,
    )
    sentences = _scope_sentences(scope, report.accounting, findings)
    return replace(report, about=describe_filters(scope.selection), summary=sentences)


def _headlines(scope: Scope, retention_days: float) -> list[Headline]:
    """Return the headlines of the page; without lookups none has a value."""
    (totals,) = totals_table(scope, StatsOptions()).records()
    if totals["lookups"]:
        classified = classify(scope, retention_days, MAX_TOP_MISSES)
        (misses,) = misses_table(classified).records()
        classes = {row["class"]: row["misses"] for row in classes_table(classified).records()}
        answers = (_hit_rate(totals), _time_saved(totals), _avoidable_time(misses, classes))
    else:
        answers = ((None, Sentence("There are no lookups.")),) * 3
    labels = (("Hit rate", RATIO), ("Time saved", MS), ("Avoidable time", MS))
    return [Headline(label, value, unit, text) for (label, unit), (value, text) in zip(labels, answers, strict=True)]


def _hit_rate(totals: Mapping[str, Any]) -> tuple[Any, Sentence]:
    text = "{} of {} lookups were hits (turbo prints these numbers as cached and total)."
    return totals["hit_rate"], Sentence(text, [(totals["hits"], COUNT), (totals["lookups"], COUNT)])


def _time_saved(totals: Mapping[str, Any]) -> tuple[Any, Sentence]:
    if not totals["hits"]:
        return 0, Sentence("No lookup was a hit.")
    if not totals["duration_coverage"]:
        return None, Sentence("No hit has a known duration: the cache server does not return durations.")
    text = "Task time saved by cache hits (sequential, not waiting time). The duration is known for {} of the hits."
    return totals["time_saved_ms"], Sentence(text, [(totals["duration_coverage"], RATIO)])


def _avoidable_time(misses: Mapping[str, Any], classes: Mapping[str, int]) -> tuple[Any, Sentence]:
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
        text = f"{{}} finding{'s' * (finding_count != 1)} about the log may affect these numbers: see Data quality."
        sentences.append(Sentence(text, [(finding_count, COUNT)]))
    return sentences
