"""Exports logs to a lake (`analyzer/archive/lake.py`), and makes what was written the lake.

An export makes the lake equal to its source. Each file has a digest of its rows: only partitions whose rows differ are
written again. The manifest is written when all files are there, unless another export has written one of that number
before: readers see all of an export or nothing of it.
"""

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote
from uuid import uuid4

from analyzer.archive.lake import (
    NAMES,
    RELATIONS,
    SESSION_TIMES,
    TEAM_NUMBER,
    UNKNOWN_DAY,
    VERSION,
    LakeFile,
    Manifest,
    Partition,
    is_name,
    parquet,
    paths_of,
)
from analyzer.errors import ArchiveError, UnreadableError
from analyzer.readers.objects import MANIFESTS
from analyzer.readers.storage import Storage
from analyzer.text import sql_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_BUCKETS, LOOKUPS_PER_BUCKET = 64, 1_000_000  # of a day
ROWS_AT_ONCE = 4_000_000  # that are written: DuckDB keeps rows of all partitions in memory until it has written them
PARQUET = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 131072"

# Where an export finds the names that stand for numbers.
_JOINS = {
    "session_id": "JOIN store.session s ON s.id = t.session_id",
    "hash_id": "JOIN store.hash h ON h.id = t.hash_id",
    "context_id": "JOIN named_context c ON c.id = t.context_id",
}

# For other programs: what the numbers in the rows of an archive mean.
_MEANINGS = {
    "event": "event_source(t.kind) AS source, event_result(t.kind) AS event",
    "lookup": "CASE WHEN is_local_hit(t.kinds) THEN 'local_hit' WHEN is_remote_hit(t.kinds) THEN 'remote_hit'"
    " ELSE 'miss' END AS outcome",
}

CONTEXT_NAMES = """
CREATE TEMP TABLE named_context AS
SELECT *, to_json([team_id, slug, ci, interactive::VARCHAR])::VARCHAR AS context FROM store.context
"""
OTHER_LOGS = "SELECT count(*), min(name) FROM {files} WHERE digest NOT IN (SELECT digest FROM store.file)"

# The rows of each partition: how many they are, and a number that depends on their content but not on their order.
DIGESTS = "SELECT day, bucket, count(*), sum(hash(x))::VARCHAR FROM ({sql}) x GROUP BY ALL ORDER BY ALL"

# What the names of files are made of: the number of the export, something random, and the number in the export.
FILE_NAME = re.compile(r"(?:day=[^/]+/bucket=\d+/)?(\d{6})-[0-9a-f]{8}-\d{4,}\.parquet")


def export_log(
    connection: "DuckDBPyConnection", storage: Storage, manifest: Manifest, workspace: Path
) -> tuple[Manifest, list[LakeFile]]:
    """Make a lake equal to a log; return its new manifest, and the files that were written.

    Raises:
        ArchiveError: the place has other files, the lake has logs that this log has not, or another export was
            committed in the meantime; nothing is changed.
        UnreadableError: the storage cannot be read or written; nothing is changed.
    """
    storage.register(connection)
    _require_lake(connection, storage, manifest, workspace)
    connection.execute(CONTEXT_NAMES)
    number, export = manifest.number + 1, uuid4().hex[:8]
    buckets = manifest.buckets or choose_buckets(_busiest_day(connection))
    known = defaultdict[Partition, list[LakeFile]](list)
    for file in manifest.files:
        known[file.partition].append(file)
    files, written = list[LakeFile](), list[LakeFile]()
    try:
        for table in RELATIONS:
            for file, path in _table_files(connection, table, buckets, known, workspace):
                if path is None:
                    files.append(file)
                    continue
                place = f"day={file.day}/bucket={file.bucket}/" if file.day else ""
                name = f"{RELATIONS[table][0]}/{place}{number:06}-{export}-{len(written):04}.parquet"
                written.append(replace(file, path=name))
                storage.put(name, path)
                path.unlink()
        after = Manifest(number, buckets, files + written)
        if not written and len(files) == len(manifest.files):
            return manifest, []
    except BaseException:
        storage.delete(file.path for file in written)
        raise
    commit(storage, after, [file.path for file in written])
    with suppress(UnreadableError):  # the export is complete; the next one deletes them
        delete_leftovers(storage, after)
    return after, written


def commit(storage: Storage, manifest: Manifest, written: Iterable[str]) -> None:
    """Make the files of a manifest the lake; if there is another one of that number, delete what was `written`.

    If the storage fails, the manifest may have been stored, or be stored yet: then the files stay. If it was not, the
    next export deletes them.

    Raises:
        ArchiveError: there is another manifest of that number.
        UnreadableError: the storage failed.
    """
    name = f"{MANIFESTS}/{manifest.number:08}.json"
    content = json.dumps({"version": VERSION, **asdict(manifest)}, indent=1).encode()
    # A client that sent its request again, because it got no answer, finds what it had stored itself.
    if not storage.create(name, content) and storage.read(name) != content:
        storage.delete(written)
        raise ArchiveError(f"{storage.root}: another export was committed in the meantime; run this again")


def require_lake_or_nothing(storage: Storage, manifest: Manifest) -> None:
    """Raise ArchiveError if there are files of others where a new lake shall be."""
    relations = {relation for relation, _ in RELATIONS.values()}
    for name in storage.names("") if not manifest.number else ():
        relation, _, rest = name.partition("/")
        if relation not in {*relations, MANIFESTS} or (relation in relations and not FILE_NAME.fullmatch(rest)):
            raise ArchiveError(f"{storage.root}: not a lake, and not empty ({name}); name an empty place")


def _require_lake(connection: "DuckDBPyConnection", storage: Storage, manifest: Manifest, workspace: Path) -> None:
    """Raise ArchiveError unless the place is empty, or a lake without logs that the source has not."""
    require_lake_or_nothing(storage, manifest)
    if not manifest.number:
        return
    files = parquet(paths_of(storage, manifest.of("file"), workspace))
    ((count, name),) = connection.execute(OTHER_LOGS.format(files=files)).fetchall()
    if count:
        raise ArchiveError(
            f"{storage.root}: the lake has {count:,} logs that this source has not, such as {name}; load all logs into"
            " one archive, and export that, or export to another place"
        )


def delete_leftovers(storage: Storage, manifest: Manifest) -> None:
    """Delete the files that were replaced, and those of exports that were killed or came too late."""
    storage.delete(_leftovers(storage, manifest))


def _leftovers(storage: Storage, manifest: Manifest) -> Iterator[str]:
    known = {file.path for file in manifest.files}
    for relation, _ in RELATIONS.values():
        for name in storage.names(f"{relation}/"):
            match = FILE_NAME.fullmatch(name.removeprefix(f"{relation}/"))
            if match and name not in known and int(match[1]) <= manifest.number:
                yield name


def _busiest_day(connection: "DuckDBPyConnection") -> int:
    busiest = "SELECT max(n) FROM (SELECT count(*) AS n FROM store.lookup GROUP BY first_at::DATE)"
    return connection.execute(busiest).fetchall()[0][0] or 0


def choose_buckets(lookups: int) -> int:
    """Return into how many buckets teams are divided, for so many lookups on the busiest day."""
    buckets = 1
    while buckets * LOOKUPS_PER_BUCKET < lookups and buckets < MAX_BUCKETS:
        buckets *= 2
    return buckets


def _table_files(
    connection: "DuckDBPyConnection", table: str, buckets: int, known: Mapping[Partition, Sequence[LakeFile]],
    workspace: Path,
) -> Iterator[tuple[LakeFile, Path | None]]:  # fmt: skip
    """Yield the files of a relation: those that are in the lake already, and the others with their path."""
    sql, directory = export_sql(connection, table, buckets), workspace / table
    digests, sizes = dict[Partition, str](), dict[Partition, int]()  # of the partitions that changed
    for day, bucket, rows, digest in connection.execute(DIGESTS.format(sql=sql)).fetchall():
        files, partition = known.get((table, day, bucket), ()), (table, day, bucket)
        if sum(file.rows for file in files) == rows and all(file.digest == digest for file in files):
            yield from ((file, None) for file in files)
        else:
            digests[partition], sizes[partition] = digest, rows
    if not RELATIONS[table][1]:
        if digests:
            directory.mkdir()
            plain = f"SELECT * EXCLUDE (day, bucket) FROM ({sql})"
            connection.execute(f"COPY ({plain}) TO {sql_text(f'{directory}/all.parquet')} ({PARQUET})")
            yield from written_files(connection, table, directory, digests)
        return
    for partitions in _written_together(sizes):
        places = ", ".join(f"({sql_text(str(day))}, {bucket})" for _, day, bucket in partitions)
        some = export_sql(connection, table, buckets, _is_between(table, [str(day) for _, day, _ in partitions]))
        rows_sql = f"SELECT * FROM ({some}) WHERE (day, bucket) IN ({places})"
        options = f"{PARQUET}, PARTITION_BY (day, bucket)"
        connection.execute(f"COPY ({rows_sql}) TO {sql_text(str(directory))} ({options})")
        yield from written_files(connection, table, directory, digests)
        shutil.rmtree(directory)


def _written_together(sizes: Mapping[Partition, int]) -> Iterator[list[Partition]]:
    """Divide partitions, by their numbers of rows, into groups of about `ROWS_AT_ONCE`, in the order of their days."""
    group, rows = list[Partition](), 0
    for partition in sizes:
        if group and rows + sizes[partition] > ROWS_AT_ONCE:
            yield group
            group, rows = [], 0
        group.append(partition)
        rows += sizes[partition]
    if group:
        yield group


def _is_between(table: str, days: Sequence[str]) -> str:
    """Return the condition that a row is of the first to the last of some days, so that DuckDB skips most others."""
    time, known = f"t.{RELATIONS[table][1]}", [day for day in days if day != UNKNOWN_DAY]
    conditions = [f"{time} BETWEEN '{min(known)}' AND '{max(known)} 23:59:59.999999'"] if known else []
    return " OR ".join(conditions + [f"{time} IS NULL"] * (UNKNOWN_DAY in days))


def written_files(
    connection: "DuckDBPyConnection", table: str, directory: Path, digests: Mapping[Partition, str]
) -> Iterator[tuple[LakeFile, Path]]:
    """Yield the files in a directory that DuckDB wrote the rows of a relation to, each with its path there."""
    for path in sorted(directory.rglob("*.parquet")):  # a partition may have several
        parts = [unquote(part.partition("=")[2]) for part in path.relative_to(directory).parts[:-1]]
        partition = (table, parts[0], int(parts[1])) if parts else (table, None, None)
        count = f"SELECT num_rows FROM parquet_file_metadata({sql_text(str(path))})"
        ((rows,),) = connection.execute(count).fetchall()
        yield LakeFile(table, "", rows, path.stat().st_size, digests[partition], *partition[1:]), path


def export_sql(connection: "DuckDBPyConnection", table: str, buckets: int, where: str = "true") -> str:
    """Return the SQL of the rows of a relation, with `day` and `bucket`; these are null if it is not partitioned.

    `where` is a condition on the row `t` of the archive.
    """
    columns, time = [name for name, *_ in connection.execute(f"DESCRIBE store.{table}").fetchall()], RELATIONS[table][1]
    selected = ["t.context"] if table == "context" else []
    numbers = [name for name in columns if is_name(table, name) or (table, name) == ("event", "kind")]
    selected += [NAMES.get(name, f't."{name}"') for name in columns if name not in numbers]
    selected += [_MEANINGS[table]] if table in _MEANINGS else []
    joins = " ".join(join for name, join in _JOINS.items() if name in columns)
    if table in SESSION_TIMES:
        selected.append("m.first_at AS session_first_at")
        joins += " JOIN store.session_summary m ON m.session_id = t.session_id"
    day, bucket = "NULL", "NULL"
    if time:
        selected.append("c.team_id, c.slug, c.team, c.ci, c.interactive")
        day = f"coalesce(strftime(t.{time}, '%Y-%m-%d'), '{UNKNOWN_DAY}')"
        bucket = f"({TEAM_NUMBER.format(team='c.team')} % {buckets})::INTEGER"
    source = "named_context" if table == "context" else f"store.{table}"
    return f"SELECT {', '.join(selected)}, {day} AS day, {bucket} AS bucket FROM {source} t {joins} WHERE {where}"
