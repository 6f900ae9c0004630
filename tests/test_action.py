"""The GitHub Action: its shell steps run as on a runner, with the inputs in the environment."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import RECORDED

ROOT = Path(__file__).parent.parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS = ACTION["runs"]["steps"]
INSTALL, CHECK, REPORT = (step for step in STEPS if "run" in step)
HEADING = "# Remote build cache report"


@dataclass(frozen=True)
class Workspace:
    """A workspace of a runner on which the action is installed."""

    runner: dict[str, str]
    path: Path

    @property
    def summary(self) -> str:
        return (self.path / "summary.md").read_text()

    def run(self, step: dict[str, Any], **inputs: str) -> tuple[int, str]:
        named = {name.replace("_", "-"): value for name, value in inputs.items()}
        return run_step(step, named, {**self.runner, "GITHUB_STEP_SUMMARY": str(self.path / "summary.md")}, self.path)


def run_step(step: dict[str, Any], inputs: dict[str, str], runner: dict[str, str], here: Path) -> tuple[int, str]:
    """Run a shell step as a runner does: the script in a file, and no variable but the runner's and the step's."""
    assert step["shell"] == "bash"
    values = {f"inputs.{name}": inputs.get(name, given["default"]) for name, given in ACTION["inputs"].items()}
    values["steps.python.outputs.python-path"] = sys.executable
    environment = {name: values[text.removeprefix("${{ ").removesuffix(" }}")] for name, text in step["env"].items()}
    (script := here / "step.sh").write_text(step["run"])
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
        cwd=here, env={**runner, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a runner on which the action is installed, from a copy as runners make it: without git."""
    home = tmp_path_factory.mktemp("runner")
    action = shutil.copytree(ROOT, home / "action", ignore=shutil.ignore_patterns(".*_cache", ".git", "tests"))
    (home / "temp").mkdir()
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    paths = {"HOME": str(home), "RUNNER_TEMP": str(home / "temp"), "GITHUB_ACTION_PATH": str(action)}
    runner = {**kept, **paths, "PATH": "/usr/local/bin:/usr/bin:/bin"}
    code, log = run_step(INSTALL, {}, runner, home)
    assert code == 0, log
    return runner


@pytest.fixture
def workspace(runner: dict[str, str], tmp_path: Path) -> Workspace:
    """Recorded runs where turbo leaves its own, and an empty summary."""
    shutil.copytree(RECORDED / "runs", tmp_path / ".turbo" / "runs")
    (tmp_path / "summary.md").touch()
    return Workspace(runner, tmp_path)


def test_a_check_that_passes(workspace: Workspace) -> None:
    assert workspace.run(CHECK, min_hit_rate="0.8")[0] == 0
    assert workspace.run(REPORT)[0] == 0
    assert workspace.summary.startswith("Passed: 1 of 1 checks.")
    assert f"\n{HEADING}\n" in workspace.summary


def test_a_check_that_fails_is_reported_too(workspace: Workspace) -> None:
    code, log = workspace.run(CHECK, min_hit_rate="0.9")
    assert (code, "error: hit rate 80.2 %, wanted at least 90.0 %" in log) == (5, True)
    assert workspace.run(REPORT)[0] == 0
    assert workspace.summary.startswith("1 of 1 checks failed: hit rate.")
    assert f"\n{HEADING}\n" in workspace.summary


def test_without_a_threshold_there_is_only_a_report(workspace: Workspace) -> None:
    assert workspace.run(CHECK) == (0, "No threshold is given: only a report is written.\n")
    assert workspace.run(REPORT)[0] == 0
    assert workspace.summary.startswith(HEADING)


def test_a_baseline(workspace: Workspace) -> None:
    for _ in range(2):  # a job of the main branch saves it again and again
        assert workspace.run(CHECK, save_baseline="main.json")[0] == 0
    baseline = workspace.path / "main.json"
    assert workspace.run(CHECK, baseline="main.json", max_drop="0")[0] == 0
    baseline.write_text(re.sub('"hit_rate": [0-9.]+', '"hit_rate": 0.9', baseline.read_text()))
    assert workspace.run(CHECK, baseline="main.json")[0] == 5
    assert workspace.run(CHECK, baseline="main.json", min_lookups="10000")[0] == 0


def test_a_source_that_is_not_there(workspace: Workspace) -> None:
    code, log = workspace.run(CHECK, source="no such/runs", min_hit_rate="0.5")
    assert (code, "no such/runs" in log) == (3, True)
    assert workspace.run(REPORT, source="no such/runs")[0] == 3


@pytest.mark.parametrize("name", [name for name in ACTION["inputs"] if name != "save-baseline"])
def test_no_input_runs_as_code(workspace: Workspace, name: str) -> None:
    text = '0.5"; touch ran; $(touch ran) `touch ran` -o ran --force'
    inputs = {"min_hit_rate": "0.5", name.replace("-", "_"): text}
    assert workspace.run(CHECK, **inputs)[0] != 0
    assert not (workspace.path / "ran").exists()


def test_no_script_holds_an_expression() -> None:
    workflows = [yaml.safe_load(path.read_text()) for path in (ROOT / ".github" / "workflows").glob("*.yml")]
    steps = [step for workflow in workflows for job in workflow["jobs"].values() for step in job["steps"]] + STEPS
    assert len(steps) > len(STEPS)
    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []
    assert [step["uses"] for step in steps if not re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))] == []


def test_the_report_is_written_unless_there_is_no_program() -> None:
    """Steps after a failed one run only where their condition says so."""
    assert REPORT["if"] == "${{ !cancelled() && steps.install.outcome == 'success' }}"
    assert (INSTALL["id"], "if" in CHECK) == ("install", False)
