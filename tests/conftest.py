"""What tests share: the command line in this process, the recordings, and logs written in a line."""

import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import npm
import pytest

from analyzer.cli import run

pytest.register_assert_rewrite("log_of_misses")

RECORDED = Path(__file__).parent / "recorded"
CASES = Path(__file__).parent / "cases"  # small inputs that were once read wrong
SAMPLE = Path(__file__).parents[1] / "sample_data"


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)

    def table(self, name: str) -> list[dict[str, Any]]:
        return next(table["rows"] for table in self.json["tables"] if table["name"] == name)


Cli = Callable[..., Result]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the file that takes longest, and mostly waits for a cluster: the other processes do the rest."""
    items.sort(key=lambda item: item.path.name != "test_spark.py")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if a test was skipped, where FAIL_ON_SKIP says that all that tests need is installed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("FAIL_ON_SKIP") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run a command line in this process."""

    def call(*arguments: object, stdin: bytes = b"") -> Result:
        out, err = io.BytesIO(), io.BytesIO()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            patched.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="utf-8"))
            patched.setattr(sys, "stderr", io.TextIOWrapper(err, encoding="utf-8"))
            code = run([str(argument) for argument in arguments])
            sys.stdout.flush()
            sys.stderr.flush()
            return Result(code, out.getvalue().decode(), err.getvalue().decode())

    return call


def report_of(cli: Cli, *arguments: object) -> Result:
    """What a command answers, as JSON."""
    result = cli(*arguments, "--format", "json")
    assert result.code == 0, result.err
    return result


def event(**changes: Any) -> dict[str, Any]:
    """Make a valid event; a column set to `...` is left out."""
    made = {"sessionId": "s1", "source": "LOCAL", "event": "HIT", "hash": "h1", "duration": 10, **changes}
    return {key: value for key, value in made.items() if value is not ...}


def ndjson(events: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in events)


@pytest.fixture
def log(tmp_path: Path) -> Callable[..., Path]:
    """Write events, or text, into a file."""

    def write(content: Iterable[dict[str, Any]] | str | bytes, name: str = "log.ndjson") -> Path:
        path = tmp_path / name
        data = content if isinstance(content, str | bytes) else ndjson(content)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return write


@pytest.fixture(scope="session")
def sample_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample data as an archive: a question of it takes a quarter of the time."""
    path = tmp_path_factory.mktemp("sample") / "sample.duckdb"
    assert run(["load", str(SAMPLE), "--into", str(path), "--quiet"]) == 0
    return path


@pytest.fixture(scope="session")
def sample_lake(tmp_path_factory: pytest.TempPathFactory, sample_archive: Path) -> Path:
    lake = tmp_path_factory.mktemp("lake") / "lake"
    assert run(["export", str(sample_archive), "--to", str(lake), "--quiet"]) == 0
    return lake


@pytest.fixture(scope="session")
def requests() -> list[dict[str, Any]]:
    """The recorded requests."""
    return [json.loads(line) for line in (RECORDED / "requests.ndjson").read_text().splitlines()]


@pytest.fixture(scope="session")
def oracle() -> list[dict[str, Any]]:
    """What turbo itself printed and summed up, a run each."""
    return json.loads((RECORDED / "oracle.json").read_text())


@pytest.fixture(scope="session")
def npm_commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the commands that npm has: turbo and the self-hosted cache server."""
    if not shutil.which("npm"):
        pytest.skip("Node.js is not installed")
    return npm.install(tmp_path_factory.mktemp("npm"))
