"""Replay from the command line to a strict server: every event once, in its context, whatever the server does."""

import itertools
import json
import os
import resource
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from conftest import RECORDED, Cli, event

from analyzer.replayer import transport
from analyzer.replayer.journal import Journal
from replay.conftest import Replay
from replay.server import TOKEN, Strict, http_date

LOG = RECORDED / "requests.ndjson"
KEYS = ("sessionId", "source", "event", "hash", "duration")


def identity(item: dict[str, Any]) -> str:
    return json.dumps({key: item[key] for key in KEYS if key in item}, separators=(",", ":"))


def accounted(result: Any) -> dict[str, Any]:
    """The account of a replay, which must add up."""
    found: dict[str, Any] = result.json
    assert found["selected"] == sum(found[name] for name in ("confirmed", "dead_lettered", "uncertain", "unsent"))
    return found


def test_the_recording_arrives_as_its_distinct_events_each_in_its_context(
    replay: Replay, strict: Strict, requests: list[dict[str, Any]]
) -> None:
    expected = {
        (
            one["query"].get("teamId"), one["query"].get("slug"), one["headers"].get("x-artifact-client-ci"),
            one["headers"].get("x-artifact-client-interactive"), identity(item),
        )
        for one in requests
        for item in one["body"]
    }  # fmt: skip
    first = replay(LOG)
    assert (first.code, strict.refusals) == (0, [])
    assert set(strict.taken) == expected
    assert len(strict.taken) == len(expected) == accounted(first)["confirmed_now"]
    again = replay(LOG)
    assert (again.code, accounted(again)["requests"], len(strict.taken)) == (0, 0, len(expected))


def test_the_order_within_a_session_is_kept(replay: Replay, strict: Strict, requests: list[dict[str, Any]]) -> None:
    replay(LOG, "--chunk-size", 7)
    written, sent = defaultdict(list), defaultdict(list)
    for one in requests:
        for item in one["body"]:
            if identity(item) not in written[item["sessionId"]]:
                written[item["sessionId"]].append(identity(item))
    for text in strict.events():
        sent[json.loads(text)["sessionId"]].append(text)
    assert sent == written


def test_a_plan_sends_nothing_and_matches_the_run(replay: Replay, strict: Strict, tmp_path: Path) -> None:
    plan = accounted(replay(LOG, "--chunk-size", 50, "--max-bytes", 3000, execute=False))
    assert (strict.bodies, plan["executed"], plan["unsent"]) == ([], False, 4115)
    assert not (tmp_path / "j.sqlite").exists()
    row = plan["tables"][0]["rows"][0]
    done = accounted(replay(LOG, "--chunk-size", 50, "--max-bytes", 3000))
    assert (row["chunks"], row["bytes"]) == (done["requests"], done["bytes"])
    assert row["bytes"] == sum(map(len, strict.bodies))
    assert max(map(len, strict.bodies)) <= 3000
    assert max(len(json.loads(body)) for body in strict.bodies) <= 50
    assert row["sessions_to_send"] == len({json.loads(text)["sessionId"] for text in strict.events()})


def test_one_event_in_many_logs_is_one_delivery(cli: Cli, replay: Replay, strict: Strict, tmp_path: Path) -> None:
    cli("load", LOG, "--into", tmp_path / "a.duckdb")
    replay(LOG, "--limit", 1000)
    assert len(strict.taken) == 1000
    for source in (RECORDED / "events.har", tmp_path / "a.duckdb", LOG):
        assert replay(source, "--chunk-size", 33).code == 0
    assert len(strict.taken) == len(set(strict.taken)) == 4115
    for other in ("--slug", "--team-id"):
        assert accounted(replay(LOG, other, "elsewhere", "--limit", 10))["confirmed_now"] == (
            10 if other == "--slug" else 0
        )


def test_repeats_are_sent_once_or_as_often_as_a_log_has_them(replay: Replay, strict: Strict, log: Any) -> None:
    first = log([event(), event(), event(hash="h2"), event()], "first")
    overlap = log([event(), event(hash="h3"), event()], "overlap")
    found = accounted(replay(first, overlap))
    assert (found["selected"], found["repeats_dropped"], len(strict.taken)) == (3, 4, 3)
    found = accounted(replay(first, overlap, "--keep-repeats"))
    assert (found["selected"], found["confirmed_now"], found["repeats_dropped"]) == (5, 2, 2)
    assert strict.events().count(identity(event())) == 3


def test_items_hold_what_the_log_had(replay: Replay, strict: Strict, log: Any) -> None:
    items = [
        event(duration=...), event(hash="b", duration=0), event(hash="c", duration=1.5),
        event(hash='q"\\\u00e9\n', duration=1e15), event(hash="d", duration=2**53), event(hash="e", duration=1e300),
    ]  # fmt: skip
    replay(log([{**item, "ci": "A", "slug": "é&=", "interactive": 1, "timestamp": 0, "status": 500} for item in items]))
    assert [json.loads(text) for text in strict.events()] == items
    assert {taken[:4] for taken in strict.taken} == {(None, "é&=", "A", "1")}


def test_filters_select_as_they_do_for_stats(cli: Cli, replay: Replay) -> None:
    for filters in (
        ["--ci", "GITHUB_ACTIONS"],
        ["--team", "acme"],
        ["--source", "REMOTE", "--event", "HIT"],
        ["--status", "ok"],
    ):
        stats = cli("stats", LOG, *filters, "--format", "json").json["input"]
        plan = accounted(replay(LOG, *filters, execute=False))
        assert plan["input"] == stats
        assert plan["selected"] + plan["repeats_dropped"] == stats["kept"] > 0


def test_overrides_move_events(replay: Replay, strict: Strict) -> None:
    replay(LOG, "--limit", 5, "--team-id", "team_new", "--as-ci", "DRONE", "--as-no-interactive")
    assert {taken[:4] for taken in strict.taken} == {("team_new", None, "DRONE", "0")}


@pytest.mark.parametrize("status", [200, 201, 204])
def test_success(status: int, replay: Replay, strict: Strict) -> None:
    strict.script = [str(status)]
    assert (replay(LOG, "--limit", 10).code, len(strict.taken)) == (0, 10)


@pytest.mark.parametrize("after", ["1", "date", None])
def test_throttled(after: str | None, replay: Replay, strict: Strict) -> None:
    wait = {} if after is None else {"retry-after": http_date(2) if after == "date" else after}
    strict.script = ["ok", (429, "slow down", wait)]
    found = accounted(replay(LOG, "--limit", 30, "--chunk-size", 10))
    assert (found["confirmed"], found["requests"], found["retries"]) == (30, 4, 1)
    assert len(strict.taken) == 30


def test_a_wait_beyond_the_budget_stops(replay: Replay, strict: Strict) -> None:
    strict.script = [(429, "", {"retry-after": "3600"})]
    result = replay(LOG, "--limit", 30)
    assert (result.code, accounted(result)["unsent"]) == (4, 30)
    assert "asks to wait 3600 s" in result.err
    assert (replay(LOG, "--limit", 30).code, len(strict.taken)) == (0, 30)


@pytest.mark.parametrize("step", [(500, "oops"), (503, ""), (408, ""), "garbage", "close before", "record, close"])
def test_events_with_an_unknown_outcome_are_uncertain(
    step: Any, cli: Cli, replay: Replay, strict: Strict, tmp_path: Path
) -> None:
    strict.script = ["ok", step]
    journal = ["--journal", tmp_path / "j.sqlite"]
    result = replay(LOG, "--limit", 30, "--chunk-size", 10)
    assert (result.code, accounted(result)["uncertain"], accounted(result)["confirmed"]) == (8, 10, 20)
    again = accounted(replay(LOG, "--limit", 30))
    assert (again["requests"], again["uncertain"]) == (0, 10)
    status = cli("journal", "status", *journal, "--format", "json")
    assert [(row["uncertain"], row["confirmed"]) for row in status.table("destinations")] == [(10, 20)]
    chunk = status.table("uncertain")[0]["chunk"]
    assert cli("journal", "resolve", *journal, "--uncertain", "resend", "--chunk", chunk).code == 0
    assert (replay(LOG, "--limit", 30).code, len(set(strict.taken))) == (0, 30)
    assert len(strict.taken) == (40 if step == "record, close" else 30)
    assert cli("journal", "verify", LOG, *journal, "--api", strict.url).code == 0


def test_what_went_to_one_team_or_server_is_settled_alone(
    cli: Cli, replay: Replay, strict: Strict, log: Any, tmp_path: Path
) -> None:
    strict.script = ["record, close"] * 2
    source = log([event(slug="web"), event(slug="docs")])
    journal = ["--journal", tmp_path / "j.sqlite"]
    assert accounted(replay(source))["uncertain"] == 2
    settle = ["journal", "resolve", *journal, "--uncertain", "delivered"]
    assert "no events are uncertain there" in cli(*settle, "--api", "https://other.example.com").err
    assert "no events are uncertain there" in cli(*settle, "--api", strict.url, "--team", "wbe").err
    assert "1 events: now delivered" in cli(*settle, "--api", f"{strict.url}/", "--team", "web").err
    rows = cli("journal", "status", *journal, "--format", "json").table("destinations")
    assert {row["team"]: (row["confirmed"], row["uncertain"]) for row in rows} == {"web": (1, 0), "docs": (0, 1)}


def test_resend_for_those_who_accept_doubles(replay: Replay, strict: Strict) -> None:
    strict.script = ["ok", "record, close", "ok"]
    found = replay(LOG, "--limit", 30, "--chunk-size", 10, "--on-uncertain", "resend")
    assert (found.code, accounted(found)["confirmed"], len(strict.taken)) == (0, 30, 40)
    strict.script = ["record, close"]
    assert replay(LOG, "--limit", 50).code == 8
    found = replay(LOG, "--limit", 50, "--on-uncertain", "resend")
    assert (found.code, accounted(found)["confirmed_now"], len(set(strict.taken))) == (0, 20, 50)


def test_an_outage_does_not_make_a_whole_log_uncertain(replay: Replay, strict: Strict) -> None:
    strict.script = [(503, "")] * 100
    result = replay(LOG, "--chunk-size", 10)
    assert (result.code, accounted(result)["uncertain"], accounted(result)["requests"]) == (4, 30, 3)
    assert "for 3 requests in a row it is uncertain whether they were recorded" in result.err


def test_a_body_over_the_limit_is_halved_and_that_is_remembered(replay: Replay, strict: Strict) -> None:
    strict.max_bytes = 3000
    result = replay(LOG, "--limit", 400, "--chunk-size", 100)
    assert (result.code, len(strict.taken), len(set(strict.taken))) == (0, 400, 400)
    assert len(strict.refusals) < 7


@pytest.mark.parametrize("poisoned", [1, 3])
def test_events_at_fault_are_found_and_the_others_sent(
    poisoned: int, replay: Replay, strict: Strict, log: Any, tmp_path: Path
) -> None:
    strict.poison = lambda item: item["hash"] in {f"h{n * 7}" for n in range(poisoned)}
    source = log([event(hash=f"h{n}", slug="a") for n in range(40)])
    letters = tmp_path / "dead.ndjson"
    result = replay(source, "--dead-letters", letters)
    assert (result.code, len(strict.taken)) == (6, 40 - poisoned)
    assert accounted(result)["dead_lettered"] == poisoned
    dead = [json.loads(line) for line in letters.read_text().splitlines()]
    assert [(one["hash"], one["status"], one["error"], one["slug"]) for one in dead] == [
        (f"h{n * 7}", 400, "poison", "a") for n in range(poisoned)
    ]
    again = replay(source)
    assert (again.code, accounted(again)["requests"]) == (6, 0)
    assert not list(tmp_path.glob("*dead-letters*"))
    repaired = log([{**one, "hash": "mended" + one["hash"]} for one in dead], "repaired")
    assert (replay(repaired).code, len(strict.taken)) == (0, 40)


def test_when_all_is_refused_not_the_events_are_at_fault(replay: Replay, strict: Strict) -> None:
    strict.poison = lambda _: True
    result = replay(LOG)
    assert (result.code, accounted(result)["dead_lettered"], strict.taken) == (4, 0, [])
    assert "stay unsent, because the server accepted no event" in result.err
    strict.poison = lambda _: False
    assert (replay(LOG).code, len(strict.taken)) == (0, 4115)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, "", "TURBO_TOKEN"),
        (402, "", "billing"),
        (403, "remote_caching_disabled", "a team owner can turn it on"),
        (403, "remote_caching_over_limit", "over its limit"),
        (403, "remote_caching_paused", "resume it"),
        (404, "", "check --api"),
        (410, "", "check --api"),
        (301, "", "redirects are not followed"),
    ],
)
def test_the_runs_own_problems_stop_it(status: int, code: str, words: str, replay: Replay, strict: Strict) -> None:
    body = json.dumps({"error": {"code": code, "message": "no"}})
    strict.script = ["ok", (status, body, {"location": strict.url + "/elsewhere"})]
    result = replay(LOG, "--limit", 30, "--chunk-size", 10)
    assert (result.code, accounted(result)["unsent"], accounted(result)["confirmed"]) == (7, 20, 10)
    assert words in result.err
    assert (replay(LOG, "--limit", 30).code, len(strict.taken)) == (0, 30)


@pytest.mark.parametrize("status", ["disabled", "over_limit", "paused"])
def test_preflight_asks_whether_caching_is_on(status: str, replay: Replay, strict: Strict) -> None:
    strict.preflight = (200, json.dumps({"status": status}))
    assert (replay(LOG).code, strict.bodies) == (7, [])
    assert replay(LOG, "--limit", 5, "--no-preflight").code == 0


@pytest.mark.parametrize("answer", [(404, ""), (500, ""), (200, "garbage"), (200, '{"status": "enabled"}')])
def test_a_server_without_preflight_is_no_reason_to_stop(answer: Any, replay: Replay, strict: Strict) -> None:
    strict.preflight = answer
    assert (replay(LOG, "--limit", 5).code, len(strict.taken)) == (0, 5)


def test_a_server_that_is_not_there(replay: Replay, strict: Strict) -> None:
    strict.url = "http://127.0.0.1:9"
    result = replay(LOG, "--retries", 1)
    assert (result.code, accounted(result)["unsent"], accounted(result)["requests"]) == (4, 4115, 2)
    assert "given up after 2 attempts" in result.err


def test_kept_alive_connections_may_close_between_requests(replay: Replay, strict: Strict) -> None:
    strict.script = ["close after"] * 5
    result = replay(LOG, "--limit", 60, "--chunk-size", 10, "--requests-per-minute", "600")
    assert (result.code, len(strict.taken)) == (0, 60)


def test_bounds_of_a_run(replay: Replay, strict: Strict) -> None:
    result = replay(LOG, "--chunk-size", 10, "--max-requests", 3)
    assert (result.code, len(strict.taken)) == (4, 30)
    strict.answer_seconds = 0.1
    result = replay(LOG, "--chunk-size", 10, "--max-duration", "1s")
    assert result.code == 4
    assert 30 < len(strict.taken) < 4115
    assert "--max-duration" in result.err


def test_many_at_a_time_each_once(replay: Replay, strict: Strict) -> None:
    strict.answer_seconds = 0.005
    strict.script = ["ok", (429, "", {"retry-after": "0"}), "ok", (413, "")]
    assert replay(LOG, "--concurrency", 8, "--chunk-size", 20, "--limit", 900).code == 0
    assert len(strict.taken) == len(set(strict.taken)) == 900


def test_small_requests_after_a_413_grow_again(replay: Replay, strict: Strict) -> None:
    """The first requests are refused down to single events, for a reason that passes."""
    strict.script = [(413, "")] * 5
    result = replay(LOG, "--chunk-size", 50, "--limit", 2000)
    assert (result.code, len(set(strict.taken)), len(strict.taken)) == (0, 2000, 2000)
    sizes = [body.count(b"sessionId") for body in strict.bodies]
    assert min(sizes) == 1
    assert max(sizes[-5:]) == 50
    assert len(sizes) < 150
    assert "the server refused requests as too large (413): the size was cut to " in result.err
    assert ", and raised again to " in result.err


def test_a_server_with_a_limit_is_seldom_asked_for_more(replay: Replay, strict: Strict) -> None:
    strict.max_bytes = 2000
    result = replay(LOG, "--chunk-size", 50, "--limit", 1000)
    assert (result.code, len(set(strict.taken)), len(strict.taken)) == (0, 1000, 1000)
    refused = sum(len(body) > strict.max_bytes for body in strict.bodies)
    assert refused < 12


def test_the_token_is_nowhere(replay: Replay, strict: Strict, tmp_path: Path) -> None:
    strict.script = [(400, json.dumps({"error": {"message": f"bad {strict.token}"}}))] * 20
    result = replay(LOG, "--limit", 2, "--dead-letters", tmp_path / "dead")
    written = result.out + result.err + (tmp_path / "dead").read_text()
    assert "[token]" in written
    assert strict.token not in written
    assert strict.token.encode() not in (tmp_path / "j.sqlite").read_bytes()


def test_nothing_selected_is_no_failure(replay: Replay, strict: Strict) -> None:
    result = replay(LOG, "--team", "nobody")
    assert (result.code, accounted(result)["selected"], strict.bodies) == (0, 0, [])
    assert "no event is selected" in result.err


def test_refused_events_can_be_sent_again(cli: Cli, replay: Replay, strict: Strict, log: Any, tmp_path: Path) -> None:
    strict.poison = lambda item: item["hash"] == "h1"
    source, journal = log([event(hash=f"h{n}") for n in range(4)]), tmp_path / "j.sqlite"
    result = replay(source)
    assert (result.code, accounted(result)["dead_lettered"]) == (6, 1)
    letters = tmp_path / "j.dead-letters.ndjson"
    assert str(letters) in result.err
    assert json.loads(letters.read_text())["hash"] == "h1"
    strict.poison = lambda _: False
    assert cli("journal", "resolve", "--dead-letters", "resend", "--journal", journal).code == 0
    assert (replay(letters).code, len(strict.taken)) == (0, 4)


def test_what_a_client_sent_again_did_not_fail(replay: Replay, strict: Strict, log: Any) -> None:
    failed = [event(hash=f"h{n}", status=503, slug="web") for n in range(3)]
    again = [event(hash="h0", status=200, slug="web"), event(hash="h1", status=200, slug="docs")]
    result = replay(log([*failed, *again]), "--status", "failed")
    assert [json.loads(one)["hash"] for one in strict.events()] == ["h1", "h2"]
    assert result.json["input"] == {
        "read": 5, "kept": 2, "rejected": 0, "filtered": 3, "duplicate": 0, "files": 1
    }  # fmt: skip
    assert "1 events of failed requests arrived with another request and are not sent" in result.err
    assert replay(log([failed[0], again[0]]), "--status", "failed").json["selected"] == 0


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_server_that_is_down_gets_nothing_that_would_be_uncertain(
    replay: Replay, strict: Strict, status: int
) -> None:
    strict.preflight = (status, "no upstream")
    result = replay(LOG, "--limit", 10)
    assert (result.code, accounted(result)["unsent"], strict.bodies) == (4, 10, [])
    assert f"the server answered {status} (no upstream)" in result.err
    assert replay(LOG, "--limit", 10, "--no-preflight").code == 0


@pytest.mark.parametrize("status", [400, 404, 405, 410, 429, 500, 501])
def test_a_server_that_lacks_the_preflight_is_no_reason_to_stop(replay: Replay, strict: Strict, status: int) -> None:
    strict.preflight = (status, "")
    assert replay(LOG, "--limit", 10).code == 0


def test_dead_letters_go_into_no_file_that_is_needed(replay: Replay, strict: Strict, log: Any, tmp_path: Path) -> None:
    source = log([event()])
    for path in (source, *(tmp_path / f"j.sqlite{role}" for role in ("", "-journal", "-lock"))):
        result = replay(source, "--dead-letters", path)
        assert (result.code, strict.bodies) == (2, [])
        assert f"{path}: " in result.err


@pytest.mark.parametrize("options", [["-o", "j.dead-letters.ndjson"], ["--rejects", "j.dead-letters.ndjson"]])
def test_the_usual_place_of_dead_letters_is_theirs(
    options: list[str], replay: Replay, strict: Strict, log: Any, tmp_path: Path
) -> None:
    result = replay(log([event()]), options[0], tmp_path / options[1])
    assert (result.code, strict.bodies, "already uses this file" in result.err) == (2, [], True)


def test_a_dead_letter_is_written_whole_or_not_at_all(strict: Strict, log: Any, tmp_path: Path) -> None:
    """A file-size limit is what a full disk is: writing fails."""
    source, letters = log([event(hash=f"h{n}") for n in range(4)]), tmp_path / "letters"
    strict.poison = lambda item: item["hash"] != "h3"
    letters.write_text("x" * (1 << 20))
    command = [sys.executable, "-m", "analyzer", "replay", source, "--execute", "--api", strict.url]
    command += ["--journal", tmp_path / "j.sqlite", "--dead-letters", letters, "--chunk-size", 1, "--format", "json"]
    most = (1 << 20) + 300
    done = subprocess.run(
        [*map(str, command), "--requests-per-minute", "0"],
        env={**os.environ, "TURBO_TOKEN": TOKEN}, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert (done.returncode, found["selected"], found["confirmed"]) == (4, 4, 1)
    assert f"{letters}: File too large; the dead letter cannot be written" in done.stderr
    whole = letters.read_text()[1 << 20 :].splitlines()
    assert [json.loads(line)["hash"] for line in whole] == [f"h{n}" for n in range(found["dead_lettered"])]


def test_the_journal_can_be_read_while_a_replay_runs(cli: Cli, replay: Replay, strict: Strict, tmp_path: Path) -> None:
    replay(LOG, "--limit", 100)
    with Journal(tmp_path / "j.sqlite") as journal:
        team = journal.destinations(strict.url)["", "team_x"]
        journal.record_chunks([], [(team, bytes(range(32)))])
        status = cli("journal", "status", "--journal", tmp_path / "j.sqlite", "--format", "json")
        assert sum(row["uncertain"] for row in status.table("destinations")) == 2
        assert [row["why"] for row in status.table("uncertain")] == ["its request is in progress"]
        assert accounted(replay(LOG, execute=False))["confirmed"] == 100
        assert cli("journal", "verify", "--journal", tmp_path / "j.sqlite").code in (0, 8)


def test_the_last_error_is_recorded(cli: Cli, replay: Replay, strict: Strict, tmp_path: Path) -> None:
    strict.script = [(401, "who are you")]
    replay(LOG, "--limit", 10)
    status = cli("journal", "status", "--journal", tmp_path / "j.sqlite", "--format", "json")
    assert [row["last_error"] for row in status.table("destinations")] == ["the server answered 401 (who are you)"]
    assert [row["unsent"] for row in status.table("destinations")] == [10]


@pytest.mark.parametrize("then", [["--max-bytes", 10], ["--max-requests", 1], []])
def test_resent_events_stay_uncertain_until_they_are_sent(then: list[Any], replay: Replay, strict: Strict) -> None:
    """A resend that comes to nothing leaves doubts as they were."""
    strict.script = ["ok", "record, close", "record, close"]
    replay(LOG, "--limit", 30, "--chunk-size", 10)
    strict.script = [] if then else [(401, "")]
    replay(LOG, "--limit", 30, "--chunk-size", 10, "--on-uncertain", "resend", *then)
    found = accounted(replay(LOG, "--limit", 30))
    assert found["requests"] == 0
    assert found["uncertain"] == (10 if "--max-requests" in then else 20)
    assert len(strict.taken) == (40 if "--max-requests" in then else 30)


def test_a_resend_that_stays_in_doubt_is_not_forgotten(replay: Replay, strict: Strict) -> None:
    strict.script = ["record, close"] * 2
    replay(LOG, "--limit", 10, "--on-uncertain", "resend", "--max-requests", 2)
    found = accounted(replay(LOG, "--limit", 10))
    assert (found["uncertain"], found["requests"], len(strict.taken)) == (10, 0, 20)


BAD = {
    "first": range(12), "last": range(88, 100), "middle": range(40, 52), "first and last": [*range(12), 99],
    "middle and later": [*range(5, 15), 90],
}  # fmt: skip


@pytest.mark.parametrize("options", [[], ["--chunk-size", "1"], ["--concurrency", "4", "--chunk-size", "9"]])
@pytest.mark.parametrize("bad", BAD)
def test_many_bad_events_do_not_block_the_others(
    bad: str, options: list[str], replay: Replay, strict: Strict, log: Any
) -> None:
    strict.poison = lambda item: int(item["hash"][1:]) in BAD[bad]
    source = log([event(hash=f"h{n}") for n in range(100)])
    for _ in range(20):
        result = replay(source, *options)
        found = accounted(result)
        assert result.code == (4 if found["unsent"] else 6)
        if not found["unsent"]:
            break
    assert (found["dead_lettered"], len(strict.taken)) == (len(BAD[bad]), 100 - len(BAD[bad]))


@pytest.mark.parametrize("count", [3, 10, 12, 40])
def test_where_nothing_is_taken_many_stay_unsent(count: int, replay: Replay, strict: Strict, log: Any) -> None:
    strict.poison = lambda _: True
    result = replay(log([event(hash=f"h{n}") for n in range(count)]))
    assert (result.code, accounted(result)["dead_lettered"]) == ((6, 3) if count == 3 else (4, 0))
    assert count == 3 or "stay unsent, because the server accepted no event" in result.err


def test_a_server_that_takes_no_event_at_all(replay: Replay, strict: Strict, log: Any) -> None:
    strict.max_bytes = 20
    result = replay(log([event(hash=f"h{n}") for n in range(40)]))
    assert (result.code, accounted(result)["unsent"]) == (4, 40)


def test_a_resend_that_stops_early_says_so_and_its_plan_shows_it(replay: Replay, strict: Strict) -> None:
    strict.script = ["record, close"] * 2
    replay(LOG, "--limit", 20, "--chunk-size", 10)
    options = [LOG, "--limit", 20, "--chunk-size", 10, "--on-uncertain", "resend"]
    row = replay(*options, execute=False).json["tables"][0]["rows"][0]
    assert (row["requests"], row["unsent"], row["uncertain"]) == (2, 0, 20)
    stopped = replay(*options, "--max-requests", 1)
    assert (stopped.code, accounted(stopped)["uncertain"]) == (4, 10)
    assert "--max-requests 1 reached" in stopped.err
    assert replay(*options).code == 0


@pytest.mark.parametrize("seed", range(6))
def test_bisecting_by_many_senders_counts_each_event_once(
    seed: int, cli: Cli, replay: Replay, strict: Strict, log: Any, tmp_path: Path
) -> None:
    strict.poison = lambda item: int(item["hash"][1:]) % (7 + seed) == 0
    strict.answer_seconds = 0.001
    source = log([event(hash=f"h{n}") for n in range(300)])
    result = replay(source, "--concurrency", 8, "--chunk-size", 20)
    dead = len([n for n in range(300) if n % (7 + seed) == 0])
    assert (result.code, accounted(result)["dead_lettered"], len(strict.taken)) == (6, dead, 300 - dead)
    assert cli("journal", "verify", "--journal", tmp_path / "j.sqlite").code in (0, 8)


def test_repeats_keep_their_numbers_under_filters(replay: Replay, strict: Strict, log: Any) -> None:
    source = log([event(status=500), event(status=200)])
    for status in ("ok", "failed"):
        assert accounted(replay(source, "--keep-repeats", "--status", status))["confirmed_now"] == 1
    assert len(strict.taken) == 2


@pytest.mark.parametrize(
    "answer",
    [
        (500, '{"error":{"message":"\\udfff"}}'), (429, "", {"retry-after": "Thu, 01 Jan 99999999999999 00:00:00 GMT"}),
        (200, '{"status":"\\ud800' + "x" * 5000 + '"}'),
    ],
)  # fmt: skip
def test_odd_words_of_a_server(answer: Any, replay: Replay, strict: Strict) -> None:
    strict.script = [answer]
    assert replay(LOG, "--limit", 5).code in (0, 8)


def test_a_flapping_server_is_an_outage_too(replay: Replay, strict: Strict) -> None:
    strict.script = ["record, close", (429, "", {"retry-after": "0"})] * 5
    result = replay(LOG, "--chunk-size", 10)
    assert (result.code, accounted(result)["uncertain"]) == (4, 30)


def test_doubts_alone_are_no_reason_to_run_again(replay: Replay, strict: Strict) -> None:
    strict.script = ["record, close"] * 3
    assert replay(LOG, "--limit", 30, "--chunk-size", 10).code == 8


def test_the_token_in_an_answer_is_redacted(replay: Replay, strict: Strict, tmp_path: Path) -> None:
    strict.script = [(200, json.dumps({"status": strict.token}))]
    replay(LOG, "--limit", 5)
    assert strict.token.encode() not in (tmp_path / "j.sqlite").read_bytes()


def test_this_machine_itself_is_reached_past_a_proxy(
    replay: Replay, strict: Strict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert (replay(LOG, "--limit", 5).code, len(strict.taken)) == (0, 5)


NONSENSE = (
    ["--as-ci", "x" * 51], ["--as-ci", "a\nb"], ["--slug", " a"], ["--team-id", ""], ["--chunk-size", "9" * 20],
    ["--max-duration", "0s"], ["--max-duration", "x"],
)  # fmt: skip


@pytest.mark.parametrize("options", NONSENSE)
def test_invalid_options(options: list[str], replay: Replay, strict: Strict) -> None:
    assert (replay(LOG, *options).code, strict.bodies) == (2, [])


def test_invalid_rates(cli: Cli, strict: Strict) -> None:
    for rate in ("nan", "1e-9", "inf", "-1"):
        assert cli("replay", LOG, "--api", strict.url, "--requests-per-minute", rate).code == 2


def test_a_host_that_cannot_be_is_no_doubt(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURBO_TOKEN", "t")
    for api in ("https://" + "a" * 70 + ".com", "http://127.0.0.1:1/\x01"):
        assert cli("replay", LOG, "--api", api, "--execute", "--journal", tmp_path / "j").code == 2


def test_an_endless_answer_does_not_hold_the_run(
    replay: Replay, strict: Strict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "BODY_SECONDS", 0.2)
    strict.script = ["endless"]
    assert (replay(LOG, "--limit", 20, "--chunk-size", 10).code, len(strict.taken)) == (0, 20)


def test_run_summaries_are_not_sent(cli: Cli, replay: Replay, strict: Strict, tmp_path: Path) -> None:
    words = "the input holds run summaries only; replay sends events that clients reported, and there are none"
    for alone in (replay(RECORDED / "runs"), replay(RECORDED / "runs", execute=False)):
        assert (alone.code, alone.out, words in alone.err, strict.bodies) == (2, "", True, [])
        assert not list(tmp_path.glob("j.sqlite*"))
    journal = ["--journal", tmp_path / "j.sqlite", "--api", strict.url]
    replay(LOG, "--limit", 1)
    assert words in cli("journal", "verify", RECORDED / "runs", *journal).err
    both = replay(RECORDED / "runs", LOG)
    assert (accounted(both)["confirmed"], len(strict.taken)) == (4115, 4115)
    assert "6 run summaries match no session and are not sent" in both.err


def test_a_log_is_sent_whatever_it_was_answered(replay: Replay, strict: Strict, log: Any) -> None:
    answers = itertools.cycle([200, 403, 500, 0, 429, None])
    requests = [{**json.loads(line), "status": next(answers)} for line in LOG.read_text().splitlines()]
    source = log(requests)
    assert accounted(replay(source, execute=False))["unsent"] == 4115
    failed = accounted(replay(source, "--status", "failed"))["confirmed_now"]
    assert 0 < failed == len(strict.taken) < 4115
    assert accounted(replay(source))["confirmed_now"] == 4115 - failed
    assert len(set(strict.taken)) == len(strict.taken) == 4115
