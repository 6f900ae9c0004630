"""What arguments of the Python API can be: others are a UsageError, and an empty one is not taken for none."""

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import Cli, event, ndjson

import analyzer


@pytest.fixture
def log(tmp_path: Path) -> analyzer.Log:
    known = event(teamId="web", ci="GITLAB", timestamp="2026-09-01T10:00Z")
    (tmp_path / "log").write_text(ndjson([known, known | {"sessionId": "s2", "hash": "h2"}]))
    return analyzer.load(tmp_path / "log")


@pytest.mark.parametrize("name", ["team", "ci", "session", "hash"])
def test_an_empty_value_is_no_missing_filter(name: str, log: analyzer.Log, tmp_path: Path, cli: Cli) -> None:
    told = cli("stats", tmp_path / "log", f"--{name}", "", "--format", "json").json
    assert log.stats(**{name: ""})["lookups"].item() == told["tables"][0]["rows"][0]["lookups"] == 0
    assert log.stats(**{name: [""]})["lookups"].item() == 0
    assert log.stats(**{name: None})["lookups"].item() == 2
    with pytest.raises(analyzer.UsageError, match=rf"^{name}=\[\]: an empty list lets nothing pass; None is no filter"):
        log.stats(**{name: []})


def test_other_empty_values(log: analyzer.Log) -> None:
    for empty in ({"ci": 0}, {"by": ""}, {"where": []}, {"since": ""}, {"table": ""}):
        with pytest.raises(analyzer.UsageError):
            log.stats(**empty)
    for ask in (lambda: log.sessions(""), lambda: analyzer.load(""), lambda: analyzer.load("sample_data", "")):
        with pytest.raises(analyzer.UsageError):
            ask()
    with pytest.raises(analyzer.QueryError, match=r"^where=''"):
        log.stats(where="")
    assert log.stats(where=None, by=None)["lookups"].item() == 2


NEVER_MEANT = (object(), pl.Series(["web"]), b"x", {1: 2}, "\udcff", "a\0b", [None], ["\udcff"], [["web"]], date)
ASKED = ("stats", "misses", "retention", "sessions", "compare", "doctor", "sql")


def parameters(function: Callable[..., Any]) -> list[str]:
    """Return the names of a function's parameters, and of the filters it takes."""
    found = {one.name: one.kind.name for one in signature(function).parameters.values()}
    named = [name for name, kind in found.items() if not kind.startswith("VAR")]
    return named + list(analyzer.Filters.__annotations__) * ("filters" in found)


@pytest.mark.parametrize("name", [*ASKED, "load", "replay"])
def test_what_no_signature_promises_is_a_usage_error(name: str, log: analyzer.Log, tmp_path: Path) -> None:
    needed = {"replay": {"api": "https://cache.example.com", "journal": tmp_path / "j"}}.get(name, {})
    function = getattr(log, name) if name in ASKED else partial(getattr(analyzer, name), tmp_path / "log")
    for parameter in parameters(function):
        for value in NEVER_MEANT:
            with pytest.raises(analyzer.UsageError, match=rf"^{parameter}: .* is expected, not "):
                function(**needed | {parameter: value})


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "None": ({"tz": None}, "tz: text is expected, not None"),
    "no dimension": ({"by": 5}, "by: text, a sequence of text or None is expected, not 5"),
    "no pair": ({"restore_cost": 5}, "restore_cost: a pair of numbers or None is expected, not 5"),
    "a column": ({"team": pl.Series(["web"])}, "team: text, a sequence of text or None is expected, not Series"),
    "a surrogate": ({"hash": "\udcff"}, r"hash: text, a sequence of text or None is expected, not '\udcff'"),
    "no flag": ({"interactive": 1}, "interactive: True or False or None is expected, not 1"),
    "too much": ({"cost_per_minute": 10**400}, ": a number is expected, at least 0"),
    "too many": ({"by": "day", "limit": 10**30}, ": a whole number from 1 to 9223372036854775807 is expected"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_said_of_it(name: str, log: analyzer.Log) -> None:
    with pytest.raises(analyzer.UsageError) as raised:
        log.stats(**WRONG[name][0])
    assert WRONG[name][1] in str(raised.value)


def test_times_beyond_the_calendar_are_its_ends(log: analyzer.Log) -> None:
    first = datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))
    last = datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))
    assert log.stats(since=first, until=last)["lookups"].item() == 2


def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(analyzer.UsageError, match=r"^token: text is expected, not bytes$"):
        analyzer.replay(tmp_path, api="https://cache.example.com", journal=tmp_path / "j", token=b"secret")


def test_a_column_has_one_name(log: analyzer.Log, tmp_path: Path, cli: Cli) -> None:
    with pytest.raises(analyzer.UsageError, match=r"^columns='hash=SOURCE': SOURCE is the column of another field; "):
        analyzer.load(tmp_path / "log", columns={"hash": "SOURCE"})
    with pytest.raises(analyzer.UsageError, match=r"^columns='hash=': the column name is missing"):
        analyzer.load(tmp_path / "log", columns={"hash": ""})
    told = cli("stats", tmp_path / "log", "--map", "hash=SOURCE")
    assert (told.code, "--map hash=SOURCE: SOURCE is the column of another field" in told.err) == (2, True)
    assert log.stats()["lookups"].item() == 2
