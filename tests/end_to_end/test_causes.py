"""Real turbo: one thing is changed at a time, and `causes` names that, and nothing else."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, report_of
from npm import install

from analyzer.cli import run as run_cli
from end_to_end.monorepo import write

VERSIONS = ("1.9.9", pytest.param("1.13.4", marks=pytest.mark.slow), "2.11.11")
SCRIPTS = {task: f"mkdir -p dist && echo {task} > dist/{task}.txt" for task in ("build", "test", "lint")}
# `app` depends on `ui`, `ui` on `lib`, and `lib` on `core`: three levels.
PACKAGES = {"core": {}, "lib": {"core": "*", "left-pad": "^1.3.0"}, "ui": {"lib": "*"}, "app": {"ui": "*"}}
ALL = {f"{package}#{task}" for package in PACKAGES for task in SCRIPTS}
BUILT = {name for name in ALL if not name.endswith("#lint")}  # `test` needs `build`, and `build` that of others


@dataclass
class Repo:
    """A repository, and the turbo that runs in it."""

    directory: Path
    program: Path
    version: str

    def write(self, path: str, content: object) -> None:
        write(self.directory / path, content if isinstance(content, str) else json.dumps(content))

    def write_package(self, name: str, dependencies: dict[str, str]) -> None:
        package = {"name": name, "version": "1.0.0", "scripts": SCRIPTS, "dependencies": dependencies}
        self.write(f"packages/{name}/package.json", package)

    def write_turbo_json(self, **more: object) -> None:
        build = {"dependsOn": ["^build"], "outputs": ["dist/**"], "env": ["DECLARED"], **more}
        tasks = {"build": build, "test": {"dependsOn": ["build"], "outputs": []}, "lint": {"outputs": []}}
        key = "pipeline" if self.version.startswith("1.") else "tasks"
        self.write("turbo.json", {key: tasks, "globalEnv": ["GLOBAL"], "globalDependencies": ["tsconfig.json"]})

    def write_lockfile(self, left_pad: str) -> None:
        packages: dict[str, Any] = {"": {"name": "acme", "workspaces": ["packages/*"]}}
        for name, dependencies in PACKAGES.items():
            packages[f"packages/{name}"] = {"version": "1.0.0", "dependencies": dependencies}
            packages[f"node_modules/{name}"] = {"resolved": f"packages/{name}", "link": True}
        packages["node_modules/left-pad"] = {
            "version": left_pad,
            "resolved": "https://x/y.tgz",
            "integrity": "sha512-x",
        }
        self.write("package-lock.json", {"name": "acme", "lockfileVersion": 3, "packages": packages})

    def run(self, *arguments: str, **environment: str) -> str:
        """Run all tasks; return the id of the run."""
        runs = self.directory / ".turbo" / "runs"
        known = set(runs.glob("*.json"))
        command = [self.program, "run", *SCRIPTS, "--summarize", "--no-daemon", *arguments]
        outside = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "TURBO_TELEMETRY_DISABLED": "1"}
        subprocess.run(command, cwd=self.directory, env=outside | environment, check=True, capture_output=True)
        (new,) = set(runs.glob("*.json")) - known
        return new.stem

    def edit(self, package: str, content: str) -> None:
        self.write(f"packages/{package}/src/index.js", content)


@pytest.fixture(scope="module", params=VERSIONS)
def repo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Repo:
    if not shutil.which("npm"):
        pytest.skip("Node.js is not installed")
    program = install(tmp_path_factory.mktemp("turbo"), f"turbo@{request.param}") / "turbo"
    repo = Repo(tmp_path_factory.mktemp("repository"), program, request.param)
    root = {"name": "acme", "private": True, "workspaces": ["packages/*"], "packageManager": "npm@10.8.2"}
    repo.write("package.json", root)
    for name, dependencies in PACKAGES.items():
        repo.write_package(name, dependencies)
        repo.edit(name, "1")
    repo.write_turbo_json()
    repo.write_lockfile("1.3.0")
    repo.write("tsconfig.json", "{}")
    repo.write(".gitignore", "dist\nnode_modules\n.turbo\n")
    for command in (["init", "--quiet", "--initial-branch=main"], ["add", "."], ["commit", "--quiet", "--message=all"]):
        named = ["git", "-c", "user.name=a", "-c", "user.email=a@acme.dev", *command]
        subprocess.run(named, cwd=repo.directory, check=True)
    return repo


def of(*packages: str, tasks: Sequence[str] = tuple(SCRIPTS)) -> set[str]:
    return {f"{package}#{task}" for package in packages for task in tasks}


def upwards(*packages: str) -> set[str]:
    """The tasks that depend on the build of one of these packages."""
    first = min(list(PACKAGES).index(package) for package in packages)
    return of(*list(PACKAGES)[first:], tasks=("build", "test"))


Played = dict[str, tuple[str, dict[str, set[str]]]]


@pytest.fixture(scope="module")
def played(repo: Repo) -> Played:
    """Each scenario's run, and the tasks that each of its causes invalidated."""
    # In turbo 1.9, turbo.json is in every hash.
    of_turbo_json = ALL if repo.version.startswith("1.9.") else BUILT
    played: Played = {}

    def play(what: str, expected: dict[str, set[str]], *arguments: str, **environment: str) -> None:
        played[what] = repo.run(*arguments, **environment), expected

    repo.run()
    play("nothing", {})
    repo.edit("ui", "2")
    play("a file", {"packages/ui/src/index.js": of("ui") | upwards("ui")})
    repo.edit("core", "2")
    play("a file three levels down", {"packages/core/src/index.js": of("core") | upwards("core")})
    repo.write("packages/lib/src/new.js", "1")
    play("a new file", {"packages/lib/src/new.js": of("lib") | upwards("lib")})
    (repo.directory / "packages/lib/src/new.js").unlink()
    play("a removed file", {"packages/lib/src/new.js": of("lib") | upwards("lib")})
    repo.write("tsconfig.json", "{ }")
    play("a global file", {"tsconfig.json": ALL})
    repo.write_lockfile("1.3.1")
    play("the lockfile", {"lockfile": of("lib") | upwards("lib")})
    play("a variable", {"variable DECLARED": BUILT}, DECLARED="1")
    play("its value", {"variable DECLARED": BUILT}, DECLARED="2")
    play("unset", {"variable DECLARED": BUILT})
    play("a global variable", {"global variable GLOBAL": ALL}, GLOBAL="1")
    play("unset again", {"global variable GLOBAL": ALL})
    play("a variable that is not declared", {}, OTHER="1")
    play("arguments", {"arguments after --": ALL}, "--", "--grep", "x")
    play("no arguments", {"arguments after --": ALL})
    repo.write_turbo_json(outputs=["dist/**", "out/**"])
    play("outputs", {"build.outputs in turbo.json": of_turbo_json})
    repo.write_turbo_json(env=["DECLARED", "OTHER"], outputs=["dist/**", "out/**"])
    play("names of variables", {"build.env in turbo.json": of_turbo_json}, OTHER="1")
    repo.write_turbo_json(env=["DECLARED", "OTHER"], outputs=["dist/**", "out/**"], dependsOn=[])
    # Without `dependsOn`, the hash of `core#build` is the same.
    depending = of_turbo_json - of("core") if of_turbo_json is BUILT else ALL
    play("dependencies of a task", {"build.dependsOn in turbo.json": depending}, OTHER="1")
    repo.write_turbo_json(env=["DECLARED", "OTHER"], outputs=["dist/**", "out/**"])
    play("and back", {"build.dependsOn in turbo.json": depending}, OTHER="1")
    repo.edit("ui", "3")
    repo.write_lockfile("1.3.2")
    two = {"packages/ui/src/index.js": of("ui") | upwards("ui"), "lockfile": of("lib") | upwards("lib")}
    play("two at once", two, OTHER="1")
    repo.write_package("app", {"ui": "*", "core": "*"})
    play("a dependency", {"packages/app/package.json": of("app")}, OTHER="1")
    return played


SCENARIOS = (
    "nothing", "a file", "a file three levels down", "a new file", "a removed file", "a global file", "the lockfile",
    "a variable", "its value", "unset", "a global variable", "unset again", "a variable that is not declared",
    "arguments", "no arguments", "outputs", "names of variables", "dependencies of a task", "and back", "two at once",
    "a dependency",
)  # fmt: skip


@pytest.fixture(scope="module")
def archive(repo: Repo, played: Played, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert played
    path = tmp_path_factory.mktemp("archive") / "runs.duckdb"
    assert run_cli(["load", str(repo.directory / ".turbo" / "runs"), "--into", str(path), "--quiet"]) == 0
    return path


@pytest.mark.parametrize("what", SCENARIOS)
def test_what_was_changed_is_the_cause(what: str, played: Played, archive: Path, cli: Cli) -> None:
    run, expected = played[what]
    found = report_of(cli, "causes", archive, run)
    tasks = {row["task"]: row for row in found.table("tasks") if row["hash_is"] == "changed"}
    by_cause: dict[str, set[str]] = {}
    for name, row in tasks.items():
        for cause in row["causes"].split(", "):
            by_cause.setdefault(cause, set()).add(name)
    assert by_cause == expected
    assert {row["cause"]: row["tasks"] for row in found.table("causes")} == {
        cause: len(names) for cause, names in expected.items()
    }


def test_all_scenarios_are_played(played: Played) -> None:
    assert list(played) == list(SCENARIOS)


def test_the_period(played: Played, archive: Path, cli: Cli) -> None:
    found = report_of(cli, "causes", archive, "--limit", "1000")
    expected = {cause for _, causes in played.values() for cause in causes}
    # What was undone was a hit, and is no cause of a miss.
    certain = {"packages/core/src/index.js", "tsconfig.json", "lockfile", "variable DECLARED", "arguments after --"}
    assert certain <= {row["cause"] for row in found.table("causes")} <= expected
    assert found.table("suspects") == []
    (totals,) = found.table("totals")
    assert (totals["new_tasks"], totals["unlisted"]) == (len(ALL), 0)
    assert sum(row["part"] for row in found.table("causes")) == pytest.approx(totals["changed"])


def test_values_are_kept_nowhere(repo: Repo, played: Played, cli: Cli) -> None:
    assert played
    value = "a value of its own"
    run = repo.run(DECLARED=value)
    result = cli("causes", repo.directory / ".turbo" / "runs", run, "--format", "json")
    assert (result.code, value in result.out) == (0, False)
