"""The README's recipe for HAR: what real clients do behind a real mitmdump is what the commands tell of its file."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Cli, event
from npm import TOKEN, running, server_log

from end_to_end import mitmdump, monorepo
from end_to_end.scenarios import Scenario, Stage, World
from end_to_end.test_recipes import cacheable, milliseconds, sessions, stats

pytestmark = pytest.mark.slow  # mitmproxy is installed and started

EVENTS = "/v8/artifacts/events"
REPORT = f"{EVENTS}?slug=acme"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that has mitmproxy."""
    directory = tmp_path_factory.mktemp("mitmproxy")
    done = mitmdump.install(directory)
    if done.returncode:
        pytest.skip(f"mitmproxy cannot be installed: {done.stderr.splitlines()[-1]}")
    return directory


@pytest.fixture(scope="session")
def plain(npm_commands: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world that needs no nginx."""
    repository = monorepo.create(tmp_path_factory.mktemp("repository"))
    storage = tmp_path_factory.mktemp("storage")
    with running(npm_commands / "turborepo-remote-cache", storage) as cache:
        yield World(npm_commands / "turbo", repository, cache, server_log(storage))


@pytest.fixture(scope="session")
def saved(plain: World, installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    """One developer: nothing cached, all cached, and all in the remote cache alone."""
    directory = tmp_path_factory.mktemp("har")
    (directory / "summaries").mkdir()
    with mitmdump.in_front_of(plain.cache, installed, directory) as proxy:
        on = Stage(plain, "acme", directory, proxy)
        client = on.client("laptop")
        cold, warm = client.run("cold"), client.run("warm")
        client.forget()
        return on.left(cold, warm, client.run("local cache wiped"))


def entries(har: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(har.read_text())["log"]["entries"]
    return found


def test_the_file_has_the_reports_and_no_artifact(cli: Cli, saved: Scenario) -> None:
    requests = [entry["request"] for entry in entries(saved.log)]
    assert [EVENTS in request["url"] for request in requests] == [True] * len(saved.runs)
    assert [len(json.loads(request["postData"]["text"])) for request in requests] == [30, 15, 30]
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


def test_stopped_by_a_service_manager_it_saves_too(cli: Cli, plain: World, installed: Path, tmp_path: Path) -> None:
    """SIGTERM instead of Ctrl-C; and odd characters, CI and a refusal are kept as they were."""
    odd = 'a "quoted" \\ name,\n\u2028 é 😀 \x01'
    content = json.dumps([event(sessionId=odd)], ensure_ascii=False).encode()
    headers = {"authorization": "Bearer wrong", "content-type": "application/json", "x-artifact-client-ci": "GITLAB"}
    with mitmdump.in_front_of(plain.cache, installed, tmp_path, stop=signal.SIGTERM) as proxy:
        refused = httpx.post(proxy.url + REPORT, content=content, headers=headers)
    query = "SELECT session, ci, status, slug FROM events"
    found = json.loads(cli("sql", proxy.log, query, "--format", "ndjson").out)
    assert found == {"session": odd, "ci": "GITLAB", "status": refused.status_code, "slug": "acme"}
    assert refused.status_code in {401, 403}


@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_artifacts_in_the_file_hide_no_report(
    cli: Cli, plain: World, installed: Path, tmp_path: Path, size: int
) -> None:
    """Without the recipe's filter the file has every artifact whole, in up to four times its size."""
    headers, url = {"authorization": f"Bearer {TOKEN}"}, f"/v8/artifacts/{size:016x}?slug=acme"
    artifact = {"content": os.urandom(size), "headers": headers | {"content-type": "application/octet-stream"}}
    with mitmdump.in_front_of(plain.cache, installed, tmp_path, mitmdump.ALL) as proxy:
        sent = httpx.put(proxy.url + url, **artifact), httpx.post(proxy.url + REPORT, json=[event()], headers=headers)
    assert [answer.is_success for answer in sent] == [True, True]
    result = cli("stats", proxy.log, "--format", "json")
    assert (result.json["input"]["kept"], result.json["input"]["rejected"]) == (1, 0)
    assert result.err.endswith("events.har: requests or lines that report no events: 1\n")
