"""Run summaries replayed: the events turbo would have sent, of the runs whose events never arrived."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import RECORDED, Cli

from replay.server import TOKEN, Strict, serving

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
