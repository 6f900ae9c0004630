"""`sql`: every type of DuckDB in every format, errors, and exports in batches."""

import csv
import io
import json
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import Cli, event, ndjson, report_of

import analyzer
from analyzer.archive.open_log import LoadObserver, open_log
from analyzer.archive.relation_columns import RELATIONS
from analyzer.archive.staging import ReadOptions
from analyzer.questions import sql

MAX_HUGEINT = 2**127 - 1
UUID = "00000000-0000-0000-0000-000000000001"

# For each type: its SQL, its text in CSV, its value in JSON, and its value in a data frame and in Parquet.
VALUES: dict[str, tuple[str, str, Any, Any]] = {
    "decimal": ("1.50", "1.50", 1.5, Decimal("1.50")),
    "whole decimal": ("7::DECIMAL(9,0)", "7", 7, Decimal(7)),
    "long decimal": (
        "12345678901234567890.123::DECIMAL(38,3)",
        "12345678901234567890.123",
        "12345678901234567890.123",
        Decimal("12345678901234567890.123"),
    ),
    "hugeint": ("sum(1)", "1", 1, Decimal(1)),
    "uhugeint": ("5::UHUGEINT", "5", 5, Decimal(5)),
    "ubigint": ("18446744073709551615::UBIGINT", str(2**64 - 1), 2**64 - 1, 2**64 - 1),
    "bignum": (f"{10**40}::BIGNUM", str(10**40), str(10**40), str(10**40)),
    "NaN": ("'nan'::DOUBLE", "nan", None, pytest.approx(float("nan"), nan_ok=True)),
    "blob": (r"'a\xAA\x0A'::BLOB", r"a\xAA\x0A", r"a\xAA\x0A", b"a\xaa\n"),
    "bit": ("'101'::BIT", "101", "101", "101"),
    "uuid": (f"'{UUID}'::UUID", UUID, UUID, UUID),
    "interval": ("INTERVAL 1 MONTH", "1 month", "1 month", "1 month"),
    "timestamptz": (
        "TIMESTAMPTZ '2026-03-02 10:00:00+02'", *["2026-03-02T08:00:00.000Z"] * 2, datetime(2026, 3, 2, 8),  # noqa: DTZ001
    ),
    "timetz": ("'10:00:00+02'::TIMETZ", "10:00:00+02", "10:00:00+02", "10:00:00+02"),
    "date": ("DATE '2026-03-02'", "2026-03-02", "2026-03-02", date(2026, 3, 2)),
    "enum": ("'a'::ENUM('a', 'b')", "a", "a", "a"),
    "json": ("""'{"a": 1}'::JSON""", '{"a": 1}', '{"a": 1}', '{"a": 1}'),
    "null": ("NULL", "", None, None),
    "union": ("union_value(a := 1)", "1", "1", "1"),
    "tuple": ("row(1, INTERVAL 1 DAY)", "(1, 1 day)", "(1, 1 day)", "(1, 1 day)"),
    "list": ("[1, NULL]", "[1, null]", [1, None], [1, None]),
    "array": ("[1.5, 2]::DOUBLE[2]", "[1.5, 2]", [1.5, 2], [1.5, 2]),
    "map": ("MAP {1: DATE '2026-03-02'}", '{"1": "2026-03-02"}', {"1": "2026-03-02"}, {1: date(2026, 3, 2)}),
    "struct": (
        """{'a "b': [TIMESTAMPTZ '2026-03-02 10:00:00+02'], 'c': MAP {'d': INTERVAL 1 DAY}}""",
        '{"a \\"b": ["2026-03-02T08:00:00.000Z"], "c": {"d": "1 day"}}',
        {'a "b': ["2026-03-02T08:00:00.000Z"], "c": {"d": "1 day"}},
        {'a "b': [datetime(2026, 3, 2, 8)], "c": {"d": "1 day"}},  # noqa: DTZ001
    ),
    "list of hugeint": ("[sum(1)]", "[1]", [1], [Decimal(1)]),
    "list of decimal": ("[1.5]", "[1.5]", [1.5], [Decimal("1.5")]),
}  # fmt: skip
QUERY = (
    "SELECT " + ", ".join(f'{expression} AS "{name}"' for name, (expression, *_) in VALUES.items()) + "; -- a comment"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "log.ndjson").write_text(ndjson([event()]))
    return tmp_path / "log.ndjson"


def test_types_in_text_formats(path: Path, cli: Cli) -> None:
    (row,) = csv.DictReader(io.StringIO(cli("sql", path, QUERY, "--format", "csv").out))
    assert row == {name: text for name, (_, text, _, _) in VALUES.items()}
    expected = {name: value for name, (_, _, value, _) in VALUES.items()}
    assert json.loads(cli("sql", path, QUERY, "--format", "ndjson").out) == expected
    assert cli("sql", path, QUERY, "--format", "json").table("result") == [expected]


@pytest.mark.parametrize("name", VALUES)
def test_types_in_tables(name: str, path: Path, cli: Cli) -> None:
    expression, text, *_ = VALUES[name]
    found = cli("sql", path, f"SELECT {expression} AS x, 'end' AS y").out.splitlines()[3]
    special = {"NaN": "—", "null": "—", "timestamptz": "2026-03-02 08:00:00 UTC"}
    nested = expression.startswith(("[", "{", "MAP"))
    assert found.removesuffix("end").strip() == special.get(name, text) or nested


@pytest.mark.parametrize("output", ["table", "markdown"])
def test_nested_values_in_tables_are_json(output: str, path: Path, cli: Cli) -> None:
    found = cli("sql", path, "SELECT {'a': 1.50::DECIMAL(5, 2), 'b': ['x']} AS s", "--format", output).out
    assert '{"a": 1.5, "b": ["x"]}' in found.replace("\\[", "[").replace("\\]", "]")


def test_types_in_data_frames(path: Path, tmp_path: Path, cli: Cli) -> None:
    with analyzer.load(path) as log:
        frame = log.sql(QUERY)
    assert frame.row(0, named=True) == {name: value for name, (_, _, _, value) in VALUES.items()}
    assert cli("sql", path, QUERY, "-o", tmp_path / "x.parquet").code == 0
    written = pl.read_parquet(tmp_path / "x.parquet")
    assert written.equals(frame)
    assert written.select("uuid", "json").dtypes == [pl.String, pl.String]


@pytest.mark.parametrize("expression", [f"{MAX_HUGEINT}", f"[{MAX_HUGEINT}]"])
def test_an_integer_too_long_for_a_data_frame(expression: str, path: Path, tmp_path: Path, cli: Cli) -> None:
    query = f"SELECT 1 AS n, {expression} AS big"
    message = (
        'column big: an integer of more than 38 digits, which no data frame holds; cast it, such as "big"::VARCHAR'
    )
    with analyzer.load(path) as log, pytest.raises(analyzer.QueryError, match=message):
        log.sql(query)
    result = cli("sql", path, query, "-o", tmp_path / "x.parquet")
    assert (result.code, message in result.err, (tmp_path / "x.parquet").exists()) == (1, True, False)
    assert str(MAX_HUGEINT) in cli("sql", path, query, "--format", "csv").out


LATE_ERROR = "SELECT CASE WHEN range = 300_000 THEN 'abc' ELSE '1' END::INTEGER AS n FROM range(300_001)"


@pytest.mark.parametrize("suffix", ["csv", "ndjson", "json", "parquet", "txt"])
def test_a_query_that_fails_leaves_no_file(suffix: str, path: Path, tmp_path: Path, cli: Cli) -> None:
    for query in (LATE_ERROR, "SELECT error('early') AS n"):
        result = cli("sql", path, query, "-o", tmp_path / f"x.{suffix}")
        assert (result.code, result.out) == (1, "")
        assert result.err.startswith(
            ("error: Conversion Error: Could not convert string 'abc'", "error: Invalid Input")
        )
        assert [one.name for one in tmp_path.iterdir()] == ["log.ndjson"]


def test_a_query_that_fails_late_in_a_data_frame(path: Path) -> None:
    with analyzer.load(path) as log, pytest.raises(analyzer.QueryError, match=r"^Conversion Error: Could not convert"):
        log.sql(LATE_ERROR)


@pytest.mark.parametrize("suffix", ["csv", "ndjson", "parquet"])
def test_exports_keep_order_across_batches(suffix: str, path: Path, tmp_path: Path, cli: Cli) -> None:
    query = "SELECT range AS n, TIMESTAMPTZ '2026-03-02 10:00+00' AS at FROM range(200_000) ORDER BY n DESC"
    assert cli("sql", path, query, "-o", tmp_path / f"x.{suffix}").code == 0
    read = {"csv": pl.read_csv, "ndjson": pl.read_ndjson, "parquet": pl.read_parquet}[suffix]
    assert read(tmp_path / f"x.{suffix}")["n"].to_list() == list(range(199_999, -1, -1))


def test_rows_are_fetched_in_batches(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "BATCH_ROWS", 2)
    with open_log([str(path)], ReadOptions(), LoadObserver()) as log:
        rows = sql.prepare_query(log, "FROM range(5)").report().primary.rows
        assert next(iter(rows)) == (0,)
        assert list(rows) == [(n,) for n in range(5)]
        assert (len(rows), rows[-1], list(rows)) == (5, (4,), [(n,) for n in range(5)])


# The peak of this process alone: ru_maxrss would include the process that started it.
MEMORY = """
import re, sys
from analyzer.cli import run
code = run(sys.argv[1:])
print(code, int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)
"""


def test_users_see_the_relations_and_not_what_they_are_made_of(cli: Cli, log: Any) -> None:
    shown = [row["name"] for row in report_of(cli, "sql", log([event()]), "SHOW TABLES").table("result")]
    assert shown == [
        "artifacts", "columns", "events", "files", "inputs", "lookups", "rejects", "runs", "session_quarters",
        "sessions", "tasks",
    ]  # fmt: skip
    result = cli("sql", log([event()]), "FROM lookup")
    assert (result.code, "Table with name lookup does not exist" in result.err) == (1, True)


def test_the_relation_columns_describes_each_column(cli: Cli, log: Any) -> None:
    found = report_of(
        cli, "sql", log([event()]),
        "SELECT table_name, column_name, description FROM duckdb_columns() LEFT JOIN columns c"
        " ON c.relation = table_name AND c.name = column_name"
        " WHERE schema_name = 'main' AND NOT internal AND table_name <> 'columns'"
        " ORDER BY table_name, column_index",
    ).table("result")  # fmt: skip
    assert all(row["description"] for row in found)
    described = [(name, column) for name in sorted(RELATIONS) for column in RELATIONS[name].columns]
    assert [(row["table_name"], row["column_name"]) for row in found] == described


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("query", "max_mb"),
    [
        ("SELECT range AS n, repeat('x', 500) || range AS text FROM range(1_000_000)", 600),  # 0.5 GB
        ("SELECT events.* FROM events, range(500_000)", 300),
    ],
    ids=["text", "events"],
)
def test_an_export_needs_no_memory_for_its_rows(
    query: str, max_mb: int, suffix: str, path: Path, tmp_path: Path
) -> None:
    arguments = ["sql", str(path), query, "-o", str(tmp_path / f"x.{suffix}")]
    done = subprocess.run([sys.executable, "-c", MEMORY, *arguments], capture_output=True, text=True, check=True)
    code, peak_mb = map(int, done.stdout.split())
    assert code == 0
    assert peak_mb < max_mb


@pytest.mark.parametrize(
    "query",
    [
        "WITH x AS (DELETE FROM store.event RETURNING *) SELECT count(*) FROM x",
        "WITH x AS (INSERT INTO store.event FROM store.event RETURNING 1) FROM x",
        "WITH x AS (UPDATE store.event SET kind = 1 RETURNING 1) FROM x",
        "UPDATE EXTENSIONS",
        "CONNECT 'x'",
    ],
)
@pytest.mark.parametrize("as_archive", [False, True])
def test_no_query_changes_the_log(query: str, as_archive: bool, path: Path, cli: Cli) -> None:  # noqa: FBT001
    if as_archive:
        assert cli("load", path, "--into", path.with_name("a.duckdb")).code == 0
        path = path.with_name("a.duckdb")
    result = cli("sql", path, query)
    assert (result.code, result.err.startswith("error: "), "Traceback" in result.err) == (1, True, False)
    with analyzer.load(path) as log:
        with pytest.raises(analyzer.QueryError):
            log.sql(query)
        assert log.sql("SELECT count(*) AS n FROM events")["n"].item() == 1


ODD = """
SELECT * FROM (VALUES
    (1.0::DOUBLE, 0.1::DOUBLE, 'a,b', true, TIMESTAMP '2026-09-01 10:00:00', 1.50::DECIMAL(4,2), 7),
    (1e22, 1e-7, 'say "hi"', false, TIMESTAMP '2026-09-01 10:00:00.000001', -3.00, -1),
    (-0.5, 1/3, '', NULL, NULL, NULL, NULL), (NULL, 5e-324, ' x ', NULL, NULL, 9, 1),
    (1e15 + 0.5, 123456789.123, E'two\\nlines', true, TIMESTAMP '1900-01-01', 0.01, 0),
    ('nan', 'infinity', 'NULL', NULL, TIMESTAMP '2026-09-01', 0, 2)) t("a b", b, "c,d", e, f, g, h)
"""


def test_csv_is_the_same_in_a_file_and_in_a_pipe(cli: Cli, log: Any, tmp_path: Path) -> None:
    """DuckDB writes files, Python pipes."""
    path, out = log([event(hash=f"h{number}") for number in range(3)]), tmp_path / "out.csv"
    for query in (ODD, "FROM events", "SELECT * FROM lookups", "SELECT 1 WHERE false"):
        piped = cli("sql", path, query, "--format", "csv").out
        assert cli("sql", path, query, "-o", out, "--force").code == 0
        assert list(csv.reader(io.StringIO(out.read_text()))) == list(csv.reader(io.StringIO(piped))), query
