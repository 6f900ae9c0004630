"""Where the page comes from: what is wrong with the log, its files, what the measures mean, how it was made."""

from dataclasses import replace

from analyzer.archive.selection import run
from analyzer.metrics.stats import Grouping
from analyzer.metrics.stats import definitions as measures
from analyzer.report.doctor import findings
from analyzer.report.page.question import Parts, Subject, chosen
from analyzer.report.report import KEPT, Asked, account
from analyzer.section import Section, Words
from analyzer.table import BYTES, COUNT, TEXT, TIME, Heading, Table

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
    Heading("file", TEXT, "the file, as it was named"),
    Heading("format", TEXT, "the format its content shows"),
    Heading("plain_bytes", BYTES, "its size, decompressed"),
    Heading("read", COUNT, "events read"),
    Heading("kept", COUNT, "events kept, before any filter"),
    Heading("rejected", COUNT, "events that are invalid"),
    Heading("tasks", COUNT, "tasks of a run summary"),
)


def health(subject: Subject) -> Parts:
    """Give the section of findings about the log itself."""
    table = findings(subject.asked.selected)
    there = subject.asked.selected.ask("SELECT 1 FROM {selected} LIMIT 1")
    nothing = "Nothing found wrong." if there else "There are no lookups to examine."
    words = "What makes these numbers less sure, and what to do." if table.rows else nothing
    columns = [replace(column, unit=COUNT) if column.name == "count" else column for column in table.columns]
    yield Section("Data quality", [Words(words)], table.name), Table(table.name, columns, table.rows)


def definitions(_subject: Subject) -> Parts:
    """Give the section of what the measures mean."""
    table = chosen(measures(Grouping()), ["name", "definition", "caveat"])
    words = "A lookup is all events of one session and hash. Rates of groups are pooled, sum over sum."
    yield Section("Definitions", [Words(words)], table.name), table


def accounted(asked: Asked) -> Words:
    """Say where the events of the input went."""
    count = account(asked.opened.counts(), asked.selected.ask(KEPT)[0][0])
    text = "{} events read = {} kept + {} rejected + {} filtered + {} duplicate."
    numbers = (count.read, count.kept, count.rejected, count.filtered, count.duplicate)
    return Words(text, [(number, COUNT) for number in numbers])


def _made_of(asked: Asked) -> list[Words]:
    """Say from when the lookups are, and of what the events were made where it was run summaries."""
    first_at, last_at = asked.selected.ask(COVERED)[0]
    told = [Words("Lookups are from {} to {}.", [(first_at, TIME), (last_at, TIME)])] if first_at else []
    if asked.opened.view == "runs":
        text = "The events are made of {} tasks in {} run summaries: what a run with both caches would have reported."
        told.append(Words(text, [(number, COUNT) for number in asked.opened.connection.execute(TASKS).fetchall()[0]]))
    return told


def provenance(subject: Subject) -> Parts:
    """Give the section of files, period, accounting and command."""
    asked, question = subject.asked, subject.question
    told = [*_made_of(asked), accounted(asked)]
    there = run(asked.opened.connection, FILE_COUNT, {})[0][0]
    if there > MOST_FILES:
        told.append(Words("The first {} of {} files are listed.", [(MOST_FILES, COUNT), (there, COUNT)]))
    if question.command:
        told.append(Words("Made at {} by: {}", [(question.made_at, TIME), (question.command, TEXT)]))
    files = run(asked.opened.connection, FILES, {"most": MOST_FILES})
    yield Section("Provenance", told, "files"), Table("files", FILE_COLUMNS, files)
