"""Where the page comes from: what is wrong with the log, its files, what the measures mean, how it was made."""

from dataclasses import replace

from analyzer.archive.selection import fetch_rows
from analyzer.questions.doctor.report import findings
from analyzer.questions.options import StatsOptions
from analyzer.questions.page.context import PageContext, Parts, select_columns
from analyzer.questions.report import KEPT, Scope, account_for
from analyzer.questions.stats import definitions_table as measures
from analyzer.table import BYTES, COUNT, TEXT, TIME, Column, Section, Sentence, Table

MOST_FILES = 50
FILES = """
SELECT name, format, size_bytes, read, kept, rejected, tasks
FROM store.file f LEFT JOIN (SELECT file_id, count(*) AS tasks FROM store.run r JOIN store.task t ON t.run_id = r.id
                             GROUP BY file_id) t ON t.file_id = f.id
ORDER BY id LIMIT $most
"""
TASKS = "SELECT (SELECT count(*) FROM store.task), (SELECT count(*) FROM store.run)"
FILE_COUNT = "SELECT count(*) FROM store.file"
COVERED = "SELECT min(first_at), max(last_at) FROM {selected}"

FILE_COLUMNS = (
    Column("file", TEXT, "the file, as it was named"),
    Column("format", TEXT, "the format its content shows"),
    Column("plain_bytes", BYTES, "its size, decompressed"),
    Column("read", COUNT, "events read"),
    Column("kept", COUNT, "events kept, before any filter"),
    Column("rejected", COUNT, "events that are invalid"),
    Column("tasks", COUNT, "tasks of a run summary"),
)


def data_quality_section(subject: PageContext) -> Parts:
    """Give the section of findings about the log itself."""
    table = findings(subject.asked.selected)
    there = subject.asked.selected.rows("SELECT 1 FROM {selected} LIMIT 1")
    nothing = "Nothing found wrong." if there else "There are no lookups to examine."
    words = "What makes these numbers less sure, and what to do." if table.rows else nothing
    columns = [replace(column, unit=COUNT) if column.name == "count" else column for column in table.columns]
    yield Section("Data quality", [Sentence(words)], table.name), Table(table.name, columns, table.rows)


def definitions_section(_subject: PageContext) -> Parts:
    """Give the section of what the measures mean."""
    table = select_columns(measures(StatsOptions()), ["name", "definition", "caveat"])
    words = "A lookup is all events of one session and hash. Rates of groups are pooled, sum over sum."
    yield Section("Definitions", [Sentence(words)], table.name), table


def accounting_sentence(asked: Scope) -> Sentence:
    """Say where the events of the input went."""
    count = account_for(asked.log.counts(), asked.selected.rows(KEPT)[0][0])
    text = "{} events read = {} kept + {} rejected + {} filtered + {} duplicate."
    numbers = (count.read, count.kept, count.rejected, count.filtered, count.duplicate)
    return Sentence(text, [(number, COUNT) for number in numbers])


def _made_of(asked: Scope) -> list[Sentence]:
    """Say from when the lookups are, and of what the events were made where it was run summaries."""
    first_at, last_at = asked.selected.rows(COVERED)[0]
    told = [Sentence("Lookups are from {} to {}.", [(first_at, TIME), (last_at, TIME)])] if first_at else []
    if asked.log.view == "runs":
        text = "The events are made of {} tasks in {} run summaries: what a run with both caches would have reported."
        told.append(Sentence(text, [(number, COUNT) for number in asked.log.connection.execute(TASKS).fetchall()[0]]))
    return told


def provenance_section(subject: PageContext) -> Parts:
    """Give the section of files, period, accounting and command."""
    asked, options = subject.asked, subject.options
    told = [*_made_of(asked), accounting_sentence(asked)]
    there = fetch_rows(asked.log.connection, FILE_COUNT, {})[0][0]
    if there > MOST_FILES:
        told.append(Sentence("The first {} of {} files are listed.", [(MOST_FILES, COUNT), (there, COUNT)]))
    if options.command:
        told.append(Sentence("Made at {} by: {}", [(options.made_at, TIME), (options.command, TEXT)]))
    files = fetch_rows(asked.log.connection, FILES, {"most": MOST_FILES})
    yield Section("Provenance", told, "files"), Table("files", FILE_COLUMNS, files)
