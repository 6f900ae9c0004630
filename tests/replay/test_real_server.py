"""Against the common self-hosted server, as npm has it."""

from pathlib import Path

import pytest
from conftest import RECORDED, Cli
from npm import TOKEN, running

LOG = RECORDED / "requests.ndjson"


@pytest.fixture
def program(npm_commands: Path) -> Path:
    return npm_commands / "turborepo-remote-cache"


def test_replays_on_the_self_hosted_server(
    program: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(program, tmp_path) as url:
        options = [
            LOG, "--api", url, "--execute", "--journal", tmp_path / "j", "--requests-per-minute", 0, "--format", "json",
        ]  # fmt: skip
        monkeypatch.setenv("TURBO_TOKEN", "wrong")
        refused = cli("replay", *options)
        assert (refused.code, refused.json["unsent"], refused.json["confirmed"]) == (7, 4115, 0)
        assert "the token is not valid: check TURBO_TOKEN" in refused.err
        monkeypatch.setenv("TURBO_TOKEN", TOKEN)
        first, again = cli("replay", *options), cli("replay", *options)
        assert (first.code, first.json["confirmed_now"], first.json["requests"]) == (0, 4115, 48)
        assert (again.code, again.json["requests"]) == (0, 0)


def test_a_body_over_its_limit_is_halved(
    program: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURBO_TOKEN", TOKEN)
    with running(program, tmp_path, BODY_LIMIT="4000") as url:
        options = ["--api", url, "--execute", "--journal", tmp_path / "j", "--requests-per-minute", 0]
        found = cli("replay", LOG, *options, "--format", "json")
    assert (found.code, found.json["confirmed"], found.json["dead_lettered"]) == (0, 4115, 0)
    assert found.json["requests"] > 48
