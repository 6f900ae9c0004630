"""Upload from Python, against the strict server."""

from pathlib import Path

import pytest
from conftest import RECORDED, SAMPLE
from replay.server import TOKEN, Strict, serving

import analyzer


def test_a_plan_then_a_run_then_nothing(sample_archive: Path, tmp_path: Path) -> None:
    journal = tmp_path / "j.sqlite"
    with serving(Strict()) as strict:
        chosen = {"api": strict.url, "token": TOKEN, "journal": journal, "team": "web", "until": "2026-09-03"}
        plan = analyzer.replay(sample_archive, **chosen).plan
        assert plan
        assert not journal.exists()
        done = analyzer.replay(sample_archive, **chosen, execute=True, requests_per_minute=0)
        again = analyzer.replay(sample_archive, **chosen, execute=True, requests_per_minute=0)
    assert (done.stopped, done.refused, done.plan) == (None, None, None)
    assert done.account.confirmed == done.account.selected == plan.events == len(strict.events()) > 0
    assert done.account.requests == plan.requests
    assert (again.account.confirmed, again.account.confirmed_now) == (plan.events, 0)


def test_notes_name_events_that_are_not_sent(tmp_path: Path) -> None:
    sources = [RECORDED / "runs", RECORDED / "requests.ndjson"]
    found = analyzer.replay(*sources, api="https://cache.example.com", journal=tmp_path / "j")
    assert "run summaries match no session and are not sent" in "\n".join(found.notes)
    with pytest.raises(analyzer.UsageError, match="the input holds run summaries only; replay sends events that"):
        analyzer.replay(RECORDED / "runs", api="https://cache.example.com", journal=tmp_path / "j")
    none = analyzer.replay(*sources, api="https://cache.example.com", journal=tmp_path / "j", team="nobody")
    assert "no event is selected" in none.notes


def test_a_run_that_stops_says_why(sample_archive: Path, tmp_path: Path) -> None:
    with serving(Strict()) as strict:
        done = analyzer.replay(
            sample_archive, api=strict.url, token="wrong", journal=tmp_path / "j", execute=True, team="web"  # noqa: S106
        )  # fmt: skip
    assert done.stopped
    assert done.stopped.endswith("the token is not valid: check token")
    assert done.account.unsent == done.account.selected
    assert strict.events() == []


def test_nonsense_arguments(tmp_path: Path) -> None:
    for arguments in ({"execute": True}, {"chunk_size": 0}, {"requests_per_minute": -1}, {"as_ci": "x" * 51},
                      {"concurrency": 0}, {"concurrency": 65}):  # fmt: skip
        with pytest.raises(analyzer.UsageError):
            analyzer.replay(SAMPLE, api="https://cache.example.com", journal=tmp_path / "j", **arguments)
    with pytest.raises(
        analyzer.UsageError, match=r"^token='': needed to execute; nothing is read from the environment"
    ):
        analyzer.replay(SAMPLE, api="https://cache.example.com", journal=tmp_path / "j", execute=True)
    with pytest.raises(analyzer.UsageError, match=r"^as_ci='x{51}': longer than 50"):
        analyzer.replay(SAMPLE, api="https://cache.example.com", journal=tmp_path / "j", as_ci="x" * 51)
    with pytest.raises(analyzer.UsageError, match=r"^api='http://cache.example.com': .*unencrypted"):
        analyzer.replay(SAMPLE, api="http://cache.example.com", journal=tmp_path / "j")
    assert not (tmp_path / "j").exists()


@pytest.mark.parametrize("token", ["tok\n", "é", "two words"])
def test_a_token_that_no_request_carries(token: str, tmp_path: Path) -> None:
    with pytest.raises(analyzer.UsageError, match="characters that no token has"):
        analyzer.replay(
            SAMPLE, api="https://cache.example.com", token=token, journal=tmp_path / "j", execute=True
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["j.sqlite", "j.sqlite-journal", "log.ndjson"])
def test_dead_letters_have_a_file_of_their_own(name: str, tmp_path: Path) -> None:
    (source := tmp_path / "log.ndjson").write_text('{"sessionId":"s","source":"LOCAL","event":"HIT","hash":"h"}\n')
    with serving(Strict(poison=lambda _: True)) as strict, pytest.raises(analyzer.UsageError, match="another file"):
        analyzer.replay(
            source, api=strict.url, token=TOKEN, journal=tmp_path / "j.sqlite", execute=True,
            dead_letters=tmp_path / name,
        )  # fmt: skip
    assert strict.bodies == []
    assert source.read_text().count("\n") == 1
