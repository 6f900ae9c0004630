"""A strict server, and replays against it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Cli, Result

from replay.server import TOKEN, Strict, serving

Replay = Callable[..., Result]


@pytest.fixture
def strict() -> Iterator[Strict]:
    with serving(Strict()) as server:
        yield server


@pytest.fixture
def replay(cli: Cli, strict: Strict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replay:
    """Replay against the strict server, as fast as it goes, with a journal of the test's own."""
    monkeypatch.setenv("TURBO_TOKEN", TOKEN)

    def call(*arguments: object, execute: bool = True) -> Result:
        return cli(
            "replay", *arguments, "--api", strict.url, "--journal", tmp_path / "j.sqlite",
            "--requests-per-minute", "0", "--format", "json", *(["--execute"] if execute else []),
        )  # fmt: skip

    return call
