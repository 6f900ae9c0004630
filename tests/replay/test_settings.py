"""Where the server, the token and the team come from, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import RECORDED, Cli

from analyzer.cli.replay import configured_server
from analyzer.errors import UsageError
from analyzer.replayer.options import ReplayOptions
from analyzer.replayer.settings import find_server, normalize_api
from analyzer.replayer.teams import Context, request_context


def around(tmp_path: Path, environment: dict[str, str], **files: Any) -> tuple[dict[str, str], Path, Path]:
    """A repository with a directory in it, and a user's directory; files by place_name."""
    places = {"repository": tmp_path / "repo" / ".turbo", "user": tmp_path / "user"}
    (tmp_path / "repo" / "packages").mkdir(parents=True)
    for directory in places.values():
        directory.mkdir()
    for name, content in files.items():
        place, _, file = name.partition("_")
        (places[place] / f"{file}.json").write_text(json.dumps(content))
    return (environment, tmp_path / "repo" / "packages", tmp_path / "user")


PAIR = {"VERCEL_ARTIFACTS_TOKEN": "pair", "VERCEL_ARTIFACTS_OWNER": "team_pair"}
CONFIG = {"teamId": "team_repo", "teamSlug": "repo", "apiUrl": "https://repo.example.com"}
USER = {"teamid": "team_user", "apiurl": "https://user.example.com", "token": "old"}


@pytest.mark.parametrize(
    ("environment", "files", "expected"),
    [
        ({}, {}, ("https://api.vercel.com", "", None, None)),
        ({}, {"user_auth": {"token": "login"}}, ("https://api.vercel.com", "login", None, None)),
        ({}, {"user_config": USER}, ("https://user.example.com", "old", "team_user", None)),
        (
            {}, {"user_config": USER, "repository_config": CONFIG},
            ("https://repo.example.com", "old", "team_repo", "repo"),
        ),
        (
            {"TURBO_API": "https://env.example.com", "TURBO_TOKEN": "env", "TURBO_TEAM": "env"},
            {"user_config": USER, "repository_config": CONFIG, "user_auth": {"token": "login"}},
            ("https://env.example.com", "env", None, "env"),
        ),
        (
            {"TURBO_TEAMID": "team_env", "TURBO_API": "", "TURBO_TOKEN": ""}, {},
            ("https://api.vercel.com", "", "team_env", None),
        ),
        (
            {"VERCEL_ARTIFACTS_TOKEN": "pair", "VERCEL_ARTIFACTS_OWNER": "team_pair"}, {},
            ("https://api.vercel.com", "pair", "team_pair", None),
        ),
        ({"VERCEL_ARTIFACTS_TOKEN": "alone"}, {}, ("https://api.vercel.com", "", None, None)),
        ({"VERCEL_ARTIFACTS_OWNER": "alone"}, {}, ("https://api.vercel.com", "", None, None)),
        *(
            (PAIR | more, {"repository_config": {"teamSlug": "repo"}}, ("https://api.vercel.com", *expected))
            for more, expected in (
                ({"TURBO_TOKEN": "t"}, ("pair", "team_pair", None)),
                ({"TURBO_TEAM": "s"}, ("pair", "team_pair", None)),
                ({"TURBO_TEAMID": "i"}, ("pair", "team_pair", None)),
                ({"TURBO_TEAM": "s", "TURBO_TEAMID": "i"}, ("pair", "team_pair", None)),
                ({"TURBO_TOKEN": "t", "TURBO_TEAM": "s"}, ("t", None, "s")),
                ({"TURBO_TOKEN": "t", "TURBO_TEAMID": "i"}, ("t", "i", None)),
                ({"TURBO_TOKEN": "t", "TURBO_TEAM": "s", "TURBO_TEAMID": "i"}, ("t", "i", "s")),
            )
        ),
        (
            {"TURBO_TOKEN": "t"}, {"repository_config": {"teamSlug": "repo"}},
            ("https://api.vercel.com", "t", None, "repo"),
        ),
    ],
)  # fmt: skip
def test_precedence(environment: dict[str, str], files: Any, expected: tuple[Any, ...], tmp_path: Path) -> None:
    found = find_server(None, None, *around(tmp_path, environment, **files))
    api, token, team_id, slug = expected
    assert (found.api, found.token, found.team) == (api, token, (team_id or "", slug or ""))


def test_flags_come_first_and_nothing_shows_the_token(tmp_path: Path) -> None:
    place = around(tmp_path, {"TURBO_API": "https://env.example.com", "TURBO_TOKEN": "env"})
    found = find_server("https://flag.example.com/cache/", "flagged", *place)
    assert (found.api, found.token) == ("https://flag.example.com/cache", "flagged")
    assert "flagged" not in repr(found)


REFUSED = (
    "http://cache.example.com", "ftp://x", "cache.example.com", "https://", "https://a:x/", "https://u:p@h",
    "https://h?a=1",
)  # fmt: skip


@pytest.mark.parametrize("api", REFUSED)
def test_addresses_that_are_refused(api: str) -> None:
    with pytest.raises(UsageError, match=r"^api="):
        normalize_api(api)


@pytest.mark.parametrize(
    "api", ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:8080", "http://127.9.9.9:1"]
)
def test_this_machine_itself_needs_no_https(api: str) -> None:
    assert normalize_api(api) == api


def test_a_broken_configuration_is_named(tmp_path: Path) -> None:
    place = around(tmp_path, {})
    (tmp_path / "user" / "config.json").write_text("{")
    with pytest.raises(UsageError, match=r"config\.json"):
        find_server(None, None, *place)


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff", "tök".encode()])
def test_invalid_tokens_are_refused_and_not_printed(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        configured_server(None, tmp_path / "token")
    assert "two words" not in str(caught.value)


def test_the_team_of_events_without_one() -> None:
    mine = ("", "mine")
    assert request_context(Context(ci="A"), ReplayOptions(), mine) == Context(slug="mine", ci="A")
    assert request_context(Context(team_id="team_1"), ReplayOptions(), mine) == Context(team_id="team_1")
    options = ReplayOptions(team_id="team_2", as_ci="B", as_interactive=False)
    moved = request_context(Context("team_1", "one", "A", interactive=True), options)
    assert moved == Context("team_2", None, "B", interactive=False)


def test_sending_needs_a_token(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TURBO_TOKEN", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert cli("replay", RECORDED / "requests.ndjson").code == 0
    result = cli("replay", RECORDED / "requests.ndjson", "--execute")
    assert (result.code, "no token" in result.err, result.out) == (2, True, "")
    assert not (tmp_path / "cache-replay.sqlite").exists()
