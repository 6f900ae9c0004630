"""Where the page comes from: what is wrong with the log, its files, what the measures mean, how it was made."""

from analyzer.archive.selection import run
from analyzer.metrics.stats import Grouping
from analyzer.metrics.stats import definitions as measures
from analyzer.report.doctor import findings
from analyzer.report.page.question import Parts, Subject, chosen
from analyzer.report.report import KEPT, account
from analyzer.section import Section, Words
from analyzer.table import BYTES, COUNT, TEXT, TIME, Heading, Table

MOST_FILES = 50
FILES = "SELECT name, format, size_bytes, read, kept, rejected FROM store.file ORDER BY id LIMIT $most"
FILE_COUNT = "SELECT count(*) FROM store.file"
COVERED = "SELECT min(first_at), max(last_at) FROM {selected}"

FILE_COLUMNS = (
    Heading("file", TEXT, "the file, as it was named"),
    Heading("format", TEXT, "the format its content shows"),
    Heading("size_bytes", BYTES, "its plain bytes, decompressed"),
    Heading("read", COUNT, "events read"),
    Heading("kept", COUNT, "events kept, before any filter"),
    Heading("rejected", COUNT, "events that are invalid"),
)


def health(subject: Subject) -> Parts:
    """Give the section of findings about the log itself."""
    table = findings(subject.asked.selected)
    words = "What makes these numbers less sure, and what to do." if table.rows else "Nothing found wrong."
    yield Section("Data quality", [Words(words)], table.name), table


def definitions(_subject: Subject) -> Parts:
    """Give the section of what the measures mean."""
    table = chosen(measures(Grouping()), ["name", "definition", "caveat"])
    words = "A lookup is all events of one session and hash. Rates of groups are pooled, sum over sum."
    yield Section("Definitions", [Words(words)], table.name), table


def provenance(subject: Subject) -> Parts:
    """Give the section of files, period, accounting and command."""
    asked, question = subject.asked, subject.question
    first_at, last_at = asked.selected.ask(COVERED)[0]
    told = [Words("Events of the answer are from {} to {}.", [(first_at, TIME), (last_at, TIME)])]
    count = account(asked.opened.counts(), asked.selected.ask(KEPT)[0][0])
    text = "{} events read = {} kept + {} rejected + {} filtered + {} duplicate."
    numbers = (count.read, count.kept, count.rejected, count.filtered, count.duplicate)
    told.append(Words(text, [(number, COUNT) for number in numbers]))
    there = run(asked.opened.connection, FILE_COUNT, {})[0][0]
    if there > MOST_FILES:
        told.append(Words("The first {} of {} files are listed.", [(MOST_FILES, COUNT), (there, COUNT)]))
    if question.command:
        told.append(Words("Made at {} by: {}", [(question.made_at, TIME), (question.command, TEXT)]))
    files = run(asked.opened.connection, FILES, {"most": MOST_FILES})
    yield Section("Provenance", told, "files"), Table("files", FILE_COLUMNS, files)
