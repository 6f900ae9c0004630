"""The scenarios, each played once a session when a test asks for it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from npm import running, server_log

from end_to_end import monorepo, nginx, scenarios
from end_to_end.scenarios import Scenario, World


@pytest.fixture(scope="session")
def world(npm_commands: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if not nginx.program():
        pytest.skip("nginx is not installed")
    repository = monorepo.create(tmp_path_factory.mktemp("repository"))
    storage = tmp_path_factory.mktemp("storage")
    with running(npm_commands / "turborepo-remote-cache", storage) as cache:
        yield World(npm_commands / "turbo", repository, cache, server_log(storage))


def _played(play: Callable[[World, Path], Scenario]) -> Callable[..., Scenario]:
    @pytest.fixture(scope="session", name=play.__name__)
    def scenario(world: World, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
        return play(world, tmp_path_factory.mktemp(play.__name__))

    return scenario


everyday = _played(scenarios.everyday)
concurrent = _played(scenarios.concurrent)
read_only = _played(scenarios.read_only)
cache_down = _played(scenarios.cache_down)
refused_once = _played(scenarios.refused_once)
refused_at_the_end = _played(scenarios.refused_at_the_end)
