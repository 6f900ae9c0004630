"""The transcripts of the documents are what the commands print; README_UPDATE=1 writes them anew, but for cut ones."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import Cli
from replay.server import TOKEN, Strict, serving

ROOT = Path(__file__).parent.parent
PORT = 47123
SHOWN = "https://cache.acme.dev"
"""What the README calls the tests' own server; as long, so that tables stay aligned."""

TOOK = re.compile(r"^took .*$", re.MULTILINE)
BLOCK = re.compile(r"```console\n\$ (?P<command>[^\n]*)\n(?P<output>.*?)```", re.DOTALL)


def printed(command: str, here: Path) -> str:
    """What a command prints on stdout, in a directory with the sample data."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    server = f"http://127.0.0.1:{PORT}"
    environment = {**os.environ, "PATH": path, "TURBO_API": server, "TURBO_TOKEN": TOKEN}
    done = subprocess.run(
        ["bash", "-c", command], cwd=here, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    output = TOOK.sub(lambda found: f"took{'950 ms':>{len(found[0]) - 4}}", done.stdout.replace(server, SHOWN))
    return "\n".join(line.rstrip() for line in output.strip("\n").splitlines())


def contains(output: str, shown: str) -> bool:
    """Return whether the lines of `shown` are those of `output`; a line of `…` stands for any lines."""
    place = 0
    for number, part in enumerate(f"\n{shown}\n".split("\n…\n")):
        found = f"\n{output}\n".find(part.strip("\n"), place)
        if found < 0 or (number == 0 and part.strip("\n") and found != 1):
            return False
        place = found + len(part.strip("\n"))
    return True


@pytest.mark.parametrize("document", ["README.md", "REFERENCE.md"])
def test_transcripts(document: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    text = (ROOT / document).read_text()
    with serving(Strict(), PORT):
        outputs = {block["command"]: printed(block["command"], tmp_path) for block in BLOCK.finditer(text)}
    assert len(outputs) > 1

    def refreshed(block: re.Match[str]) -> str:
        shown, output = block["output"].rstrip("\n"), outputs[block["command"]]
        is_right = contains(output, shown) if "…" in shown.splitlines() else shown == output
        return block[0] if is_right else f"```console\n$ {block['command']}\n{output}\n```"

    fresh = BLOCK.sub(refreshed, text)
    if os.environ.get("README_UPDATE"):
        (ROOT / document).write_text(fresh)
    assert fresh == text or os.environ.get("README_UPDATE")


def test_cut_transcripts_are_compared_by_their_parts() -> None:
    output = "a\nb\nc\nd"
    assert all(contains(output, shown) for shown in ("a\n…", "…\nd", "a\n…\nc\n…", "…\nb\n…\nd", "a\nb\n…"))
    assert not any(contains(output, shown) for shown in ("b\n…", "a\n…\ne", "…\nc\n…\nb", "…\nad\n…"))


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 300


def test_what_the_readme_says_of_the_outage(sample_archive: Path, cli: Cli) -> None:
    weeks = {
        row["week"]: row for row in cli("stats", sample_archive, "--by", "week", "--format", "json").table("by_week")
    }
    before, outage = weeks["2026-09-28"], weeks["2026-10-05"]
    assert 1 / 4 < 1 - outage["hit_rate"] / before["hit_rate"] < 1 / 3
    assert outage["remote_hit_rate"] == pytest.approx(before["remote_hit_rate"], abs=0.01)
    assert "In the week of October 5 more than a quarter of the hits is gone" in (ROOT / "README.md").read_text()


def test_the_notebooks_snippet(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    printed("analyzer load sample_data --into cache.duckdb", tmp_path)
    snippet = re.search(r"```python\n(.*?)```", (ROOT / "notebooks" / "README.md").read_text(), re.DOTALL)
    assert snippet
    code = f"{snippet[1]}\nassert by_team.height > 3, by_team"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_python_of_the_readme(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    code = f"{snippet}\nassert min(by_day.height, why.height, curve.height, slow.height, local.height) > 2"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_step_of_github_actions() -> None:
    """It has inputs of the action, whose steps have tests of their own."""
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (step,) = [step for step in yaml.safe_load(example) if "uses" in step]
    assert step["with"].keys() <= yaml.safe_load((ROOT / "action.yml").read_text())["inputs"].keys()


def test_the_commands_of_more_questions(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    monkeypatch.chdir(tmp_path)
    section = (ROOT / "README.md").read_text().split("## More questions")[1].split("\n## ")[0]
    commands = re.findall(r"`analyzer (.*)`", section)
    assert len(commands) == 8
    for command in commands:
        result = cli(*shlex.split(command))
        assert (result.code, "error" in result.err) == (0, False), command
    assert {path.name for path in tmp_path.glob("*.csv")} == {"worst-hours.csv", "weeks.csv"}
