"""Tests of `misses` against a brute-force oracle, on generated logs whose gaps are often exactly the retention."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import brute_misses as slow
import pytest
from conftest import Cli, ndjson
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from log_of_misses import (
    BEGIN,
    MS,
    NO_TIME,
    US,
    Events,
    assert_matches_oracle,
    at,
    local,
    missed,
    run_misses,
    run_of,
    task,
)

# Generated logs: few hashes, times on and right beside half days, so that gaps are often exactly R, and ties frequent.
TEAMS = st.sampled_from([{}, {"slug": "web"}, {"teamId": "team_1"}, {"teamId": "team_1", "slug": "web"}])
NEAR = [NO_TIME, NO_TIME, NO_TIME, MS, -MS, 250 * MS, 1000 * MS]
FINE = [*NEAR, US, -US, 250 * MS + US]
SESSIONS = [f"s{n}" for n in range(8)]
HASHES = [f"h{n}" for n in range(1, 7)]


def generated(near: Sequence[timedelta]) -> st.SearchStrategy[dict[str, Any]]:
    half_days = st.integers(2, 60)
    times = st.tuples(half_days, st.sampled_from(near)).map(lambda found: at(found[0] / 2, found[1]))
    return st.tuples(
        st.fixed_dictionaries(
            {
                "sessionId": st.sampled_from(SESSIONS),
                "source": st.sampled_from(["LOCAL", "REMOTE", "REMOTE"]),
                "event": st.sampled_from(["HIT", "MISS", "MISS"]),
                "hash": st.sampled_from(HASHES),
            },
            optional={
                "duration": st.sampled_from([0, 0.25, 250, 250, 1000.5, None]),
                "timestamp": st.one_of(*[times] * 9, st.just(at(1))),
                "ci": st.sampled_from(["GITLAB", "CIRCLE"]),
            },
        ),
        TEAMS,
    ).map(lambda found: found[0] | found[1])


LOGS = st.one_of(
    *(st.lists(generated(near), min_size=least, max_size=90) for near in (NEAR, FINE) for least in (0, 40))
)
RETENTIONS = st.sampled_from([7, 7, 0.5, 1, 3.5, 30])
FILTERS: dict[str, tuple[list[str], Callable[[slow.Lookup], bool]]] = {
    "all": ([], slow.everything),
    "since": (["--since", at(12)], lambda one: one.at_us is not None and one.at_us >= micros(at(12))),
    "until": (["--until", at(12)], lambda one: one.at_us is not None and one.at_us < micros(at(12))),
    "team": (["--team", "web"], lambda one: one.team == "web"),
    "id": (["--team", "team_1"], lambda one: one.team_id == "team_1"),
    "ci": (["--ci", "GITLAB"], lambda one: one.ci == "GITLAB"),
    "session": (["--session", "s1", "--session", "s2"], lambda one: one.session in ("s1", "s2")),
    "hash": (["--hash", "h1"], lambda one: one.hash == "h1"),
}


def micros(time: str) -> int:
    found = slow.microseconds({"timestamp": time})
    assert found is not None
    return found


def in_order(sessions: Sequence[str]) -> Events:
    """Return an early event of each session, so that the order in which sessions were first seen is defined."""
    return [local(name, "HIT", f"first of {name}", at(0, n * MS), duration=1) for n, name in enumerate(sessions)]


TASKS = st.lists(
    st.builds(
        task,
        st.sampled_from(["h1", "h2", "h3", "h4"]),
        st.just("web"),
        took=st.sampled_from([0, 60, 500, 2000]),
        exit_code=st.sampled_from([0, 0, 1]),
        saved=st.sampled_from([None, None, 0, 125, 750]),
    ),
    max_size=5,
)
METADATA = st.dictionaries(st.sampled_from(["h1", "h2", "h3"]), st.sampled_from([0, 40, 300.5]), max_size=2)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=LOGS, retention=RETENTIONS, chosen=st.sampled_from(sorted(FILTERS)), tasks=TASKS, metadata=METADATA)
def test_against_brute_force(
    cli: Cli,
    tmp_path_factory: pytest.TempPathFactory,
    events: Events,
    retention: float,
    chosen: str,
    tasks: list[dict[str, Any]],
    metadata: dict[str, float],
) -> None:
    events = events + in_order(SESSIONS)
    here = tmp_path_factory.mktemp("log")
    (here / "log.ndjson").write_text(ndjson(events))
    if tasks:
        (here / "run.json").write_text(run_of(1, tasks))
    for name, took in metadata.items():
        (here / f"{name}-meta.json").write_text(json.dumps({"hash": name, "duration": took}))
    options, keep = FILTERS[chosen]
    result = run_misses(cli, here, *options, "--retention", retention, "--by", "hash,team,day")
    misses = slow.classified(events, retention, tasks, metadata)
    assert_matches_oracle(result, events, misses, keep)
    groups = {(row["hash"], row["team"], row["day"]): row for row in result.table("by_hash_team_day")}
    expected = slow.by_group(events, misses, keep)
    assert groups.keys() == expected.keys()
    for key, values in expected.items():
        assert {name: groups[key][name] for name in values} == pytest.approx(values), key


@settings(
    max_examples=4,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    events=st.lists(generated(NEAR), min_size=3, max_size=25),
    cut=st.integers(1, 24),
    data=st.data(),
)
def test_an_archive_loaded_in_any_order_gives_the_same_answer(
    cli: Cli, tmp_path_factory: pytest.TempPathFactory, events: Events, cut: int, data: st.DataObject
) -> None:
    """No two events have the same time here; ties have their own test."""
    events = [
        one | {"timestamp": at(0, timedelta(microseconds=micros(one["timestamp"]) - micros(at()), milliseconds=n))}
        if "timestamp" in one
        else one
        for n, one in enumerate(events)
    ]
    here = tmp_path_factory.mktemp("pieces")
    edges = sorted({0, min(cut, len(events)), len(events)})
    pieces = [events[a:b] for a, b in pairwise(edges)]
    named = [[{**one, "piece": number} for one in piece] for number, piece in enumerate(pieces)]
    for number, piece in enumerate(data.draw(st.permutations(named))):
        (path := here / f"{number}.ndjson").write_text(ndjson(piece))
        assert cli("load", path, "--into", here / "archive.duckdb").code == 0
    result = run_misses(cli, here / "archive.duckdb")
    assert_matches_oracle(result, events, slow.classified(events, 7), slow.everything)


def test_the_order_of_the_costliest_does_not_depend_on_the_load_order(cli: Cli, log: Any, tmp_path: Path) -> None:
    """Of five hashes with the same cost, the limit selects the same two from logs and from an archive."""
    pieces = [[BEGIN], *([*missed("a", f"h{n}", at(10)), *missed("b", f"h{n}", at(11))] for n in range(5))]
    paths = [log(piece, f"{number}.ndjson") for number, piece in enumerate(pieces)]
    for path in reversed(paths):
        assert cli("load", path, "--into", tmp_path / "a.duckdb").code == 0
    shown = [
        [row["hash"] for row in run_misses(cli, *source, "--limit", 2).table("top")]
        for source in (paths, [tmp_path / "a.duckdb"])
    ]
    assert shown[0] == shown[1]
