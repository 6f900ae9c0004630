"""The first screen, completion, how much is said, and errors in one line."""

import gzip
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import polars as pl
import pytest
from conftest import SAMPLE, Cli, event

from analyzer.cli import COMMANDS
from analyzer.cli import cli as program
from analyzer.replayer.journal import Journal

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def link_small_sample(directory: Path) -> None:
    """Make `sample_data` there, with one sixteenth of the sessions and the last third of the run summaries."""
    for path in SAMPLE.rglob("*.*"):
        copy = directory / "sample_data" / path.relative_to(SAMPLE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if ".csv" in path.suffixes:
            header, *rows = zstd.decompress(path.read_bytes()).splitlines(keepends=True)
            copy.write_bytes(zstd.compress(b"".join([header, *(row for row in rows if row.startswith(b"6"))])))
        elif path.suffix == ".parquet":
            pl.read_parquet(path).filter(pl.col("sessionId").str.starts_with("6")).write_parquet(copy)
        elif path.name.startswith("runs"):
            rows = zstd.decompress(path.read_bytes()).splitlines(keepends=True)
            copy.write_bytes(zstd.compress(b"".join(rows[-len(rows) // 3 :])))
        elif path.name.startswith("until-"):
            rows = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
            copy.write_bytes(gzip.compress(b"".join(row for row in rows if b'"sessionId":"6' in row)))
        else:
            copy.symlink_to(path)


def test_the_first_screens_examples_run_as_they_stand(cli: Cli, tmp_path: Path) -> None:
    screen = cli()
    assert (screen.code, screen.err) == (0, "")
    examples = re.findall(r"(analyzer \w+ sample_data.*)", screen.out)
    assert len(examples) == 6
    link_small_sample(tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for example in examples:
        command = ["bash", "-c", example]
        done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, check=False)
        assert done.returncode == 0, (example, done.stderr)


def below(command: click.Command | None, name: str) -> list[str]:
    found = [name]
    for child in command.commands if isinstance(command, click.Group) else ():
        found += below(command.commands[child], f"{name} {child}")
    return found


EVERY = [path for name in COMMANDS for path in below(program.get_command(click.Context(program), name), name)]


@pytest.mark.parametrize("name", EVERY)
def test_every_command_has_an_example_and_says_how_loud(name: str, cli: Cli) -> None:
    text = cli(*name.split(), "--help").out
    assert re.search(r"Examples?[^\n]*:\n.*analyzer", text), text
    assert all(option in text for option in ("--quiet", "--verbose", "--debug"))


def test_the_examples_of_help_run_as_they_stand(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    link_small_sample(tmp_path)
    (tmp_path / "teams.csv").write_text("team,owner\nweb,ann\n")
    ran = 0
    for name in ("", *(name for name in COMMANDS if name not in ("journal", "completion", "demo"))):
        examples = re.findall(r"^    analyzer (.*?)(?:   .*)?$", cli(*name.split(), "--help").out, re.MULTILINE)
        for example in (one for one in examples if "--execute" not in one):
            result = cli(*shlex.split(example))
            assert result.code in ((0, 5) if name == "check" else (0,)), (example, result.err)
            ran += 1
    assert ran > 35


def test_report_says_its_own_default(cli: Cli) -> None:
    assert "Default: markdown, or by the suffix of -o." in cli("report", "--help").out
    assert "Default: table, or by the suffix of -o." in cli("stats", "--help").out


@pytest.mark.parametrize("name", EVERY)
def test_help_tells_every_option_once_with_its_own_first(name: str, cli: Cli) -> None:
    text = cli(*name.split(), "--help").out
    told = re.findall(r"^  (?:-\w, )?(--[\w-]+)", text.rpartition("\n\n  ")[0], re.MULTILINE)
    context, command = click.Context(program), click.Command("")
    for part in name.split():
        command = (command if isinstance(command, click.Group) else program).get_command(context, part) or command
    assert sorted(told) == sorted(
        max(param.opts, key=len) for param in command.get_params(context) if param.opts[0][0] == "-"
    )
    titles = re.findall(r"^(Options|Input|Filters|Output):$", text, re.MULTILINE)
    assert titles == [title for title in ("Options", "Input", "Filters", "Output") if title in titles]
    assert "..." not in re.sub(r"\[?(SOURCE|LOG|ARGS)\]?\.\.\.", "", text)


def test_verbosity(log: Any, cli: Cli) -> None:
    path = log([event(), event(duration="12")])
    assert cli("stats", path, "--quiet").err == ""
    assert "1 of 2 events rejected" in cli("stats", path).err
    told = cli("stats", path, "--verbose").err
    assert f"detail: {path}: ndjson, 2 read, 1 kept, 1 rejected" in told
    assert re.search(r"detail: took \d+\.\d\d s", told)
    assert "error: " in cli("stats", f"{path}.missing", "--quiet").err
    assert "Traceback" not in cli("stats", path, "--by", "nothing").err
    assert "Traceback" in cli("stats", path, "--by", "nothing", "--debug").err
    assert "detail" not in cli("stats", path).err


WRONG = {
    ("stat",): "error: No such command 'stat'. Did you mean 'stats'?; see analyzer --help",
    ("stats", "x", "--teem", "web"): "error: No such option '--teem'",
    ("stats", "--limit"): "error: Option '--limit' requires an argument; see analyzer stats --help",
    ("load", "x"): "error: Missing option '--into'; see analyzer load --help",
    ("stats", "x", "--format", "jsn"): "error: Invalid value for '--format': 'jsn' is not one of 'table', 'markdown',"
    " 'html', 'csv', 'json', 'ndjson', 'parquet'; did you mean json?; see analyzer stats --help",
}


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_a_wrong_command_line_is_one_line(arguments: tuple[str, ...], cli: Cli) -> None:
    result = cli(*arguments)
    assert result.code == 2
    assert result.err.startswith(WRONG[arguments])
    assert result.err.count("\n") == 1


CHECKS = {"check": ["--min-hit-rate", "0.1"]}
SELECTING = ["stats", "misses", "doctor", "retention", "sessions", "compare", "check", "report", "replay"]


@pytest.mark.parametrize("name", [*SELECTING, "journal verify"])
def test_a_mistyped_team_or_vendor_names_the_nearest(name: str, log: Any, cli: Cli, tmp_path: Path) -> None:
    path = log([event(slug="web", teamId="team_1", ci="GITHUB_ACTIONS"), event(hash="h2")])
    with Journal(tmp_path / "j"):
        pass
    journal = ["--journal", tmp_path / "j"] if name in ("replay", "journal verify") else []
    wrong = cli(*name.split(), path, *journal, *CHECKS.get(name, []), "--team", "wbe", "--ci", "github_action").err
    assert "no team is called wbe; did you mean web?" in wrong
    assert "no CI vendor is called github_action; did you mean GITHUB_ACTIONS?" in wrong
    right = cli(*name.split(), path, *journal, *CHECKS.get(name, []), "--team", "team_1", "--team", "web").err
    assert "is called" not in right


@pytest.mark.parametrize("sides", [["team=wbe", "team=web"], ["team=web", "team=wbe"], ["--team", "wbe"]])
def test_a_side_with_a_mistyped_team_names_the_nearest_once(sides: list[str], log: Any, cli: Cli) -> None:
    told = cli("compare", log([event(slug="web"), event(hash="h2")]), *sides).err
    assert told.count("note: no team is called wbe; did you mean web?") == 1
