"""A monorepo in memory: it has inputs, runs tasks with hashes made of them, and writes run summaries as turbo does."""

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

START_MS = 1_790_000_000_000


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@dataclass
class Package:
    """A package with the task `build`; its dependencies are the `build` of other packages."""

    depends: Sequence[str] = ()
    files: dict[str, str] = field(default_factory=lambda: {"index.js": "1"})
    variables: dict[str, str] = field(default_factory=dict)
    lockfile: str = "1"
    outputs: Sequence[str] = ("dist/**",)


@dataclass
class Repository:
    packages: dict[str, Package]
    global_files: dict[str, str] = field(default_factory=lambda: {"tsconfig.json": "1"})
    global_variables: dict[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    version: str = "2.11.11"
    key: str = "key 1"
    branch: str | None = "main"
    sha: str | None = None
    cached: set[str] = field(default_factory=set)
    runs: list[dict[str, Any]] = field(default_factory=list)

    def run(self, only: Iterable[str] = (), *, minutes: float = 10, duration_ms: int = 1000) -> str:
        """Run `build` of the packages `only`, by default of all, and of those that they depend on; return its id."""
        listed = dict.fromkeys(name for one in only or self.packages for name in self.needed(one))
        number = len(self.runs)
        at = START_MS + round(number * minutes * 60_000)
        tasks = [self._task(name, at, duration_ms) for name in listed]
        summary = {
            "id": f"run{number:04}",
            "version": "1",
            "turboVersion": self.version,
            "globalCacheInputs": self._shared(),
            "execution": {
                "command": "turbo run build", "attempted": len(tasks), "startTime": at, "endTime": at + 5000,
                "exitCode": 0,
            },
            "scm": {"type": "git", "sha": self.sha, "branch": self.branch},
            "tasks": tasks,
        }  # fmt: skip
        self.runs.append(json.loads(json.dumps(summary)))
        return f"run{number:04}"

    def needed(self, name: str) -> list[str]:
        """Return a package and all that it depends on, those first."""
        return [*(other for one in self.packages[name].depends for other in self.needed(one)), name]

    def hash(self, name: str) -> str:
        package = self.packages[name]
        own = [name, package.files, package.variables, package.lockfile, package.outputs, self.arguments]
        return digest([own, self._shared(), [self.hash(one) for one in package.depends]])[:16]

    def _shared(self) -> dict[str, Any]:
        return {
            "rootKey": self.key,
            "files": dict(self.global_files),
            "hashOfExternalDependencies": "root",
            "environmentVariables": {
                "specified": {"env": sorted(self.global_variables), "passThroughEnv": None},
                "configured": hashed(self.global_variables), "inferred": [], "passthrough": None,
            },
            "engines": None,
        }  # fmt: skip

    def _task(self, name: str, at: int, duration_ms: int) -> dict[str, Any]:
        package, hash_ = self.packages[name], self.hash(name)
        is_hit = hash_ in self.cached
        self.cached.add(hash_)
        return {
            "taskId": f"{name}#build", "task": "build", "package": name, "hash": hash_,
            "inputs": {path: digest(text)[:40] for path, text in package.files.items()},
            "hashOfExternalDependencies": package.lockfile,
            "cache": {"status": "HIT", "source": "REMOTE", "timeSaved": duration_ms} if is_hit else {"status": "MISS"},
            "cliArguments": list(self.arguments), "directory": f"packages/{name}",
            "dependencies": [f"{one}#build" for one in package.depends],
            "resolvedTaskDefinition": {
                "outputs": list(package.outputs), "cache": True, "dependsOn": ["^build"],
                "env": sorted(package.variables),
            },
            "envMode": "strict",
            "environmentVariables": {
                "specified": {"env": sorted(package.variables), "passThroughEnv": None},
                "configured": hashed(package.variables), "inferred": [], "passthrough": None,
            },
            "execution": {"startTime": at, "endTime": at + (1 if is_hit else duration_ms), "exitCode": 0},
        }  # fmt: skip

    def text(self) -> str:
        """Return the summaries of all runs, one in each line."""
        return "".join(json.dumps(one) + "\n" for one in self.runs)

    def copy(self) -> "Repository":
        return copy.deepcopy(self)


def hashed(variables: Mapping[str, str]) -> list[str]:
    return [f"{name}={digest(value)}" for name, value in sorted(variables.items())]
