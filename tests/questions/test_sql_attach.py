"""`sql --attach` and `log.sql(…, name=frame)`: a query over the log and the user's own tables."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import Cli, event, report_of

import analyzer

EVENTS = [event(sessionId=name, hash=f"h{n}", slug=team) for n, (name, team) in enumerate(
    [("s1", "web"), ("s1", "web"), ("s2", "web"), ("s3", "data")])]  # fmt: skip
OWNERS = pl.DataFrame({"team": ["web", "data"], "owner": ["ann", "bob"], "at": ["2026-03-02", "2026-03-03"]})
QUERY = "SELECT owner, sum(lookups)::BIGINT AS lookups FROM sessions JOIN owners USING (team) GROUP BY 1 ORDER BY 1"
EXPECTED = [{"owner": "ann", "lookups": 3}, {"owner": "bob", "lookups": 1}]


@pytest.mark.parametrize("name", ["owners.csv", "owners.tsv", "owners.csv.gz", "owners.parquet", "odd [*] name.csv"])
def test_a_file_is_joined(cli: Cli, log: Any, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".parquet"):
        OWNERS.write_parquet(path)
    else:
        text = OWNERS.write_csv(separator="\t" if ".tsv" in name else ",")
        path.write_bytes(__import__("gzip").compress(text.encode()) if name.endswith(".gz") else text.encode())
    result = report_of(cli, "sql", log(EVENTS), "--attach", f"owners={path}", QUERY)
    assert result.table("result") == EXPECTED
    # The attached file is a relation, and no other file can be read.
    assert "owners" in cli("sql", log(EVENTS), "--attach", f"owners={path}", "SHOW TABLES").out
    refused = cli("sql", log(EVENTS), "--attach", f"owners={path}", f"FROM read_text('{path}')")
    assert refused.code == 1
    assert "file system operations are disabled" in refused.err


def test_an_archive_and_two_files(cli: Cli, log: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("session,note\ns1,first\ns3,third\n")
    (tmp_path / "b.csv").write_text("note,weight\nfirst,2\nthird,5\n")
    assert cli("load", log(EVENTS), "--into", tmp_path / "a.duckdb").code == 0
    files = ["--attach", f"a={tmp_path / 'a.csv'}", "--attach", f"b={tmp_path / 'b.csv'}"]
    query = "SELECT session, weight FROM sessions JOIN a USING (session) JOIN b USING (note) ORDER BY 1"
    rows = report_of(cli, "sql", tmp_path / "a.duckdb", *files, query).table("result")
    assert rows == [{"session": "s1", "weight": 2}, {"session": "s3", "weight": 5}]
    # Nothing of it stays in the archive.
    assert "no such" not in cli("sql", tmp_path / "a.duckdb", "SHOW TABLES").out
    assert cli("sql", tmp_path / "a.duckdb", "FROM a").code == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("owners", "--attach owners: a name and a file are expected, such as prices=prices.csv"),
        ("owners=missing.csv", "--attach owners=missing.csv: no such file"),
        ("a-b={here}/o.csv", "'a-b' cannot name a relation; use letters, digits and _"),
        ("owners={here}/o.xlsx", "o.xlsx: the suffix of an attached file must be one of .csv, .tsv, .parquet"),
        ("Lookups={here}/o.csv", "Lookups: that is a relation of the log; attach the file under another name"),
    ],
)
def test_what_cannot_be_attached(cli: Cli, log: Any, tmp_path: Path, value: str, message: str) -> None:
    for name in ("o.csv", "o.xlsx"):
        (tmp_path / name).write_text("team\nweb\n")
    result = cli("sql", log(EVENTS), "--attach", value.format(here=tmp_path), "SELECT 1")
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_a_name_for_two_files_and_a_damaged_file(cli: Cli, log: Any, tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("team\nweb\n")
    (tmp_path / "o.parquet").write_text("no Parquet")
    both = ["--attach", f"o={tmp_path}/o.csv", "--attach", f"o={tmp_path}/o.parquet"]
    twice = cli("sql", log(EVENTS), *both, "SELECT 1")
    assert (twice.code, "o is the name of another file" in twice.err) == (2, True)
    damaged = cli("sql", log(EVENTS), *both[2:], "SELECT 1")
    assert (damaged.code, damaged.out) == (1, "")
    assert damaged.err.startswith("error: o (o.parquet): ")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("team\nweb\na;b\nz;c\n", [("web",), ("a;b",), ("z;c",)]),
        ("branch\nmain\nfeature|x\nfix|y\n", [("main",), ("feature|x",), ("fix|y",)]),
        ("team,2026\nweb,5\nx,6\n", [("web", 5), ("x", 6)]),
        ("team;owner\nweb;anna\n", [("web", "anna")]),
        ("hash,n\n0012,1\n0013,2\n", [("0012", 1), ("0013", 2)]),
        ("at\n01/02/2026\n", [("01/02/2026",)]),
        ('team,note\nweb,"a, ""b"""\n', [("web", 'a, "b"')]),
        ("team,owner\n", []),
    ],
)
def test_nothing_but_types_is_guessed(cli: Cli, log: Any, tmp_path: Path, text: str, rows: list[Any]) -> None:
    (path := tmp_path / "o.csv").write_text(text)
    found = report_of(cli, "sql", log(EVENTS), "--attach", f"o={path}", "FROM o").table("result")
    assert [tuple(row.values()) for row in found] == rows


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"owner\nanna\nbob\nb,c\n", "Line: 4"),
        (b"team,owner\nweb,anna\ndata,bob,x\nx,y,x\n", "Line: 3"),
        (b"team,owner\nt0,o0\nt9,has, comma\nt10,z\n", "Line: 3"),
        (b"a,b,A\n1,2,3\n", "its first line must name each column once; found 'a', 'b', 'A'"),
        (b"a,,b\n1,2,3\n", "its first line must name each column once"),
        (b"team\nw\xffb\n", "Line: 2"),
        (b"", "its first line must name each column once"),
    ],
)
def test_malformed_rows_are_errors(cli: Cli, log: Any, tmp_path: Path, text: bytes, reason: str) -> None:
    (path := tmp_path / "o.csv").write_bytes(text)
    result = cli("sql", log(EVENTS), "--attach", f"o={path}", "FROM o")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("error: o (o.csv): ")
    assert reason in result.err


def test_an_attached_file_is_not_overwritten(cli: Cli, log: Any, tmp_path: Path) -> None:
    (path := tmp_path / "o.csv").write_text("team\nweb\n")
    result = cli("sql", log(EVENTS), "--attach", f"o={path}", "SELECT 1", "-o", path, "--force")
    assert result.code == 2
    assert path.read_text() == "team\nweb\n"


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        ({"a": [1]}, analyzer.UsageError, "a data frame of Polars is expected, not dict"),
        (pl.DataFrame(), analyzer.QueryError, "a column has no name"),
        (pl.DataFrame({"a": [1], "A": [2]}), analyzer.QueryError, "two have the same; rename them (SQL ignores case)"),
        (pl.DataFrame({"d": [timedelta(hours=1)]}), analyzer.QueryError, "column 'd' has the type Duration"),
        (pl.LazyFrame({"a": [1]}).select("b"), analyzer.QueryError, "o: "),
        (pl.scan_parquet("missing.parquet"), analyzer.QueryError, "o: "),
    ],
)
def test_frames_that_sql_cannot_have(log: Any, frame: Any, error: type[Exception], message: str) -> None:
    with analyzer.load(log(EVENTS)) as opened, pytest.raises(error, match=re.escape(message)):
        opened.sql("FROM o", o=frame)


def test_data_frames(log: Any) -> None:
    with analyzer.load(log(EVENTS)) as opened:
        assert opened.sql(QUERY, owners=OWNERS).to_dicts() == EXPECTED
        assert opened.sql(QUERY, owners=OWNERS.lazy()).to_dicts() == EXPECTED
        with pytest.raises(analyzer.UsageError, match="that is a relation of the log"):
            opened.sql("SELECT 1", lookups=OWNERS)
        with pytest.raises(analyzer.QueryError, match="owners"):
            opened.sql(QUERY)
