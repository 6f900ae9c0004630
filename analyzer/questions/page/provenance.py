"""The end of the page: data quality, definitions of the measures, and the files and command behind the numbers."""

from dataclasses import replace

from analyzer.archive.selection import fetch_rows
from analyzer.questions.doctor.report import FINDINGS, findings
from analyzer.questions.options import PageOptions, StatsOptions
from analyzer.questions.page.observed import observe
from analyzer.questions.scope import Scope
from analyzer.questions.stats import definitions_table
from analyzer.table import BYTES, COUNT, TEXT, TIME, Column, Section, Sections, Sentence, Table, select_list

MAX_FILES = 50
FINDING_SECTIONS = {one.name: one.section for checks in FINDINGS.values() for one in checks}

FILE_COLUMNS = (
    Column("file", TEXT, "file name as given", sql="f.name"),
    Column("format", TEXT, "format detected from its content", sql="f.format"),
    Column("plain_bytes", BYTES, "decompressed size", sql="f.size_bytes"),
    Column("read", COUNT, "events read", sql="f.read"),
    Column("kept", COUNT, "valid events, before filters", sql="f.kept"),
    Column("rejected", COUNT, "invalid events", sql="f.rejected"),
    Column("tasks", COUNT, "tasks of a run summary", sql="t.tasks"),
)

FILES = f"""
SELECT {select_list(FILE_COLUMNS)}
FROM store.file f
LEFT JOIN (SELECT file_id, count(*) AS tasks FROM store.run r JOIN store.task t ON t.run_id = r.id GROUP BY file_id) t
  ON t.file_id = f.id
ORDER BY f.id LIMIT $limit
"""
TASK_AND_RUN_COUNT = "SELECT (SELECT count(*) FROM store.task), (SELECT count(*) FROM store.run)"


def data_quality_section(scope: Scope) -> Sections:
    """Yield the section of findings about the log."""
    table = findings(scope)
    if table.rows:
        text = "Problems in the log that make the numbers above less certain, and what to do about them."
    else:
        text = "No problems found in the log." if observe(scope).lookups else "There are no lookups to examine."
    # `doctor` declares the count as a plain number for the layout of its own table; here it is a count.
    columns = [replace(column, unit=COUNT) if column.name == "count" else column for column in table.columns]
    section = Section(
        "data-quality", "Data quality", [Sentence(text)], table.name, "Findings about the log", links=FINDING_SECTIONS,
        brief=True,
    )  # fmt: skip
    yield section, replace(table, columns=columns)


def definitions_section() -> Sections:
    """Yield the section of measures and their definitions."""
    table = definitions_table(StatsOptions()).select(["name", "definition", "caveat"])
    text = "A lookup is all events of one session and hash. Rates are pooled: sum of hits over sum of lookups."
    title = "Measures and their definitions"
    yield Section("definitions", "Definitions", [Sentence(text)], table.name, title, reference=True), table


def provenance_section(scope: Scope, options: PageOptions) -> Sections:
    """Yield the section of input files and command."""
    sentences = []
    if scope.log.view == "runs":
        text = "Events are synthesized from {} tasks in {} run summaries, as turbo reports them with both caches on."
        (counts,) = fetch_rows(scope.log.connection, TASK_AND_RUN_COUNT, {})
        sentences.append(Sentence(text, [(number, COUNT) for number in counts]))
    ((count,),) = fetch_rows(scope.log.connection, "SELECT count(*) FROM store.file", {})
    if count > MAX_FILES:
        sentences.append(Sentence("The table lists the first {} of {} files.", [(MAX_FILES, COUNT), (count, COUNT)]))
    if options.command:
        sentences.append(Sentence("Made at {} by: {}", [(options.made_at, TIME), (options.command, TEXT)]))
    rows = fetch_rows(scope.log.connection, FILES, {"limit": MAX_FILES})
    table = Table("files", FILE_COLUMNS, rows)
    yield Section("provenance", "Provenance", sentences, table.name, "Files that were read", reference=True), table
