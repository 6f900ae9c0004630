"""What the tasks of an engine do: read rows of a lake, and run a step of a question on a part."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyzer.archive.accounting import LoadResult
from analyzer.archive.database import forbid_file_access, open_archive
from analyzer.archive.lake import LakeFile, Manifest, OpenLake, open_lake, rows_sql
from analyzer.archive.leftovers import temp_directory
from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection
from analyzer.cluster.rows import Packed, pack, pack_all, unpack
from analyzer.questions.miss_classes import MEDIANS
from analyzer.questions.scope import Rows, Step, select_scope
from analyzer.readers.storage import open_storage

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# The relations that grow with the log; tasks get their part of these, and read the others as a whole.
LARGE = ("event", "lookup", "session_summary", "session_quarter", "hash_duration", "session", "hash")
MEMORY_MB = 1000  # of DuckDB in a task
GATHERED = "="  # begins the names of relations for the merge

# Where a part has no relation of names, they are those that occur in it.
NAMED = {"session": ("lookup", "event", "session_quarter", "session_summary"), "hash": ("lookup", "event")}
FIRST_SEEN = """
SELECT session_id, min(session_first_at) AS first_at, NULL::TIMESTAMP AS last_at, NULL::VARCHAR AS context_id
FROM store.{table} GROUP BY session_id
"""


@dataclass(frozen=True, slots=True)
class Lake:
    """A lake that tasks read: its place, and the files of the relations that they read as a whole."""

    root: str
    small: Manifest


@dataclass(frozen=True, slots=True)
class ReadTask:
    """Reads the rows of files of a relation for which a condition holds."""

    lake: Lake
    table: str
    files: tuple[LakeFile, ...]
    condition: str

    def run(self, by: str, parts: int) -> Iterator[Packed]:
        """Yield the rows, divided into parts by the column `by`."""
        with temp_directory() as scratch, open_database(scratch) as connection:
            storage = open_storage(self.lake.root)
            storage.register(connection)
            sql = rows_sql(connection, storage, self.table, self.files, scratch)
            yield from pack(self.table, connection.sql(f"SELECT * FROM ({sql}) WHERE {self.condition}"), by, parts)


@dataclass(frozen=True, slots=True)
class StepTask:
    """Runs a step of a question on a part of a lake; `divided_by` is the column of the next step."""

    lake: Lake
    step: Step
    selection: Selection
    cuts: Sequence[datetime]
    other: Selection | None
    arguments: Sequence[Any]
    medians: Sequence[tuple[str, float]]
    divided_by: str | None
    parts: int
    empty: Mapping[str, bytes] = field(default_factory=dict)  # what may be passed on, without rows

    def run(self, rows: Iterable[Packed], *, even_if_empty: bool = False) -> Iterator[Packed]:
        """Yield what the step gives for the parts of `rows`; what is for the merge already is handed on."""
        contents, part = defaultdict[str, list[bytes]](list), 0
        for row in rows:
            if row.name.startswith(GATHERED):
                yield row
            else:
                part = row.part
                contents[row.name].append(row.content)
        if not contents and not even_if_empty:
            return
        for name, content in self.empty.items():
            contents[name].append(content)
        with temp_directory() as scratch, open_database(scratch) as connection:
            log = self._open_part(connection, scratch, contents)
            forbid_file_access(connection, [self.lake.root, f"{scratch}/lake"])
            scope = select_scope(log, self.selection, cuts=self.cuts, other=self.other)
            passed = {name: Rows(scope.selected, f"FROM passed_{name}") for name in contents if name not in LARGE}
            given = self.step.run(scope, passed, *self.arguments)
            for name, one in given.rows.items():
                yield pack_all(part, GATHERED + name, one.selected.relation(one.sql, **one.parameters))
            for name, one in given.passed.items():
                relation = one.selected.relation(one.sql, **one.parameters)
                if self.divided_by and not even_if_empty:
                    yield from pack(name, relation, self.divided_by, self.parts)
                else:
                    yield pack_all(part, name, relation)

    def _open_part(
        self, connection: "DuckDBPyConnection", scratch: Path, contents: Mapping[str, list[bytes]]
    ) -> OpenLog:
        """Open what a part has of the lake as a log."""
        storage, small = open_storage(self.lake.root), self.lake.small
        # Of what is divided, only the rows of this part may be seen.
        whole = Manifest(
            small.number, small.buckets, [file for file in small.files if file.table not in self.step.reads]
        )
        lake = open_lake(connection, storage, whole, None, scratch)
        for name, packed in contents.items():
            is_table = name in self.step.reads
            connection.register(f"passed_{name}", unpack(packed))
            if is_table:
                connection.execute(f"CREATE OR REPLACE VIEW store.{name} AS FROM passed_{name}")
        for names, tables in NAMED.items():
            found = [f"SELECT DISTINCT {names}_id AS id FROM store.{table}" for table in tables if table in contents]
            if found and names not in contents:
                ids = " UNION ".join(found)
                connection.execute(f"CREATE OR REPLACE VIEW store.{names} AS SELECT id, id AS {names} FROM ({ids})")
        timed = [table for table in ("lookup", "event") if table in contents]
        if timed and "session_summary" not in contents:
            connection.execute(f"CREATE OR REPLACE VIEW store.session_summary AS {FIRST_SEEN.format(table=timed[0])}")
        log = OpenLog(connection, LoadResult(), lake=OpenLake(storage, lake.size_bytes))
        log.derived_table(MEDIANS, lambda table: _store_medians(connection, table, self.medians))
        return log


def _store_medians(connection: "DuckDBPyConnection", table: str, medians: Sequence[tuple[str, float]]) -> None:
    connection.execute(
        f"CREATE TEMP TABLE {table} AS"
        " SELECT unnest($names::VARCHAR[]) AS name, unnest($medians::DOUBLE[]) AS duration_ms",
        {"names": [name for name, _ in medians], "medians": [ms for _, ms in medians]},
    )


@contextmanager
def open_database(scratch: Path) -> Iterator["DuckDBPyConnection"]:
    """Open a database in memory for one task, which has one core."""
    with open_archive(None, scratch, read_only=True, memory_mb=MEMORY_MB) as connection:
        connection.execute("SET threads = 1")
        yield connection
