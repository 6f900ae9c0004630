"""Opens lakes: the tables of an archive as Parquet files, in a directory or a bucket.

Sessions, hashes and contexts have no numbers in a lake: their names stand in each row, so that other programs read the
files without joins. Relations that grow with the log are partitioned by day and by a bucket of teams. A manifest lists
the files that make up the lake.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from analyzer.archive.selection import Selection
from analyzer.errors import ArchiveError
from analyzer.readers.objects import MANIFESTS
from analyzer.readers.storage import Storage
from analyzer.text import sql_text
from analyzer.times import add_clamped

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

VERSION = 3

# The relations, by the table of an archive, and the time by whose day they are partitioned.
RELATIONS: dict[str, tuple[str, str | None]] = {
    "event": ("events", "happened_at"),
    "lookup": ("lookups", "first_at"),
    "session_summary": ("sessions", "first_at"),
    "session_quarter": ("session_quarters", "first_at"),
    "hash_duration": ("hash_durations", None),
    "session": ("session_names", None),
    "hash": ("hash_names", None),
    "context": ("contexts", None),
    "file": ("files", None),
    "reject": ("rejects", None),
    "run": ("runs", None),
    "task": ("tasks", None),
    "unlisted_task": ("unlisted_tasks", None),
    "input_set": ("input_sets", None),
    "input": ("inputs", None),
    "artifact": ("artifacts", None),
    "transfer": ("transfers", None),
    "match": ("matches", None),
    "name": ("task_names", None),
}
UNKNOWN_DAY = "unknown"
# The column of the name that stands for a number of an archive.
NAMES = {"session_id": "session", "hash_id": "hash", "context_id": "context"}

# What the buckets of the selected teams are computed from. A team can be selected by its id.
TEAM_NUMBER = "md5_number_lower(coalesce({team}, ''))"
TEAM_NUMBERS = f"""
SELECT DISTINCT {TEAM_NUMBER.format(team="team")} FROM store.context
WHERE list_contains($team, team) OR list_contains($team, team_id)
"""

# Relations that tell of each row when its session began: parts of a log that lack other rows of a session need it.
SESSION_TIMES = ("event", "lookup")
KIND = "(CASE source WHEN 'LOCAL' THEN 1 ELSE 4 END * CASE event WHEN 'HIT' THEN 1 ELSE 2 END)::UTINYINT AS kind"

MANIFEST_NAME = re.compile(rf"{MANIFESTS}/(\d{{8}})\.json")

Partition = tuple[str, str | None, int | None]  # the table, the day and the bucket


@dataclass(frozen=True, slots=True)
class LakeFile:
    """A Parquet file of a lake. `digest` is that of its partition, or of its relation if that has no partitions."""

    table: str
    path: str
    rows: int
    size_bytes: int
    digest: str
    day: str | None = None
    bucket: int | None = None

    @property
    def partition(self) -> Partition:
        """The partition, or the whole relation, that the file has rows of."""
        return self.table, self.day, self.bucket


@dataclass(slots=True)
class Manifest:
    """The files of a lake after the export of that number. Teams are divided into `buckets`."""

    number: int = 0
    buckets: int = 0
    files: list[LakeFile] = field(default_factory=list)

    def of(self, table: str) -> list[LakeFile]:
        """Return the files of the relation of a table."""
        return [file for file in self.files if file.table == table]


@dataclass(frozen=True, slots=True)
class OpenLake:
    """A lake that questions read."""

    storage: Storage
    size_bytes: int


def read_manifest(storage: Storage) -> Manifest:
    """Return the latest manifest of a lake; an empty one, of number 0, where there is none.

    Raises:
        ArchiveError: it is a lake of another version, or its manifest is damaged.
        UnreadableError: the storage cannot be read.
    """
    numbers = {
        int(match[1]): name for name in storage.names(f"{MANIFESTS}/") if (match := MANIFEST_NAME.fullmatch(name))
    }
    if not numbers:
        return Manifest()
    number, name = max(numbers.items())
    try:
        content = json.loads(storage.read(name))
        if content["version"] != VERSION:
            raise ArchiveError(f"{storage.root}: a lake of another version; export the logs to another place")
        files = [LakeFile(**file) for file in content["files"]]
        return Manifest(number, int(content["buckets"]), [file for file in files if file.table in RELATIONS])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ArchiveError(
            f"{storage.root}/{name}: not the manifest of a lake; export the logs to another place"
        ) from None


def open_lake(
    connection: "DuckDBPyConnection", storage: Storage, manifest: Manifest, selection: Selection | None, workspace: Path
) -> OpenLake:
    """Replace the tables of an empty archive by views of the same names and columns over the files of a lake.

    With `selection`, the question reads no lookups but those of that selection: files of other days and teams are left
    out. DuckDB leaves out what the minima and maxima in the other files exclude.
    """
    if not manifest.number:
        raise ArchiveError(f"{storage.root}: not a lake: {MANIFESTS} has no manifest; export logs to it")
    storage.register(connection)
    for table in ("context", *(table for table in RELATIONS if table != "context")):
        needed = manifest
        # The note on rejects compares them with all lookups.
        if selection and (table == "session_quarter" or (table == "lookup" and not manifest.of("reject"))):
            needed = replace(manifest, files=_needed_files(connection, manifest, table, selection))
        sql = _view_sql(connection, storage, needed, table, workspace)
        connection.execute(f"DROP TABLE store.{table}; CREATE VIEW store.{table} AS {sql}")
    return OpenLake(storage, sum(file.size_bytes for file in manifest.files))


def _needed_files(
    connection: "DuckDBPyConnection", manifest: Manifest, table: str, selection: Selection
) -> list[LakeFile]:
    """Return the files of a relation that may have rows of a selection, that have no time, or are of the last day."""
    files, since, until = manifest.of(table), selection.since, selection.until
    last_day = max((str(file.day) for file in files if file.day != UNKNOWN_DAY), default=UNKNOWN_DAY)
    if selection.last and last_day != UNKNOWN_DAY:
        earliest = add_clamped(datetime.fromisoformat(last_day), -selection.last)
        since = max(earliest, since or earliest)
    days = (since.date().isoformat() if since else "", until.date().isoformat() if until else last_day)
    buckets = {
        number % max(manifest.buckets, 1)
        for (number,) in connection.execute(TEAM_NUMBERS, {"team": list(selection.team)}).fetchall()
    }
    return [
        file
        for file in files
        # The log ends on the last day, and events without a time are counted, whatever is selected.
        if file.day in {UNKNOWN_DAY, last_day}
        or (days[0] <= str(file.day) <= days[1] and (not selection.team or file.bucket in buckets))
    ]


def rows_sql(
    connection: "DuckDBPyConnection", storage: Storage, table: str, files: Sequence[LakeFile], workspace: Path
) -> str:
    """Return the SQL of the rows of some files of a relation, for an archive's table of that name."""
    return _view_sql(connection, storage, Manifest(files=list(files)), table, workspace)


def needed_files(
    connection: "DuckDBPyConnection", manifest: Manifest, table: str, selection: Selection
) -> list[LakeFile]:
    """Return the files of a relation that rows of a selection may be in; of a relation without parts, all."""
    if not RELATIONS[table][1]:
        return manifest.of(table)
    return _needed_files(connection, manifest, table, selection)


def _view_sql(
    connection: "DuckDBPyConnection", storage: Storage, manifest: Manifest, table: str, workspace: Path
) -> str:
    """Return the SQL of the rows of a lake that a table of an archive would have, with names for numbers."""
    described = [row[:2] for row in connection.execute(f"DESCRIBE store.{table}").fetchall()]
    if table in SESSION_TIMES:
        described.append(("session_first_at", "TIMESTAMP"))
    files = manifest.of(table)
    if not files:
        types = {name: "VARCHAR" if name in NAMES or is_name(table, name) else kind for name, kind in described}
        columns = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in types.items())
        return f"SELECT {columns} LIMIT 0"
    columns = ", ".join(_from_lake(table, name) for name, _ in described)
    return f"SELECT {columns} FROM {parquet(paths_of(storage, files, workspace))}"


def is_name(table: str, column: str) -> bool:
    """Return whether a column is the number of the names that a table has."""
    return column == "id" and f"{table}_id" in NAMES


def _from_lake(table: str, column: str) -> str:
    """Return the SQL of a column of an archive's table, from a row of a lake."""
    if (table, column) == ("event", "kind"):
        return KIND
    if is_name(table, column):
        return f"{table} AS id"
    return f'{NAMES[column]} AS "{column}"' if column in NAMES else f'"{column}"'


def paths_of(storage: Storage, files: Sequence[LakeFile], workspace: Path) -> list[str]:
    """Return how DuckDB names files of a lake; copies may be put into `workspace`."""
    return storage.paths({file.path: file.size_bytes for file in files}, workspace / "lake")


def parquet(paths: Iterable[str]) -> str:
    """Return the SQL of the rows of Parquet files."""
    """Return the SQL of the rows of Parquet files."""
    return f"read_parquet([{', '.join(map(sql_text, paths))}], hive_partitioning=false)"
