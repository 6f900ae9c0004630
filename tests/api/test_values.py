"""What arguments of the Python API can be: others are a UsageError, and an empty one is not taken for none."""

from pathlib import Path

import pytest
from conftest import Cli, event, ndjson

import analyzer


@pytest.fixture
def log(tmp_path: Path) -> analyzer.Log:
    (tmp_path / "log").write_text(ndjson([event(teamId="web", ci="GITLAB"), event(sessionId="s2", hash="h2")]))
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
