"""`demo`: the sample logs that come with the package."""

import re
import shlex
from pathlib import Path

import pytest
from conftest import Cli

ROOT = Path(__file__).parents[2]


def test_the_sample_logs_are_written(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("demo")
    assert (result.code, result.err) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["sample_data"]
    for path in ("acme/until-10-15.parquet", "recorded/capture.har", "README.md"):
        assert (tmp_path / "sample_data" / path).read_bytes() == (ROOT / "sample_data" / path).read_bytes()
    assert not list((tmp_path / "sample_data").rglob("*.py"))


def test_the_commands_that_it_names_run(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"analyzer (\w+ .*)", cli("demo", "a place").out)
    assert len(examples) == 6
    for example in examples[:3]:
        assert cli(*shlex.split(example)).code == 0, example


def test_nothing_is_overwritten(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    result = cli("demo", tmp_path / "logs")
    assert (result.code, result.out) == (2, "")
    assert result.err == f"error: {tmp_path}/logs: it exists already; name another directory\n"
    assert not list((tmp_path / "logs").iterdir())


def test_no_place_to_write(cli: Cli, tmp_path: Path) -> None:
    result = cli("demo", tmp_path / "missing" / "logs")
    assert (result.code, result.out) == (2, "")
    assert f"there is no directory {tmp_path}/missing; create it first" in result.err
