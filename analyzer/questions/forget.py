"""Answers `forget`: what an archive has that is older than a date, before or after it is removed."""

from datetime import datetime
from pathlib import Path

from analyzer.archive.accounting import Accounting
from analyzer.archive.forget import count_old, forget
from analyzer.archive.leftovers import temp_directory
from analyzer.archive.open_log import LoadObserver, open_log
from analyzer.archive.staging import ReadOptions
from analyzer.errors import Message, Option, UsageError
from analyzer.questions.report import Report
from analyzer.readers.source import is_archive
from analyzer.table import COUNT, TEXT, Column, Table

COLUMNS = (
    Column("what", TEXT, "what is removed"),
    Column("forgotten", COUNT, "how much of it is older"),
    Column("kept", COUNT, "how much of it stays"),
)


def forget_before(archive: Path, before: datetime, *, execute: bool) -> Report:
    """Answer `forget`: the table `forgotten`; with `execute`, remove what it shows.

    Raises:
        UsageError: `archive` is not an archive.
        ArchiveError: it is in use, or cannot be written.
    """
    if not archive.exists():
        raise UsageError(f"{archive}: no such file; name an archive that `load` wrote")
    if not is_archive(archive):
        raise UsageError(f"{archive}: not an archive; name the file that `load` wrote")
    size_bytes = archive.stat().st_size
    with open_log([str(archive)], ReadOptions(), LoadObserver(), "events") as log:
        counts, untimed = count_old(log.connection, before)
    notes: list[str] = []
    if untimed:
        notes.append(f"{untimed:,} events without a time stay")
    if not counts["events"][0] and not any(old for old, _ in counts.values()):
        notes.append(f"nothing is older than {before} UTC")
    elif execute:
        with temp_directory() as workspace:
            forget(archive, before, workspace)
        notes.append(f"the file had {size_bytes:,} bytes, and has {archive.stat().st_size:,} now")
    else:
        notes.append(Message("nothing is removed yet: ", Option("execute"), " removes it"))
    rows = [(name, old, total - old) for name, (old, total) in counts.items()]
    table = Table("forgotten", COLUMNS, rows)
    return Report("forget", Accounting(), [table], table, notes)
