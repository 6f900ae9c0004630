"""What must be said of the input itself: what became of files, and which of their items are no events."""

from collections.abc import Iterator, Sequence

from analyzer.archive.faults import place_of
from analyzer.archive.file import FileReport, Intake
from analyzer.archive.opening import Opened
from analyzer.errors import InputError
from analyzer.message import Message, Option
from analyzer.readers.formats import DOCUMENTS

FIRST_TOLD = 3
REJECTS = """
SELECT f.name, line, item, reason, text FROM store.reject JOIN store.file f ON f.id = file_id WHERE file_id >= $first
"""


def require_logs(intake: Intake, sources: Sequence[str]) -> None:
    """Refuse to answer where no log was read at all: an answer about nothing would look like one.

    Raises:
        InputError: a file that cannot be read, or none that is a log.
    """
    if intake.files:
        return
    if intake.errors:
        raise intake.errors[0]
    named = ", ".join(sources)
    if intake.dry_runs:
        raise InputError(f"only dry runs in {named}, which run nothing; name event logs, or summaries of real runs")
    raise InputError(f"no event log in {named}; name files, directories or globs that hold some")


def said(found: Opened) -> list[str]:
    """Say what became of the input beyond its plain events; what could not be read is in `intake.errors`."""
    intake = found.intake
    notes: list[str] = [Message(f"{report.name}: ", text) for report in intake.files for text in report.notes]
    notes += _duplicates([report for report in intake.files if report.duplicate_of])
    if intake.skipped:
        more = f" and {len(intake.skipped) - 1:,} more files" if len(intake.skipped) > 1 else ""
        notes.append(f"skipped, as no event log: {intake.skipped[0]}{more}")
    if intake.dry_runs:
        count = len(intake.dry_runs)
        notes.append(f"{count:,} dry run{'s' * (count > 1)} ignored, as nothing was run: {intake.dry_runs[0]}")
    if intake.same_runs:
        known = "run summaries whose id is known by another summary, which is the one that counts"
        notes.append(f"{known}: {intake.same_runs:,}")
    return [*notes, *_rejects(found)]


def _duplicates(again: Sequence[FileReport]) -> Iterator[str]:
    """Say which files were known by their content; of many, the first."""
    for report in again[:FIRST_TOLD]:
        known = f"the same content as {report.duplicate_of}" if report.duplicate_of != report.name else "known already"
        what = f"its {report.read:,} events count once" if report.format not in DOCUMENTS else "it counts once"
        yield f"{report.name}: {known}; {what}"
    if len(again) > FIRST_TOLD:
        yield f"so are {len(again) - FIRST_TOLD:,} more files"


def _rejects(found: Opened) -> Iterator[str]:
    """Say how many events were rejected, and the first of them."""
    counts = found.counts_now() if found.first_file_id else found.counts()
    if not counts.rejected:
        return
    yield Message(f"{counts.rejected:,} of {counts.read:,} events rejected; ", Option("rejects"), " lists all")
    rows = found.connection.execute(f"{REJECTS} LIMIT {FIRST_TOLD}", {"first": found.first_file_id}).fetchall()
    for file, line, item, reason, text in rows:
        yield f"  {place_of(file, line, item)}: {reason}: {' '.join(text.split())}"
