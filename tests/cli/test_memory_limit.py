"""The option --memory-limit, and its argument in Python."""

from typing import Any

import pytest
from conftest import Cli, event, report_of

import analyzer

QUERY = "SELECT current_setting('memory_limit') AS \"limit\""


@pytest.mark.parametrize(("size", "found"), [("500MB", "476.8 MiB"), ("2gb", "1.8 GiB"), ("1.5GiB", "1.5 GiB")])
def test_duckdb_takes_no_more(size: str, found: str, cli: Cli, log: Any, tmp_path: Any) -> None:
    path, archive = log([event()]), tmp_path / "a.duckdb"
    assert cli("load", path, "--into", archive, "--memory-limit", size).code == 0
    for source in (path, archive):
        assert report_of(cli, "sql", source, "--memory-limit", size, QUERY).table("result") == [{"limit": found}]


def test_in_python(log: Any) -> None:
    with analyzer.load(log([event()]), memory_limit=500) as opened:
        assert opened.sql(QUERY)["limit"].item() == "476.8 MiB"


@pytest.mark.parametrize(("size", "problem"), [
    ("lots", "'lots' is not a size such as 500MB, 2GB or 1.5GiB"),
    ("5MB", "'5MB' is not between 100MB and 1000TB"),
    ("99999999999TB", "is not between"),
])  # fmt: skip
def test_other_sizes_are_refused(size: str, problem: str, cli: Cli, log: Any) -> None:
    result = cli("stats", log([event()]), "--memory-limit", size)
    assert (result.code, problem in result.err) == (2, True), result.err
