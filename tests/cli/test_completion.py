"""Completion in real shells: names of files, options, and values that no shell may take for more than text."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, event

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
SHELLS = [pytest.param(shell, marks=pytest.mark.skipif(not shutil.which(shell), reason=f"no {shell}"))
          for shell in ("bash", "zsh", "fish")]  # fmt: skip
ODD = ["my team", "it's", 'a "b"', "x$(touch ran)", "y`touch ran`", "back\\slash", "a:b", "k=v", "*", "c,d", "wow!"]
"""Teams whose names are more than words."""


@pytest.fixture
def archive(log: Any, cli: Cli, tmp_path: Path) -> Path:
    teams = ["web", "wide", "new\nline", *ODD]
    events = [event(slug=team, ci="DRONE" if team > "w" else "GITLAB", hash=team) for team in teams]
    assert cli("load", log(events), "--into", tmp_path / "cache.duckdb").code == 0
    (tmp_path / "sample_data").mkdir()
    (tmp_path / "sample_data" / "recorded.har").write_text("")
    return tmp_path


def answered(shell: str, line: str, word: str, directory: Path) -> list[str]:
    """What the program answers a shell."""
    asked = {"COMP_LINE": line, "COMP_WORD": word, "_ANALYZER_COMPLETE": f"{shell}_complete"}
    command = [sys.executable, "-m", "analyzer"]
    done = subprocess.run(
        command, cwd=directory, env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return [line.split("\t")[1] for line in done.stdout.splitlines() if line.startswith("plain\t")]


def completed(line: str, directory: Path) -> list[str]:
    return answered("fish", f"analyzer {line}", "", directory)


def test_completion_offers_the_expected_words(archive: Path) -> None:
    assert completed("stats cache.duckdb --team w", archive) == ["web", "wide", "wow!"]
    assert completed("misses cache.duckdb --ci D", archive) == ["DRONE"]
    assert completed("stats log.ndjson --team w", archive) == []
    assert completed("stats --by day,te", archive) == ["day,team"]
    assert completed("report --format m", archive) == ["markdown"]
    assert completed("report --format=m", archive) == ["--format=markdown"]
    assert completed("mis", archive) == ["misses"]
    assert "new\nline" not in completed("stats cache.duckdb --team ", archive)


@contextmanager
def terminal(shell: str, directory: Path) -> Iterator["Terminal"]:
    """A shell that a person sits at, with completion switched on."""
    starts = {
        "bash": (["bash", "--norc", "--noprofile", "-i"], "bind 'set bell-style none'; PS1='READY> '"),
        "zsh": (["zsh", "-f", "-i"], "PS1='READY> '; bindkey -e; autoload -U compinit; compinit -u -D"),
    }  # fmt: skip
    command, settings = starts[shell]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PATH": PATH, "TERM": "dumb", "HOME": str(directory), "INPUTRC": "/dev/null"}
    process = subprocess.Popen(
        command, cwd=directory, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        found = Terminal(ours)
        script = f'eval "$(analyzer completion {shell})"'
        found.send(f"{settings}; {script}; echo switched-''on\n", "switched-on")
        yield found
    finally:
        process.kill()
        process.wait()
        os.close(ours)


class Terminal:
    """The other end of a terminal."""

    def __init__(self, end: int) -> None:
        self.end = end

    def send(self, text: str, until: str) -> str:
        """Type, and return what is shown up to a text."""
        os.write(self.end, text.encode())
        shown, deadline = b"", time.monotonic() + 30
        while until.encode() not in shown:
            ready, _, _ = select.select([self.end], [], [], max(0, deadline - time.monotonic()))
            assert ready, shown
            shown += os.read(self.end, 4096)
        return shown.decode()

    def words(self, typed: str) -> list[str]:
        """Type the start of a command, complete it, and return the words that the shell makes of the line."""
        shown = self.send(f"{typed}\t\x01printf '<%s>' begin \x05 end\n", "<end>")
        return [word.removesuffix("/") for word in re.findall(r"<([^>]*)>", shown[shown.rindex("<begin>") :])[1:-1]]


CASES = {
    "analyzer stats ca": ["analyzer", "stats", "cache.duckdb"],
    "analyzer load sample_data/rec": ["analyzer", "load", "sample_data/recorded.har"],
    "analyzer sql cache.duckdb samp": ["analyzer", "sql", "cache.duckdb", "sample_data"],
    "analyzer report --format=ma": ["analyzer", "report", "--format=markdown"],
    "analyzer stats --rejects=ca": ["analyzer", "stats", "--rejects=cache.duckdb"],
    "analyzer retent": ["analyzer", "retention"],
    "analyzer stats cache.duckdb --team my": ["analyzer", "stats", "cache.duckdb", "--team", "my team"],
    'analyzer stats cache.duckdb --team "my t': ["analyzer", "stats", "cache.duckdb", "--team", "my team"],
    "analyzer stats cache.duckdb --team my\\ t": ["analyzer", "stats", "cache.duckdb", "--team", "my team"],
    "analyzer stats cache.duckdb --team it": ["analyzer", "stats", "cache.duckdb", "--team", "it's"],
    "analyzer stats cache.duckdb --team 'it": ["analyzer", "stats", "cache.duckdb", "--team", "it's"],
    "analyzer stats cache.duckdb --team x": ["analyzer", "stats", "cache.duckdb", "--team", "x$(touch ran)"],
    'analyzer stats cache.duckdb --team "x': ["analyzer", "stats", "cache.duckdb", "--team", "x$(touch ran)"],
    "analyzer stats cache.duckdb --team y": ["analyzer", "stats", "cache.duckdb", "--team", "y`touch ran`"],
    "analyzer stats cache.duckdb --team bac": ["analyzer", "stats", "cache.duckdb", "--team", "back\\slash"],
    "analyzer stats cache.duckdb --team a:": ["analyzer", "stats", "cache.duckdb", "--team", "a:b"],
    "analyzer stats cache.duckdb --team=a:": ["analyzer", "stats", "cache.duckdb", "--team=a:b"],
    "analyzer stats cache.duckdb --team k=": ["analyzer", "stats", "cache.duckdb", "--team", "k=v"],
    "analyzer stats cache.duckdb --team c": ["analyzer", "stats", "cache.duckdb", "--team", "c,d"],
    "analyzer stats cache.duckdb --team wo": ["analyzer", "stats", "cache.duckdb", "--team", "wow!"],
    'analyzer stats cache.duckdb --team "a ': ["analyzer", "stats", "cache.duckdb", "--team", 'a "b"'],
    'analyzer stats cache.duckdb --team "wo': ["analyzer", "stats", "cache.duckdb", "--team", "wow!"],
}  # fmt: skip
"""What is typed before the tab, and the words that the line then has."""


@pytest.mark.parametrize("shell", SHELLS[:2])
def test_typed_input_is_completed_to_the_expected_words(shell: str, archive: Path) -> None:
    with terminal(shell, archive) as found:
        assert {typed: found.words(typed) for typed in CASES} == CASES
    assert not (archive / "ran").exists()


@pytest.mark.parametrize("shell", SHELLS[2:])
def test_fish_offers_the_expected_words(shell: str, archive: Path) -> None:
    def offered(typed: str) -> list[str]:
        code = f"analyzer completion {shell} | source; complete -C '{typed}'"
        command = [shell, "--no-config", "-c", code]
        environment = {**os.environ, "PATH": PATH, "HOME": str(archive)}
        done = subprocess.run(command, cwd=archive, env=environment, capture_output=True, text=True, check=True)
        return [line.split("\t")[0] for line in done.stdout.splitlines()]

    assert offered("analyzer stats ca") == ["cache.duckdb"]
    assert offered("analyzer load sample_data/rec") == ["sample_data/recorded.har"]
    assert offered("analyzer report --format=ma") == ["--format=markdown"]
    assert offered("analyzer stats --rejects=ca") == ["--rejects=cache.duckdb"]
    assert offered("analyzer retent") == ["retention"]
    assert sorted(offered("analyzer stats cache.duckdb --team ")) == sorted(["web", "wide", *ODD])
    assert not (archive / "ran").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_takes_its_script(shell: str, cli: Cli, tmp_path: Path) -> None:
    (script := tmp_path / "script").write_text(cli("completion", shell).out)
    assert "_ANALYZER_COMPLETE" in script.read_text()
    subprocess.run([shell, "-n", str(script)], check=True)
