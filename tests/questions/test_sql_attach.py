"""`sql --attach` and `log.sql(…, name=frame)`: a query over the log and the user's own tables."""

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
    assert f"{tmp_path}/o.parquet: " in damaged.err


def test_data_frames(log: Any) -> None:
    with analyzer.load(log(EVENTS)) as opened:
        assert opened.sql(QUERY, owners=OWNERS).to_dicts() == EXPECTED
        assert opened.sql(QUERY, owners=OWNERS.lazy()).to_dicts() == EXPECTED
        with pytest.raises(analyzer.UsageError, match="that is a relation of the log"):
            opened.sql("SELECT 1", lookups=OWNERS)
        with pytest.raises(analyzer.QueryError, match="owners"):
            opened.sql(QUERY)
