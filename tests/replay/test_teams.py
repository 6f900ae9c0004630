"""One team under its names, id and slug, is one destination; two teams are two, whatever they are called."""

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, event, ndjson
from hypothesis import given
from hypothesis import strategies as st

from analyzer.replayer.teams import Teams
from replay.conftest import Replay
from replay.server import Strict

NAMES = [{"teamId": "team_1"}, {"teamId": "team_1", "slug": "web"}, {"slug": "web"}]


@pytest.fixture
def named(tmp_path: Path) -> Any:
    """Write a log of the same event for each of several teams."""

    def write(*teams: dict[str, str]) -> Path:
        path = tmp_path / "-".join(".".join(team.values()) for team in teams)
        path.write_text(ndjson([event(**team) for team in teams]))
        return path

    return write


@pytest.mark.parametrize("order", list(permutations(NAMES)), ids=str)
def test_a_team_that_is_named_in_three_ways_gets_an_event_once(
    replay: Replay, strict: Strict, named: Any, order: tuple[dict[str, str], ...]
) -> None:
    assert replay(named(*order)).json["selected"] == 1
    for team in order:
        assert (replay(named(team)).json["confirmed"], len(strict.taken)) == (1, 1)


@pytest.mark.parametrize("first", NAMES, ids=str)
def test_a_journal_remembers_which_names_go_together(
    replay: Replay, strict: Strict, named: Any, first: dict[str, str]
) -> None:
    replay(named(first))
    replay(named(NAMES[1]))
    assert [replay(named(team)).json["confirmed"] for team in NAMES] == [1, 1, 1]
    assert len(strict.taken) == 1


def test_what_was_sent_under_both_names_before_they_were_known_as_one(
    replay: Replay, strict: Strict, named: Any, tmp_path: Path, cli: Cli
) -> None:
    replay(named(NAMES[0]))
    replay(named(NAMES[2]))
    assert len(strict.taken) == 2
    found = replay(named(NAMES[1])).json
    assert (found["selected"], found["confirmed"], len(strict.taken)) == (1, 1, 2)
    rows = cli("journal", "status", "--journal", tmp_path / "j.sqlite", "--format", "json").table("destinations")
    assert [(row["team"], row["confirmed"]) for row in rows] == [("team_1", 1), ("web", 1)]


def test_uncertain_events_are_sent_again_under_another_name(
    replay: Replay, strict: Strict, named: Any, tmp_path: Path, cli: Cli
) -> None:
    strict.script = ["record, close"]
    assert replay(named(NAMES[0])).code == 8
    found = replay(named(NAMES[1]), "--on-uncertain", "resend")
    assert (found.code, found.json["confirmed"], found.json["uncertain"]) == (0, 1, 0)
    rows = cli("journal", "status", "--journal", tmp_path / "j.sqlite", "--format", "json").table("destinations")
    assert [(row["team"], row["confirmed"], row["uncertain"]) for row in rows] == [
        ("team_1", 0, 0),
        ("web (team_1)", 1, 0),
    ]


def test_two_teams_of_one_slug_both_get_their_events(replay: Replay, strict: Strict, named: Any) -> None:
    first, second = {"teamId": "team_1", "slug": "web"}, {"teamId": "team_2", "slug": "web"}
    found = replay(named(first, second)).json
    assert (found["selected"], found["repeats_dropped"]) == (2, 0)
    assert sorted(taken[0] or "" for taken in strict.taken) == ["team_1", "team_2"]
    assert replay(named(second)).json["requests"] == 0


named_teams = st.tuples(st.sampled_from(["", "1", "2", "3"]), st.sampled_from(["", "a", "b", "c"]))


@given(st.lists(named_teams))
def test_names_are_of_one_team_where_they_share_an_id_or_a_slug_of_one_id(names: list[tuple[str, str]]) -> None:
    def identity(team_id: str, slug: str) -> tuple[str, str]:
        ids = {one for one, other in names if one and slug and other == slug}
        team_id = team_id or (ids.pop() if len(ids) == 1 else "")
        return ("id", team_id) if team_id else ("slug", slug)

    teams = Teams(names)
    for one in names:
        for other in names:
            assert (teams.team_of(one) == teams.team_of(other)) == (identity(*one) == identity(*other))


def test_events_sent_by_a_slug_that_two_teams_share_are_uncertain(replay: Replay, strict: Strict, named: Any) -> None:
    first, second = {"teamId": "team_1", "slug": "web"}, {"teamId": "team_2", "slug": "web"}
    replay(named({"slug": "web"}))
    replay(named(first))
    held = replay(named(first, second))
    assert (held.code, held.json["uncertain"], held.json["unsent"], len(strict.taken)) == (8, 2, 0, 1)
    assert "2 events were sent under a slug that two team ids share" in held.err
    found = replay(named(first, second), "--on-uncertain", "resend")
    assert (found.code, found.json["confirmed"], len(strict.taken)) == (0, 2, 3)


def test_events_sent_to_an_id_are_uncertain_where_the_log_has_a_shared_slug(
    replay: Replay, strict: Strict, named: Any
) -> None:
    replay(named({"teamId": "team_1", "slug": "web"}))
    replay(named({"teamId": "team_2", "slug": "web"}))
    held = replay(named({"slug": "web"}))
    assert (held.code, held.json["uncertain"], len(strict.taken)) == (8, 1, 2)


def test_an_id_alone_is_uncertain_too_where_its_slug_is_shared(replay: Replay, strict: Strict, named: Any) -> None:
    replay(named({"slug": "docs"}))
    for team in ("team_2", "team_3"):
        replay(named({"teamId": team, "slug": "docs"}), "--since", "2000-01-01")
    replay(named({"teamId": "team_2", "slug": "docs"}, {"teamId": "team_3", "slug": "docs"}))
    sent = len(strict.taken)
    held = replay(named({"teamId": "team_2"}))
    assert (held.code, held.json["uncertain"], len(strict.taken)) == (8, 1, sent)


def test_a_plan_to_resend_writes_nothing(replay: Replay, strict: Strict, named: Any, tmp_path: Path) -> None:
    strict.script = ["record, close", "record, close"]
    assert [replay(named(team)).code for team in (NAMES[2], NAMES[0])] == [8, 8]
    before = (tmp_path / "j.sqlite").read_bytes()
    plan = replay(named(*NAMES), "--on-uncertain", "resend", execute=False)
    assert (plan.code, (tmp_path / "j.sqlite").read_bytes()) == (0, before)


@pytest.mark.parametrize("order", [("--slug=web", "--team-id=team_1"), ("--team-id=team_1", "--slug=web")], ids=str)
def test_what_the_log_says_of_a_team_counts_under_other_names_too(
    replay: Replay, strict: Strict, named: Any, order: tuple[str, str]
) -> None:
    source = named(NAMES[1])
    for option in order:
        assert replay(source, option).json["confirmed"] == 1
    assert len(strict.taken) == 1


def test_an_event_that_is_uncertain_under_two_names_is_sent_again_once(
    replay: Replay, strict: Strict, named: Any, tmp_path: Path, cli: Cli
) -> None:
    strict.script = ["record, close", "record, close"]
    assert [replay(named(team)).code for team in (NAMES[2], NAMES[0])] == [8, 8]
    found = replay(named(*NAMES), "--on-uncertain", "resend")
    assert (found.code, found.json["confirmed"], len(strict.taken)) == (0, 1, 3)
    journal = ["--journal", tmp_path / "j.sqlite"]
    rows = cli("journal", "status", *journal, "--format", "json").table("destinations")
    assert [sum(row[state] for row in rows) for state in ("confirmed", "uncertain")] == [1, 0]
    assert cli("journal", "verify", *journal).code == 0
    two = replay(named(NAMES[1], {"teamId": "team_2", "slug": "web"}))
    assert two.json["selected"] == 2


def test_verify_knows_the_names_of_a_team(replay: Replay, strict: Strict, named: Any, tmp_path: Path, cli: Cli) -> None:
    replay(named(NAMES[0]))
    replay(named(NAMES[2]))
    journal = ["--journal", tmp_path / "j.sqlite", "--api", strict.url]
    (row,) = cli("journal", "verify", named(*NAMES), *journal, "--format", "json").table("selection")
    assert (row["selected"], row["confirmed"], row["others"]) == (1, 1, 0)
