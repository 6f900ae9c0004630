"""The transcripts of README.md and REFERENCE.md are what commands print today; README_UPDATE=1 writes them anew."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
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


@pytest.mark.parametrize("name", ["README.md", "REFERENCE.md"])
def test_transcripts(name: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    file = ROOT / name
    text = file.read_text()
    with serving(Strict(), PORT):
        outputs = {block["command"]: printed(block["command"], tmp_path) for block in BLOCK.finditer(text)}
    assert len(outputs) > 1
    fresh = BLOCK.sub(lambda block: f"```console\n$ {block['command']}\n{outputs[block['command']]}\n```", text)
    if os.environ.get("README_UPDATE"):
        file.write_text(fresh)
    assert fresh == text or os.environ.get("README_UPDATE")


def test_what_the_readme_says_of_the_outage() -> None:
    text = (ROOT / "README.md").read_text()
    before, outage = (float(re.findall(rf"^ {day} .*?([\d.]+) %", text, re.MULTILINE)[0])
                      for day in ("2026-09-28", "2026-10-05"))  # fmt: skip
    assert 1 / 4 < 1 - outage / before < 1 / 3
    assert "In the week of October 5 more than a quarter of the hits is gone" in text


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


def test_the_steps_of_github_actions(tmp_path: Path) -> None:
    """Those of `analyzer`, over recorded runs where turbo leaves its own."""
    shutil.copytree(ROOT / "tests" / "recorded" / "runs", tmp_path / ".turbo" / "runs")
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    steps = re.findall(r"run: (analyzer .*)", example)
    assert len(steps) == 2
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    for step in steps:
        subprocess.run(["bash", "-ec", step], cwd=tmp_path, env=environment, check=True, capture_output=True)
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("# Remote build cache report\n\n")
    assert "\n- **Hit rate: " in summary
