"""A real turbo in a checkout, and what it said about each run."""

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from npm import TOKEN

TASKS = ("build", "test", "lint")
_CACHED = re.compile(r"Cached:\s+(\d+) cached, (\d+) total")


@dataclass(frozen=True)
class Run:
    """A run as turbo itself tells it. `summary` is a copy in the scenario's directory of summaries."""

    what: str
    code: int
    cached: int
    total: int
    summary: Path
    started_ms: int
    ended_ms: int
    printed: str


@dataclass(frozen=True)
class Client:
    """turbo in one checkout, with a remote cache at an address."""

    program: Path
    checkout: Path
    api: str
    team: str
    summaries: Path

    def run(self, what: str, *arguments: str, **environment: str) -> Run:
        """Run tasks, all unless some are named; of this process's environment nothing but PATH goes along."""
        known = set(self._written())
        options = () if any(not argument.startswith("-") for argument in arguments) else TASKS
        started_ms = _now_ms()
        done = subprocess.run(
            [self.program, "run", *options, *arguments, "--summarize", "--output-logs=none"],
            cwd=self.checkout, env=self._environment() | environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        ended_ms = _now_ms()
        cached = _CACHED.search(done.stdout)
        written = [path for path in self._written() if path not in known]
        assert cached, done.stdout
        assert len(written) == 1, done.stdout
        kept = Path(shutil.copy(written[0], self.summaries))
        return Run(what, done.returncode, int(cached[1]), int(cached[2]), kept, started_ms, ended_ms, done.stdout)

    def forget(self) -> None:
        """Wipe the local cache."""
        shutil.rmtree(self.checkout / ".turbo" / "cache", ignore_errors=True)

    def edit(self, package: str) -> None:
        """Change a source file of a package."""
        (self.checkout / "packages" / package / "source.txt").write_text(f"edited at {_now_ms()}")

    def _written(self) -> list[Path]:
        return list((self.checkout / ".turbo" / "runs").glob("*.json"))

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"], "HOME": str(self.checkout.parent), "TURBO_API": self.api, "TURBO_TOKEN": TOKEN,
            "TURBO_TEAM": self.team, "TURBO_TELEMETRY_DISABLED": "1",
        }  # fmt: skip


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
