"""Run summaries replayed: the events turbo would have sent, of the runs whose events never arrived."""

import itertools
import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import RECORDED, Cli

from analyzer.readers.documents import session_of_run
from replay.conftest import Replay
from replay.server import TOKEN, Strict, serving
from replay.test_replay import accounted

RUNS = RECORDED / "runs"
LOG = RECORDED / "requests.ndjson"

Events = Counter[tuple[str, str, str, float]]


def sent(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *sources: Any) -> tuple[dict[str, Events], Any]:
    """Replay; return the events by session, and the answer."""
    monkeypatch.setenv("TURBO_TOKEN", TOKEN)
    with serving(strict := Strict()) as server:
        options = [
            "--api",
            server.url,
            "--execute",
            "--requests-per-minute",
            0,
            "--journal",
            tmp_path.with_suffix(".sqlite"),
        ]
        found = cli("replay", *sources, *options, "--format", "json")
    by_session: dict[str, Events] = {}
    for taken in strict.taken:
        event = json.loads(taken[4])
        key = (event["source"], event["event"], event["hash"], event.get("duration", 0))
        by_session.setdefault(event["sessionId"], Counter())[key] += 1
    return by_session, found


def recorded() -> dict[str, Events]:
    """The events of each recorded session, once each."""
    found: dict[str, set[tuple[str, str, str, float]]] = {}
    for line in LOG.read_text().splitlines():
        for event in json.loads(line)["body"]:
            key = (event["source"], event["event"], event["hash"], event["duration"])
            found.setdefault(event["sessionId"], set()).add(key)
    return {session: Counter(events) for session, events in found.items()}


def test_the_events_are_those_the_client_sent(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oracle: list[dict[str, Any]]
) -> None:
    known = recorded()
    usual = [run for run in oracle if run["sessions"] and "--cache" not in run["command"]]
    assert len(usual) > 40
    for run in usual[:6] + usual[-6:]:
        made, found = sent(cli, tmp_path / run["run"], monkeypatch, RUNS / (run["summary_file"] + ".gz"))
        assert list(made.values()) == [known[run["sessions"][0]]], run["desc"]
        assert found.code == 0


def test_verify_has_the_view_that_was_sent(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURBO_TOKEN", TOKEN)
    at = ["--view", "runs", "--journal", tmp_path / "j.sqlite", "--api"]
    with serving(Strict()) as server:
        done = cli("replay", RUNS, "--execute", "--requests-per-minute", 0, *at, server.url, "--format", "json")
        fit = cli("journal", "verify", RUNS, *at, server.url)
    confirmed = done.json["confirmed"]
    assert confirmed > 0
    assert f"{confirmed:,} events selected = {confirmed:,} confirmed" in fit.err


def test_only_runs_whose_events_never_arrived_are_sent(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, found = sent(cli, tmp_path, monkeypatch, RUNS, LOG, "--view", "runs")
    assert len(made) == 2
    assert found.json["confirmed"] == sum(map(Counter.total, made.values())) == 74
    assert "55 are left out as their events are in the log, 4 as they may have been run with --force" in found.err


def test_with_events_in_the_log_the_summaries_are_not_sent(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, found = sent(cli, tmp_path, monkeypatch, RUNS, LOG)
    assert made.keys() == recorded().keys()
    assert "6 run summaries match no session; --view runs sends events made of them instead" in found.err


def written(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The recorded log, each of its requests changed."""
    requests = [json.loads(line) for line in LOG.read_text().splitlines()]
    for request in requests:
        change(request)
    path = tmp_path / "changed.ndjson"
    path.write_text("".join(json.dumps(request) + "\n" for request in requests))
    return path


def lookups(strict: Strict, oracle: list[dict[str, Any]]) -> dict[str, Events]:
    """What the server took, by the run it is of, whether it came as the client's events or as made of the summary."""
    runs = {session: run["run"] for run in oracle for session in run["sessions"]}
    runs |= {
        session_of_run(run["summary_file"].split("-")[1][:-5]): run["run"] for run in oracle if run["summary_file"]
    }
    found: dict[str, Events] = {}
    for item in map(json.loads, strict.events()):
        key = (item["source"], item["event"], item["hash"], 0)
        found.setdefault(runs[item["sessionId"]], Counter())[key] += 1
    return found


def as_it_is(_: dict[str, Any]) -> None:
    """Change nothing."""


def other_durations(request: dict[str, Any]) -> None:
    """Change what an event is known by."""
    for item in request["body"]:
        item["duration"] += item["event"] == "HIT"


@pytest.mark.parametrize("change", [as_it_is, other_durations])
@pytest.mark.parametrize("events", [None, 1000])
def test_a_log_that_comes_after_its_summaries_is_no_second_delivery(
    events: int | None, change: Any, cli: Cli, replay: Replay, strict: Strict, tmp_path: Path,
    oracle: list[dict[str, Any]],
) -> None:  # fmt: skip
    limit = ["--limit", events] if events else []
    before = accounted(replay(RUNS, "--slug", "acme", *limit))["confirmed"]
    cli("load", written(tmp_path, change), RUNS, "--into", tmp_path / "a.duckdb")
    plan = replay(tmp_path / "a.duckdb", "--slug", "acme", execute=False)
    done = replay(tmp_path / "a.duckdb", "--slug", "acme")
    assert (done.code, accounted(done)["confirmed"]) == (0, 4115)
    assert accounted(plan)["unsent"] == accounted(done)["confirmed_now"] == len(strict.taken) - before
    words = f"{4115 - done.json['confirmed_now']:,} events were delivered before, made of their run's summary"
    assert words in plan.err
    assert words in done.err
    taken = lookups(strict, oracle)
    assert {count for run in taken.values() for count in run.values()} == {1}
    for run in oracle:
        if run["sessions"]:
            of_client = {(*key[:3], 0) for key in recorded()[run["sessions"][0]]}
            assert of_client <= taken[run["run"]].keys()
    fit = cli("journal", "verify", tmp_path / "a.duckdb", "--journal", tmp_path / "j.sqlite", "--api", strict.url,
              "--slug", "acme")  # fmt: skip
    assert f"{before:,} more events went there that SOURCE" in fit.err


def an_hour_late(request: dict[str, Any]) -> None:
    request["received_at"] = (datetime.fromisoformat(request["received_at"]) + timedelta(hours=1)).isoformat()


def test_sessions_that_fit_a_delivered_run_but_for_the_time_are_held(
    replay: Replay, strict: Strict, tmp_path: Path, oracle: list[dict[str, Any]]
) -> None:
    replay(RUNS, "--slug", "acme")
    log = written(tmp_path, an_hour_late)
    held = replay(log, RUNS, "--slug", "acme")
    assert held.code == 8
    assert accounted(held)["uncertain"] > 3000
    assert f"{held.json['uncertain']:,} events may have been delivered before" in held.err
    assert "journal resolve" not in held.err
    assert {count for run in lookups(strict, oracle).values() for count in run.values()} == {1}
    resent = replay(log, RUNS, "--slug", "acme", "--on-uncertain", "resend")
    assert (resent.code, accounted(resent)["confirmed_now"]) == (0, held.json["uncertain"])


def test_what_is_uncertain_of_a_run_is_uncertain_of_its_session(
    cli: Cli, replay: Replay, strict: Strict, tmp_path: Path, oracle: list[dict[str, Any]]
) -> None:
    strict.script = [(500, "oops")]
    assert accounted(replay(RUNS, "--slug", "acme", "--limit", 100))["uncertain"] == 100
    held = replay(LOG, RUNS, "--slug", "acme")
    assert held.code == 8
    assert 0 < accounted(held)["uncertain"] <= 100
    cli("journal", "resolve", "--journal", tmp_path / "j.sqlite", "--uncertain", "resend")
    assert accounted(replay(LOG, RUNS, "--slug", "acme"))["confirmed"] == 4115
    assert {count for run in lookups(strict, oracle).values() for count in run.values()} == {1}


def test_what_was_refused_of_a_run_may_be_sent_of_its_session(replay: Replay, strict: Strict) -> None:
    strict.poison = lambda item: item["sessionId"][14] == "5"
    assert accounted(replay(RUNS, "--slug", "acme", "--limit", 5))["dead_lettered"] == 5
    found = accounted(replay(LOG, RUNS, "--slug", "acme"))
    assert found["confirmed_now"] == found["confirmed"] == 4115


def test_elsewhere_nothing_was_delivered(replay: Replay) -> None:
    replay(RUNS, "--slug", "acme")
    assert accounted(replay(LOG, RUNS, "--slug", "other"))["confirmed_now"] == 4115


STATUSES = {"refused": [403], "throttled": [429, 400], "failed": [500], "timeout": [408], "closed": [0],
            "moved": [308], "half": [403, 200], "unknown": [None]}  # fmt: skip


@pytest.mark.parametrize("statuses", STATUSES.values(), ids=STATUSES)
def test_of_runs_that_were_refused_the_clients_own_events_are_sent(
    statuses: list[int | None], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = Counter(json.loads(line)["body"][0]["sessionId"] for line in LOG.read_text().splitlines())
    session = next(session for session, requests in many.items() if requests > 1)
    given = iter(statuses * many[session])

    def answer(request: dict[str, Any]) -> None:
        if request["body"][0]["sessionId"] == session:
            request["status"] = next(given)

    made, found = sent(cli, tmp_path, monkeypatch, RUNS, written(tmp_path, answer), "--view", "runs")
    never_arrived = all(status in (400, 403, 429) for status in statuses)
    assert made.get(session) == (recorded()[session] if never_arrived else None)
    assert len(made) == 2 + never_arrived
    assert f"{55 - never_arrived} are left out as their events are in the log" in found.err
    assert ("of 1 runs the log shows all events refused (4xx)" in found.err) is never_arrived


def test_a_log_is_replayed_whatever_it_was_answered(replay: Replay, strict: Strict, tmp_path: Path) -> None:
    answers = itertools.cycle([200, 403, 500, 0, 429, None])
    log = written(tmp_path, lambda request: request.update(status=next(answers)))
    assert accounted(replay(log, execute=False))["unsent"] == 4115
    failed = accounted(replay(log, "--status", "failed"))["confirmed_now"]
    assert 0 < failed == len(strict.taken) < 4115
    assert accounted(replay(log))["confirmed_now"] == 4115 - failed
    assert len(set(strict.taken)) == len(strict.taken) == 4115


def test_a_refused_session_is_no_second_delivery_of_its_run(
    replay: Replay, strict: Strict, tmp_path: Path, oracle: list[dict[str, Any]]
) -> None:
    replay(RUNS, "--slug", "acme")
    log = written(tmp_path, lambda request: request.update(status=403))
    found = accounted(replay(log, RUNS, "--view", "runs", "--slug", "acme"))
    assert found["confirmed"] == found["selected"] > found["confirmed_now"] > 0
    assert {count for run in lookups(strict, oracle).values() for count in run.values()} == {1}
