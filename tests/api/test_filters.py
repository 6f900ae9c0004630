"""Arguments of the Python API: an invalid value is a UsageError that names it; an empty value is not a missing one."""

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, event, ndjson

import analyzer


@pytest.fixture
def log(tmp_path: Path) -> analyzer.Log:
    known = event(teamId="web", ci="GITLAB", timestamp="2026-09-01T10:00Z")
    (tmp_path / "log").write_text(ndjson([known, known | {"sessionId": "s2", "hash": "h2"}]))
    return analyzer.load(tmp_path / "log")


@pytest.mark.parametrize("name", ["team", "ci", "session", "hash"])
def test_an_empty_value_filters(name: str, log: analyzer.Log, tmp_path: Path, cli: Cli) -> None:
    document = cli("stats", tmp_path / "log", f"--{name}", "", "--format", "json").json
    assert log.stats(**{name: ""})["lookups"].item() == document["tables"][0]["rows"][0]["lookups"] == 0
    assert log.stats(**{name: [""]})["lookups"].item() == 0
    assert log.stats(**{name: None})["lookups"].item() == 2
    message = rf"^{name}=\[\]: an empty list matches nothing; pass None for no filter"
    with pytest.raises(analyzer.UsageError, match=message):
        log.stats(**{name: []})


def test_other_empty_values(log: analyzer.Log) -> None:
    for empty in ({"by": ""}, {"where": []}, {"since": ""}, {"table": ""}):
        with pytest.raises(analyzer.UsageError):
            log.stats(**empty)
    for call in (lambda: log.sessions(""), lambda: analyzer.load(""), lambda: analyzer.load("sample_data", "")):
        with pytest.raises(analyzer.UsageError):
            call()
    with pytest.raises(analyzer.QueryError, match=r"^where=''"):
        log.stats(where="")
    assert log.stats(where=None, by=None, since=None)["lookups"].item() == 2


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "filter": ({"tema": "web"}, "tema: no such filter; did you mean team?"),
    "time": ({"since": "30m"}, "since='30m' is not a time: write 2026-08-31"),
    "type of a time": ({"until": 5}, "until=5 is not a time: write 2026-08-31"),
    "choice": ({"source": "REMOT"}, "source='REMOT': 'LOCAL' or 'REMOTE' is expected"),
    "flag": ({"interactive": "yes"}, "interactive='yes': True or False is expected"),
    "surrogate": ({"hash": "\udcff"}, "hash='\ufffd': not valid UTF-8"),
    "number": ({"cost_per_minute": 10**400}, ": a number of at least 0 is expected"),
    "NaN": ({"cost_per_minute": float("nan")}, "cost_per_minute=nan: a number of at least 0 is expected"),
    "count": ({"by": "day", "limit": 10**30}, ": a whole number from 1 to 9223372036854775807 is expected"),
    "count as text": ({"by": "day", "limit": "3"}, "limit='3': a whole number from 1 to"),
    "pair": ({"restore_cost": (1,)}, "restore_cost=(1,): milliseconds of a local and of a remote hit are expected"),
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_value_is_named(name: str, log: analyzer.Log) -> None:
    arguments, message = INVALID[name]
    with pytest.raises(analyzer.UsageError) as raised:
        log.stats(**arguments)
    assert message in str(raised.value)


def test_times_beyond_the_calendar_are_its_ends(log: analyzer.Log) -> None:
    first = datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))
    last = datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))
    assert log.stats(since=first, until=last)["lookups"].item() == 2


@pytest.mark.parametrize("token", [b"secret", "secret\n\u2028secret", "", ["secret"]])
def test_no_message_shows_the_token(token: Any, tmp_path: Path) -> None:
    arguments = {"api": "https://cache.example.com", "journal": tmp_path / "j", "execute": True, "limit": 0}
    with pytest.raises((analyzer.UsageError, TypeError, AttributeError)) as raised:
        analyzer.replay(tmp_path, token=token, **arguments)
    assert "secret" not in str(raised.value)


def test_a_column_has_one_name(log: analyzer.Log, tmp_path: Path, cli: Cli) -> None:
    with pytest.raises(analyzer.UsageError, match=r"^columns='hash=SOURCE': SOURCE is the column of another field; "):
        analyzer.load(tmp_path / "log", columns={"hash": "SOURCE"})
    with pytest.raises(analyzer.UsageError, match=r"^columns='hash=': the column name is missing"):
        analyzer.load(tmp_path / "log", columns={"hash": ""})
    result = cli("stats", tmp_path / "log", "--map", "hash=SOURCE")
    message = "--map hash=SOURCE: SOURCE is the column of another field; map that one too"
    assert (result.code, message in result.err) == (2, True)
    assert log.stats()["lookups"].item() == 2
