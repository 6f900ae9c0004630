"""Tasks that an engine runs: reading rows of a lake, and running a step of a question on a part."""

from collections.abc import Iterator, Mapping, Sequence
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
from analyzer.cluster.rows import Contents, Packed, for_merge, pack, pack_all, unpack
from analyzer.questions.miss_classes import MEDIANS
from analyzer.questions.scope import Rows, Step, select_scope
from analyzer.readers.storage import open_storage

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

# Relations that grow with the log: a task gets only its part of them.
LARGE = ("event", "lookup", "session_summary", "session_quarter", "hash_duration", "session", "hash")
MEMORY_MB = 1000  # of DuckDB in a task

# A part has no relations of names: sessions and hashes are those that occur in these relations of it.
NAMED = {"session": ("lookup", "event", "session_quarter", "session_summary"), "hash": ("lookup", "event")}
FIRST_SEEN = """
SELECT session_id, min(session_first_at) AS first_at, NULL::TIMESTAMP AS last_at, NULL::VARCHAR AS context_id
FROM store.{table} GROUP BY session_id
"""


@dataclass(frozen=True, slots=True)
class Lake:
    """The place of a lake, and the files of its `small` relations, which every task can read as a whole."""

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
    divided_by: str
    parts: int
    empty: Mapping[str, bytes] = field(default_factory=dict)  # what may be passed on, without rows

    def run(self, part: int, contents: Contents) -> Iterator[Packed]:
        """Yield the results of the step for a part."""
        for name, relation, is_passed in self._given(contents):
            if is_passed:
                yield from pack(name, relation, self.divided_by, self.parts)
            else:
                yield for_merge(part, name, relation)

    def columns(self) -> list[Packed]:
        """Return the results of the step for a part without rows, for their columns."""
        return [
            pack_all(0, name, relation) if is_passed else for_merge(0, name, relation)
            for name, relation, is_passed in self._given({})
        ]

    def _given(self, contents: Contents) -> "Iterator[tuple[str, DuckDBPyRelation, bool]]":
        """Yield each result of the step with its name, and whether it is passed on to the next step."""
        whole = {name: [*contents.get(name, ()), content] for name, content in self.empty.items()}
        contents = {**contents, **whole}
        with temp_directory() as scratch, open_database(scratch) as connection:
            log = self._open_part(connection, scratch, contents)
            forbid_file_access(connection, [self.lake.root, f"{scratch}/lake"])
            scope = select_scope(log, self.selection, cuts=self.cuts, other=self.other)
            passed = {name: Rows(scope.selected, f"FROM passed_{name}") for name in self.empty}
            given = self.step.run(scope, passed, *self.arguments)
            for names, is_passed in ((given.rows, False), (given.passed, True)):
                for name, one in names.items():
                    yield name, one.selected.relation(one.sql, **one.parameters), is_passed

    def _open_part(self, connection: "DuckDBPyConnection", scratch: Path, contents: Contents) -> OpenLog:
        """Open a part of the lake as a log."""
        storage, small = open_storage(self.lake.root), self.lake.small
        # Of what is divided, only the rows of this part may be seen.
        whole = Manifest(
            small.number, small.buckets, [file for file in small.files if file.table not in self.step.reads]
        )
        lake = open_lake(connection, storage, whole, None, scratch)
        for name, packed in contents.items():
            connection.register(f"passed_{name}", unpack(packed))
            if name in self.step.reads:
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
