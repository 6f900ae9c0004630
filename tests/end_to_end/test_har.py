"""The README's recipe for HAR: what real clients do behind a real mitmdump is what the commands tell of its file."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Cli, event
from npm import running

from end_to_end import mitmdump, monorepo
from end_to_end.scenarios import Scenario, Stage, World
from end_to_end.test_recipes import cacheable, milliseconds, sessions, stats

EVENTS = "/v8/artifacts/events"


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of mitmdump."""
    found = mitmdump.environment(tmp_path_factory.mktemp("mitmproxy"))
    installed = mitmdump.install(found)
    if installed.returncode:
        pytest.skip(f"mitmproxy cannot be installed: {installed.stderr.splitlines()[-1]}")
    return found


@pytest.fixture(scope="session")
def plain(npm_commands: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world that needs no nginx."""
    repository = monorepo.create(tmp_path_factory.mktemp("repository"))
    with running(npm_commands / "turborepo-remote-cache", tmp_path_factory.mktemp("storage")) as cache:
        yield World(npm_commands / "turbo", repository, cache)


@pytest.fixture(scope="session")
def saved(plain: World, commands: Path, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    """One developer: nothing cached, all cached, and all in the remote cache alone."""
    directory = tmp_path_factory.mktemp("har")
    (directory / "summaries").mkdir()
    with mitmdump.in_front_of(plain.cache, commands, directory) as proxy:
        on = Stage(plain, "acme", directory, proxy)
        client = on.client("laptop")
        cold, warm = client.run("cold"), client.run("warm")
        client.forget()
        return on.left(cold, warm, client.run("local cache wiped"))


def entries(har: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(har.read_text())["log"]["entries"]
    return found


def test_nothing_is_lost_among_the_artifacts(cli: Cli, saved: Scenario) -> None:
    """The file holds every request, artifacts up and down included; each report is in it once, with all its events."""
    requests = [entry["request"] for entry in entries(saved.log)]
    assert {request["method"] for request in requests} >= {"GET", "PUT", "POST"}
    reports = [json.loads(request["postData"]["text"]) for request in requests if EVENTS in request["url"]]
    assert [len(report) for report in reports] == [30, 15, 30]
    expected = {"read": 75, "kept": 75, "rejected": 0, "filtered": 0, "duplicate": 0, "files": 1}
    assert stats(cli, saved).json["input"] == expected


def test_each_session_is_what_turbo_printed(cli: Cli, saved: Scenario) -> None:
    rows = sessions(cli, saved)
    assert [(row["local_hits"], row["remote_hits"]) for row in rows] == [(0, 0), (15, 0), (0, 15)]
    for row, run in zip(rows, saved.runs, strict=True):
        assert (run.code, row["hits"], row["lookups"]) == (0, run.cached, run.total), run.what
        saved_ms = sum(task["cache"].get("timeSaved", 0) for task in cacheable(run))
        assert row["time_saved_ms"] in {saved_ms, saved_ms or None}, run.what


def test_each_report_came_during_its_run(cli: Cli, saved: Scenario) -> None:
    for row, run in zip(sessions(cli, saved), saved.runs, strict=True):
        assert run.started_ms <= milliseconds(row["first_at"]) <= milliseconds(row["last_at"]) <= run.ended_ms, run.what


def test_the_team_and_the_answer_are_known(cli: Cli, saved: Scenario) -> None:
    query = "SELECT slug, team, status, count(*) AS events FROM events GROUP BY ALL"
    assert cli("sql", saved.log, query, "--format", "csv").out.splitlines()[1:] == ["acme,acme,200,75"]


def test_every_run_summary_is_matched_to_its_session(cli: Cli, saved: Scenario) -> None:
    found = cli("sql", saved.log, saved.summaries, "SELECT id, session FROM runs", "--format", "ndjson")
    matched = {row["id"]: row["session"] for row in map(json.loads, found.out.splitlines())}
    ids = [json.loads(run.summary.read_text())["id"] for run in saved.runs]
    assert (found.code, found.err) == (0, "")
    assert matched == dict(zip(ids, [row["session"] for row in sessions(cli, saved)], strict=True))


def test_stopped_by_a_service_manager_it_saves_too(cli: Cli, plain: World, commands: Path, tmp_path: Path) -> None:
    """SIGTERM instead of Ctrl-C; and odd characters, CI and a refusal are kept as they were."""
    odd = 'a "quoted" \\ name,\n\u2028 é 😀 \x01'
    content = json.dumps([event(sessionId=odd)], ensure_ascii=False).encode()
    headers = {"authorization": "Bearer wrong", "content-type": "application/json", "x-artifact-client-ci": "GITLAB"}
    with mitmdump.in_front_of(plain.cache, commands, tmp_path, signal.SIGTERM) as proxy:
        refused = httpx.post(f"{proxy.url}{EVENTS}?slug=acme", content=content, headers=headers)
    query = 'SELECT "sessionId", ci, status, slug FROM events'
    found = json.loads(cli("sql", proxy.log, query, "--format", "ndjson").out)
    assert found == {"sessionId": odd, "ci": "GITLAB", "status": refused.status_code, "slug": "acme"}
    assert refused.status_code in {401, 403}
