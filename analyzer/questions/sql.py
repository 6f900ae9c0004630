"""Runs the SQL query of a user on an open log, and streams its result.

A query is a single statement that only reads: access to files and the network was disabled when the log was opened,
and the configuration is locked before the first query. Text formats get rows from DuckDB's cursor, in small batches;
data frames get Arrow batches, which keep every type but are always 131,072 rows. Both apply the same casts. DuckDB
writes Parquet, and CSV of plain types into files: Polars would take twice the memory, and Python ten times as long.
"""

import csv
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from analyzer.archive.database import interrupted_by_signals, temporary_directory, write_result
from analyzer.archive.open_log import OpenLog
from analyzer.errors import QueryError, UnreadableError, UsageError
from analyzer.questions.report import Report, account_for
from analyzer.readers.formats import HEAD_BYTES
from analyzer.readers.stream import Stream
from analyzer.table import NUMBER, TEXT, Column, Table
from analyzer.text import is_utf8, sql_text

if TYPE_CHECKING:
    import polars as pl
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

BATCH_ROWS = 10_000
COPY_BYTES = 1 << 20

# The SQL types that columns are cast to, by the id of DuckDB's type. Times become naive UTC, as the time zone of the
# connection is UTC; types without an equivalent in Python or Polars become the text that DuckDB writes.
TEXT_TYPES = dict.fromkeys(
    ("interval", "time with time zone", "bit", "bignum", "tuple", "union", "variant", "geometry", "type", "null"),
    "VARCHAR",
) | {"timestamp with time zone": "TIMESTAMP"}

# The same for data frames. Polars has no more than 38 digits, and without the cast it rounds longer integers.
FRAME_TYPES = TEXT_TYPES | dict.fromkeys(("hugeint", "uhugeint"), "DECIMAL(38,0)")

# The same for Parquet: many readers show its types of UUID and JSON as bytes.
PARQUET_TYPES = FRAME_TYPES | dict.fromkeys(("uuid", "json"), "VARCHAR")

# The text of CSV that rows of these types become in Python, as SQL: DuckDB writes it ten times as fast. Only these.
CSV_TEXT = dict.fromkeys(
    ("boolean", "tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint",
     "decimal"), "{0}::VARCHAR"
) | {
    "varchar": "nullif({0}, '')",
    "double": "CASE WHEN {0} = trunc({0}) AND abs({0}) < 2 ** 63 THEN {0}::HUGEINT::VARCHAR ELSE {0}::VARCHAR END",
    "timestamp": "CASE WHEN NOT isfinite({0}) THEN {0}::VARCHAR"
                 " WHEN epoch_us({0}) % 1000 = 0 THEN strftime({0}, '%Y-%m-%dT%H:%M:%S.%gZ')"
                 " ELSE strftime({0}, '%Y-%m-%dT%H:%M:%S.%fZ') END",
}  # fmt: skip

# DuckDB keeps a group of rows in memory until it is complete.
PARQUET_OPTIONS = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 65536"

# The suffixes of files that can be attached to a query; CSV may be compressed.
ATTACHED_SUFFIXES = (".csv", ".tsv", ".parquet")
COMPRESSION_SUFFIXES = (".gz", ".zst")
JOINED_COLUMNS = {
    "session", "hash", "team", "team_id", "slug", "ci", "task", "package", "branch", "sha", "user", "run",
}  # fmt: skip
MAX_REASON_LINES = 4
# The types of columns of CSV, each with what holds for its values; other values remain text.
CSV_TYPES = (
    ("BIGINT", "TRY_CAST({0} AS BIGINT)::VARCHAR = {0}"),
    ("DOUBLE", "TRY_CAST({0} AS DOUBLE) IS NOT NULL AND NOT regexp_matches({0}, '^[+-]?0[0-9]')"),
    ("BOOLEAN", "lower({0}) IN ('true', 'false')"),
    ("DATE", "TRY_CAST({0} AS DATE)::VARCHAR = {0}"),
    ("TIMESTAMP", "TRY_CAST({0} AS TIMESTAMP) IS NOT NULL AND regexp_matches({0}, '^[0-9]{{4}}-.*:')"),
)
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

HAS_LOOKUPS = "SELECT EXISTS (FROM store.lookup)"


class QueryRows(Sequence[tuple[Any, ...]]):
    """The rows of a relation, fetched in batches while they are iterated, each time anew.

    `len`, `bool` and indexing fetch all rows and keep them, for formats that lay out the whole table.
    """

    def __init__(self, connection: "DuckDBPyConnection", relation: "DuckDBPyRelation") -> None:
        self._connection, self._sql = connection, relation.sql_query()

    @cached_property
    def _all(self) -> list[tuple[Any, ...]]:
        return list(self._stream())

    def _stream(self) -> Iterator[tuple[Any, ...]]:
        result = self._connection.execute(self._sql)
        while batch := result.fetchmany(BATCH_ROWS):
            yield from batch

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._all) if "_all" in vars(self) else self._stream()

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, index: Any) -> Any:
        return self._all[index]


@dataclass(frozen=True, slots=True)
class Query:
    """A query that is checked and bound, but does not run yet. Read the rows of its report inside `errors()`."""

    log: OpenLog
    connection: "DuckDBPyConnection"
    relation: "DuckDBPyRelation"

    def report(self) -> Report:
        """Return the report of `sql`, with the table `result`, whose rows are streamed."""
        columns = [
            Column(name, _unit(kind), str(kind))
            for name, kind in zip(self.relation.columns, self.relation.types, strict=True)
        ]
        rows = QueryRows(self.connection, _cast(self.relation, TEXT_TYPES))
        table = Table("result", columns, rows, write_parquet=self.write_parquet)
        if all(kind.id in CSV_TEXT for kind in self.relation.types):
            table = replace(table, write_csv=self.write_csv)
        # Queried before the rows are read: a connection runs nothing else while it streams a result.
        counts, notes = self.log.counts(), list[str]()
        if self.log.view == "runs" and not self.connection.execute(HAS_LOOKUPS).fetchall()[0][0]:
            notes.append("the log has run summaries only: query runs and tasks; events, lookups and sessions are empty")
        return Report("sql", account_for(counts, counts.kept), [table], table, notes)

    def frame(self) -> "pl.DataFrame":
        """Return the result as a data frame."""
        import polars as pl  # noqa: PLC0415  (0.15 s, only where it is needed)

        with self.errors():
            return pl.DataFrame(_cast(self.relation, FRAME_TYPES))

    def write_parquet(self, stream: BinaryIO) -> None:
        """Write the result to a Parquet file while the query runs."""
        self._write(_cast(self.relation, PARQUET_TYPES), PARQUET_OPTIONS, stream)

    def write_csv(self, stream: BinaryIO) -> None:
        """Write the result to a CSV file while the query runs."""
        names = [_quoted(name) for name in self.relation.columns]
        texts = (CSV_TEXT[kind.id].format(name) for name, kind in zip(names, self.relation.types, strict=True))
        columns = ", ".join(f"{text} AS {name}" for text, name in zip(texts, names, strict=True))
        self._write(self.relation.project(columns), "FORMAT csv, HEADER", stream)

    def _write(self, relation: "DuckDBPyRelation", options: str, stream: BinaryIO) -> None:
        path = write_result(self.connection, relation.sql_query(), options)
        try:
            with path.open("rb") as file:
                shutil.copyfileobj(file, stream, COPY_BYTES)
        finally:
            path.unlink()

    @contextmanager
    def errors(self, *, exit_on_second_interrupt: bool = False) -> Iterator[None]:
        """Allow the query to run, and convert its errors to QueryError.

        Ctrl-C raises KeyboardInterrupt, also within a step of the query that takes long.
        """
        import duckdb  # noqa: PLC0415  (loaded already; only its error is needed)

        connection = self.connection
        try:
            with (
                _read_only_transaction(connection),
                interrupted_by_signals(connection, exit_on_second=exit_on_second_interrupt),
            ):
                yield
        except duckdb.InterruptException:
            raise KeyboardInterrupt from None
        except duckdb.Error as error:
            raise QueryError(self._message(str(error))) from None
        except Exception as error:
            # An error after the first Arrow batch arrives as a ComputeError of Polars, which this module does not load.
            _, is_external, text = str(error).partition("got external error: ")
            if not is_external:
                raise
            raise QueryError(self._message(text)) from None

    def _message(self, text: str) -> str:
        pairs = zip(self.relation.columns, self.relation.types, strict=True)
        names = [name for name, kind in pairs if "HUGEINT" in str(kind)]
        if not names or FRAME_TYPES["hugeint"] not in text:
            return text
        problem = "an integer of more than 38 digits, which no data frame holds"
        return f"column {' or '.join(names)}: {problem}; cast it, such as {_quoted(names[0])}::VARCHAR"


def prepare_query(log: OpenLog, sql: str, attached: Mapping[str, Path] | None = None) -> Query:
    """Check a query, and return it bound to the relations of the log, and to those of files by their names.

    Raises:
        QueryError: it is not a single query, does not bind, or has two columns of one name; a file cannot be read.
        UsageError: the name or the format of a file cannot be used.
    """
    import duckdb  # noqa: PLC0415  (loaded already; only its error is needed)

    # It finds the relations for users, and not the tables that these are made of.
    connection = log.connection.cursor()
    connection.execute("SET search_path = 'main'")
    for name, path in (attached or {}).items():
        _attach(connection, name, path)
    try:
        text = _parse_query(connection, sql)
        with _read_only_transaction(connection):
            relation = connection.sql(text)
    except duckdb.TransactionException:
        raise QueryError("a query only reads the log; this one would change it") from None
    except duckdb.Error as error:
        raise QueryError(str(error)) from None
    names = relation.columns
    if len(set(names)) < len(names):
        raise QueryError(f"two columns have the same name ({', '.join(names)}); rename one with AS")
    return Query(log, connection, relation)


def attached_suffix(name: str, path: Path) -> str:
    """Return the suffix that gives the format of a file which is attached as `name`.

    Raises:
        UsageError: the name is no identifier, or the suffix of the file is that of no format.
    """
    if not IDENTIFIER.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a relation; use letters, digits and _, such as prices")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    suffix = next((one for one in reversed(suffixes) if one not in COMPRESSION_SUFFIXES), "")
    if suffix not in ATTACHED_SUFFIXES or (suffix == ".parquet" and suffixes[-1] != suffix):
        raise UsageError(f"{path}: the suffix of an attached file must be one of {', '.join(ATTACHED_SUFFIXES)}")
    return suffix


def _attach(connection: "DuckDBPyConnection", name: str, path: Path) -> None:
    """Create a temporary table with the rows of a file."""
    import duckdb  # noqa: PLC0415  (loaded already; only its error is needed)

    suffix = attached_suffix(name, path)
    taken = [relation for (relation,) in connection.execute("SELECT name FROM (SHOW TABLES)").fetchall()]
    if name.lower() in taken:
        raise UsageError(f"{name}: that is a relation of the log; attach the file under another name")
    # SQL has no access to other files, so DuckDB reads a copy where it has.
    with temporary_directory(connection) as directory:
        copy = directory / "".join(["attached", *path.suffixes[-2:]]).lower()
        try:
            shutil.copyfile(path, copy)
            rows = _parquet_rows(copy) if suffix == ".parquet" else _read_csv(connection, copy, suffix)
            connection.execute(f"CREATE TEMP TABLE {_quoted(name)} AS {rows}; DROP TABLE IF EXISTS attached_text")
        except OSError as error:
            raise QueryError(f"{name} ({path.name}): {error.strerror}") from None
        except (duckdb.Error, UnicodeDecodeError, UnreadableError, ValueError) as error:
            lines = [line.strip() for line in str(error).replace(str(copy), path.name).splitlines() if line.strip()]
            raise QueryError(f"{name} ({path.name}): {'; '.join(lines[:MAX_REASON_LINES])}") from None


def _parquet_rows(path: Path) -> str:
    return f"FROM read_parquet({sql_text(str(path))}, hive_partitioning=false)"


def _read_csv(connection: "DuckDBPyConnection", path: Path, suffix: str) -> str:
    """Read a CSV file, whose first line has the names of the columns, and return the SQL of its rows.

    Only types are detected. DuckDB's own detection skips malformed rows, and can take a row for the header.

    Raises:
        ValueError: a column has no name, or that of another one.
    """
    header = Stream(path).head(HEAD_BYTES).decode("utf-8-sig", "replace").split("\n", 1)[0].rstrip("\r")
    delimiter = "\t" if suffix == ".tsv" else ";" if ";" in header and "," not in header else ","
    names = next(csv.reader([header], delimiter=delimiter), [])
    if not names or not all(names) or len(set(map(str.lower, names))) < len(names):
        raise ValueError(f"its first line must name each column once; found {', '.join(map(repr, names)) or 'nothing'}")
    columns = ", ".join(f"{sql_text(name)}: 'VARCHAR'" for name in names)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE attached_text AS FROM read_csv({sql_text(str(path))}, columns={{{columns}}},"
        f" delim={sql_text(delimiter)}, quote='\"', escape='\"', header=true, auto_detect=false,"
        " hive_partitioning=false)"
    )
    return f"SELECT {', '.join(_typed(connection, name) for name in names)} FROM attached_text"


def _typed(connection: "DuckDBPyConnection", name: str) -> str:
    """Return the SQL of a column of text in the first type that all its values have."""
    column = _quoted(name)
    for kind, condition in () if name.lower() in JOINED_COLUMNS else CSV_TYPES:
        holds = f"bool_and(coalesce({condition.format(column)}, false)) FILTER ({column} IS NOT NULL)"
        if connection.execute(f"SELECT {holds} FROM attached_text").fetchall()[0][0]:
            return f"{column}::{kind} AS {column}"
    return column


@contextmanager
def _read_only_transaction(connection: "DuckDBPyConnection") -> Iterator[None]:
    """Open a transaction for one query: statements that change data may hide in it, as in WITH x AS (DELETE …)."""
    import duckdb  # noqa: PLC0415  (loaded already; only its error is needed)

    connection.execute("BEGIN TRANSACTION READ ONLY")
    try:
        yield
    finally:
        with suppress(duckdb.Error):  # after an interrupt, the connection may be closed already
            connection.execute("ROLLBACK")


def _parse_query(connection: "DuckDBPyConnection", sql: str) -> str:
    """Return the single query in `sql`, and lock the configuration, so that no query changes what it may access."""
    if not is_utf8(sql):
        raise QueryError("the SQL is not valid UTF-8; write it as UTF-8")
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or not _is_query(statements[0]):
        raise QueryError("exactly one query is expected: SELECT, WITH, FROM, DESCRIBE, SUMMARIZE or SHOW")
    if not connection.execute("SELECT current_setting('lock_configuration')").fetchall()[0][0]:
        connection.execute("SET lock_configuration = true")
    return _without_end(statements[0].query)


def _is_query(statement: Any) -> bool:
    """Return whether a statement is a SELECT; DuckDB gives FROM, WITH, DESCRIBE, SUMMARIZE and SHOW the same type."""
    try:
        return bool(statement.type.name == "SELECT")
    except ValueError:  # a statement of a type that DuckDB's Python module does not know
        return False


def _without_end(query: str) -> str:
    """Return a query without semicolons and comments behind it: DuckDB cannot cast the columns of one that has both."""
    import duckdb  # noqa: PLC0415  (loaded already; only its tokenizer is needed)

    text = query.encode()
    for start, kind in reversed(duckdb.tokenize(query)):
        if kind != duckdb.token_type.comment and text[start : start + 1] != b";":
            break
        text = text[:start]
    return text.decode()


def _cast(relation: "DuckDBPyRelation", types: Mapping[str, str]) -> "DuckDBPyRelation":
    """Return a relation with the columns cast whose type is one of `types`, or contains one."""
    expressions = []
    for name, kind in zip(relation.columns, relation.types, strict=True):
        column, target = _quoted(name), _cast_type(kind, types)
        expressions.append(column if target == str(kind) else f"{column}::{target} AS {column}")
    if expressions == [_quoted(name) for name in relation.columns]:
        return relation
    return relation.project(", ".join(expressions))


def _cast_type(kind: Any, types: Mapping[str, str]) -> str:
    """Return the SQL of a type with the types inside it replaced."""
    name = "json" if str(kind) == "JSON" else kind.id  # to DuckDB, JSON is a kind of VARCHAR
    if name in types:
        return types[name]
    if kind.id not in ("list", "array", "struct", "map"):
        return str(kind)
    inner = {name: _cast_type(child, types) for name, child in kind.children if name != "size"}
    if kind.id == "list":
        return f"{inner['child']}[]"
    if kind.id == "array":
        return f"{inner['child']}[{dict(kind.children)['size']}]"
    if kind.id == "map":
        return f"MAP({inner['key']}, {inner['value']})"
    return f"STRUCT({', '.join(f'{_quoted(name)} {child}' for name, child in inner.items())})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _unit(kind: Any) -> str:
    """Return the unit of a column: of SQL, only whether it is a number is known."""
    return NUMBER if kind.id.endswith("int") or kind.id in ("integer", "double", "float", "decimal") else TEXT
