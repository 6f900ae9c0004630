"""Answers `export`: makes a lake equal to a log."""

from analyzer.archive.database import temporary_directory
from analyzer.archive.export import export_log
from analyzer.archive.lake import RELATIONS, read_manifest
from analyzer.archive.open_log import OpenLog
from analyzer.questions.report import Report
from analyzer.readers.storage import Storage
from analyzer.table import BYTES, COUNT, TEXT, Column, Table

COLUMNS = (
    Column("relation", TEXT, "relation of the lake: the directory of its files"),
    Column("files", COUNT, "files that were written"),
    Column("rows", COUNT, "rows in them"),
    Column("size_bytes", BYTES, "size of them"),
    Column("total_files", COUNT, "files that the relation has now", detail=True),
)


def export(log: OpenLog, storage: Storage) -> Report:
    """Answer `export`: the table `relations`.

    Raises:
        ArchiveError: another export was committed in the meantime; nothing was added.
        UnreadableError: the lake cannot be read or written; nothing was added.
    """
    before = read_manifest(storage)
    with temporary_directory(log.connection) as workspace:
        after, written = export_log(log.connection, storage, before, workspace)
    rows = []
    for table, (relation, _) in RELATIONS.items():
        added = [file for file in written if file.table == table]
        if added:
            sizes = sum(file.rows for file in added), sum(file.size_bytes for file in added)
            rows.append((relation, len(added), *sizes, len(after.of(table))))
    notes = [] if written else [f"{storage.root} has all of this already; nothing was written"]
    relations = Table("relations", COLUMNS, rows)
    return Report("export", log.counts(), [relations], relations, notes)
