"""Tests of `retention`: small logs worked out by hand, every boundary, and a brute-force oracle."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import brute_misses
import brute_retention as slow
import pytest
from conftest import RECORDED, Cli, event, ndjson, report_of
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_recordings import flat

from analyzer.questions import retention_replay
from analyzer.questions.retention import CURVE_COLUMNS, STEP_COLUMNS
from analyzer.render.display import display_table
from analyzer.table import Table

START = datetime(2026, 3, 1, tzinfo=UTC)
MS, US = timedelta(milliseconds=1), timedelta(microseconds=1)
NO_TIME = timedelta(0)
DAY = timedelta(days=1)

Event = dict[str, Any]
Events = list[Event]


def at(days: float = 0, more: timedelta = NO_TIME) -> str:
    """Return the time `days` and `more` after the log's start, in microseconds only if needed."""
    moment = (START + timedelta(days=days) + more).replace(tzinfo=None)
    return moment.isoformat(timespec="microseconds" if moment.microsecond % 1000 else "milliseconds") + "Z"


def uses(answers: str, *days: float | timedelta, name: str = "h", team: str | None = None) -> Events:
    """Return REMOTE lookups of one hash, given by a letter (H or M) and a time each. A hit has a duration of 1 s."""
    return [
        event(
            sessionId=f"{team} {name} {number}",
            source="REMOTE",
            event="HIT" if answer == "H" else "MISS",
            hash=name,
            duration=1000 if answer == "H" else 0,
            timestamp=at(0, when) if isinstance(when, timedelta) else at(when),
            slug=team or ...,
        )
        for number, (answer, when) in enumerate(zip(answers, days, strict=True))
    ]


def run_retention(cli: Cli, *arguments: object) -> Any:
    return report_of(cli, "retention", *arguments)


def hits(cli: Cli, *arguments: object) -> dict[str, dict[float, int]]:
    found: dict[str, dict[float, int]] = defaultdict(dict)
    for row in run_retention(cli, *arguments).table("curve"):
        found[row["policy"]][row["days"]] = row["hits"]
    return dict(found)


def test_each_policy_by_hand(cli: Cli, log: Any) -> None:
    # One hash, used at days 0, 5, 8, 15, 24 and 60: gaps of 5, 3, 7, 9 and 36 days.
    # absolute  1 to 2: 6 uploads. 3: 0, 5 (8 is in time), 15, 24, 60. 5: 0 (5 in time), 8, 15, 24, 60.
    #           7: 0 (5), 8 (15), 24, 60. 10: 0 (5, 8), 15 (24), 60. 14: the same. 21: 0 (5, 8, 15), 24, 60.
    #           30, 45: 0 (5, 8, 15, 24), 60. 60, 90: 0 (all).
    # sliding   by gaps no longer than T: 3: one. 5: 3, 5. 7: 3, 5, 7. 10 to 30: all but 36. 45 on: all.
    path = log(uses("MHMMHM", 0, 5, 8, 15, 24, 60))
    assert hits(cli, path) == {
        "absolute": {1: 0, 2: 0, 3: 1, 5: 1, 7: 2, 10: 3, 14: 3, 21: 3, 30: 4, 45: 4, 60: 5, 90: 5},
        "sliding": {1: 0, 2: 0, 3: 1, 5: 2, 7: 3, 10: 4, 14: 4, 21: 4, 30: 4, 45: 5, 60: 5, 90: 5},
    }


def test_the_rows_by_hand(cli: Cli, log: Any) -> None:
    # Uses at days 0, 5, 8 and 28; the log spans 28 days, four weeks. A hit is worth 1 s.
    # absolute  7: uploads at 0 (5 is in time), 8, 28. Stored 0 to 7, 8 to 15: 14 of 28 days, 0.5 artifacts: 0.
    #          14: uploads at 0 (5, 8), 28. Stored 0 to 14: 14 days. 21: 0 to 21: 21 of 28, 0.75: 1.
    #          30: one upload, 3 hits, stored 0 to 28.
    # sliding   7: 0 to 15, as the last use at 8 keeps it for 7 more: 15 days. 14: 0 to 22. 21: 0 to 28, all hits.
    result = run_retention(cli, log(uses("MHHM", 0, 5, 8, 28)))
    rows = {(row.pop("policy"), row["days"]): row for row in result.table("curve")}
    assert rows["absolute", 7] == {
        "days": 7,
        "remote_hit_rate": 1 / 4,
        "hits": 1,
        "time_saved_ms": 1000,
        "time_saved_a_week_ms": 250,
        "artifacts": 0,
        "extrapolated": False,
    }
    points = {
        key: (row["hits"], row["time_saved_a_week_ms"], row["artifacts"], row["extrapolated"])
        for key, row in rows.items()
    }
    assert points["absolute", 14] == (2, 500, 0, False)  # exactly half of the log's time is not over half of it
    assert points["absolute", 21] == (2, 500, 1, True)
    assert points["absolute", 30] == (3, 750, 1, True)
    assert points["sliding", 7] == (2, 500, 1, False)
    assert points["sliding", 14] == (2, 500, 1, False)
    assert points["sliding", 21] == (3, 750, 1, True)
    assert [key for key in rows if key[0] == "sliding"] == [("sliding", days) for days in slow.DAYS]
    steps = {(row.pop("policy"), row.pop("step")): tuple(row.values()) for row in result.table("steps")}
    assert len(steps) == 2 * 11
    # Artifacts are compared before they are rounded: 14 to 14, 21 to 14; and 22 to 15 days.
    assert steps["absolute", "7 d → 14 d"] == (1 / 4, 250, 1, False)
    assert steps["absolute", "7 d → 21 d"] == (1 / 4, 250, 21 / 14, True)
    assert steps["absolute", "7 d → 30 d"] == (2 / 4, 500, 28 / 14, True)
    assert steps["sliding", "7 d → 14 d"] == (0, 0, 22 / 15, False)
    assert steps["sliding", "7 d → 21 d"] == (1 / 4, 250, 28 / 15, True)
    # 1 day: stored 0 to 1, 5 to 6 and 8 to 9, and never hit.
    assert steps["sliding", "7 d → 1 d"] == (-2 / 4, -500, 3 / 15, False)
    assert result.table("observed") == [
        {"remote_lookups": 4, "remote_hits": 2, "remote_hit_rate": 0.5, "duration_coverage": 1}
    ]


@pytest.mark.parametrize("edge", [MS, US])
def test_a_gap_of_exactly_the_retention_is_a_hit(cli: Cli, log: Any, edge: timedelta) -> None:
    # Each hash is used twice, 7 days apart: exactly, a little less, a little more.
    path = log(
        [
            *uses("MM", NO_TIME, 7 * DAY, name="exactly"),
            *uses("MM", NO_TIME, 7 * DAY - edge, name="less"),
            *uses("MM", NO_TIME, 7 * DAY + edge, name="more"),
        ]
    )
    for name, expected in (("exactly", 1), ("less", 1), ("more", 0)):
        found = hits(cli, path, "--hash", name)
        assert {policy: found[policy][7] for policy in found} == {"absolute": expected, "sliding": expected}
    found = hits(cli, path)
    assert (found["absolute"][7], found["sliding"][7], found["absolute"][10], found["sliding"][5]) == (2, 2, 3, 0)


def test_absolute_counts_from_the_upload_and_sliding_from_the_last_use(cli: Cli, log: Any) -> None:
    # Every 3 days for 30 days: sliding never loses it; absolute uploads at 0, 9 (7 is over at 9), 18, 27.
    path = log(uses("MHHHHHHHHHH", *range(0, 31, 3)))
    found = hits(cli, path)
    assert (found["sliding"][7], found["sliding"][3], found["sliding"][2]) == (10, 10, 0)
    assert (found["absolute"][7], found["absolute"][3], found["absolute"][2]) == (7, 5, 0)


def test_a_first_lookup_that_hits_is_a_hit_at_every_retention(cli: Cli, log: Any) -> None:
    # It counts at every T, as an upload of that moment: at 0 hit; at 5 in time for 5 days and more.
    path = log(uses("HM", 0, 5))
    assert hits(cli, path) == {policy: {days: 1 if days < 5 else 2 for days in slow.DAYS} for policy in slow.POLICIES}
    row = run_retention(cli, path).table("curve")[0]
    assert (row["days"], row["time_saved_ms"]) == (1, 1000)
    # Where a miss is at the same moment, that is the first sight: it uploads, and the hit is one at every T.
    tied = log(uses("HM", 3, 3), "tied.ndjson")
    assert hits(cli, tied) == {policy: dict.fromkeys(slow.DAYS, 1) for policy in slow.POLICIES}


def test_only_lookups_that_asked_the_remote_cache_are_replayed(cli: Cli, log: Any) -> None:
    asked = uses("MM", 10, 12)
    beside = [
        event(sessionId="l1", source="LOCAL", event="MISS", hash="h", duration=0, timestamp=at(0)),  # local alone
        event(sessionId="l2", source="LOCAL", event="HIT", hash="h", duration=40, timestamp=at(11)),
        event(sessionId="l3", source="LOCAL", event="HIT", hash="i", duration=40, timestamp=at(60)),
        event(sessionId="l4", source="REMOTE", event="HIT", hash="h", duration=30, timestamp=...),  # without a time
        # The local event of a lookup that asked both: it is the lookup's first, so it asked at day 10.
        event(sessionId="None h 1", source="LOCAL", event="MISS", hash="h", duration=0, timestamp=at(11)),
    ]
    path = log(asked + beside)
    result = run_retention(cli, path)
    rows = {row["days"]: row for row in result.table("curve") if row["policy"] == "absolute"}
    assert (rows[1]["hits"], rows[1]["remote_hit_rate"]) == (1, 1 / 2)
    # The span is that of these lookups, one day: it shows no week, and a day is over half of it.
    assert (rows[1]["time_saved_ms"], rows[1]["time_saved_a_week_ms"], rows[1]["extrapolated"]) == (40, None, True)
    assert result.table("observed") == [
        {"remote_lookups": 2, "remote_hits": 0, "remote_hit_rate": 0, "duration_coverage": 1}
    ]


def test_each_team_has_a_cache_of_its_own(cli: Cli, log: Any) -> None:
    # One hash: by web at days 0, 2 and 4, by data at 1, without a team at 3. Only web finds what it uploaded:
    # kept for 2 days, that of day 0 is found at 2 (exactly in time), and at 4 only where its last use counts.
    path = log([*uses("MMM", 0, 2, 4, team="web"), *uses("M", 1, team="data"), *uses("M", 3)])
    found = hits(cli, path)
    assert (found["absolute"][1], found["absolute"][2], found["absolute"][5]) == (0, 1, 2)
    assert (found["sliding"][1], found["sliding"][2], found["sliding"][5]) == (0, 2, 2)
    assert hits(cli, path, "--team", "data")["absolute"][90] == 0
    assert hits(cli, path, "--team", "web") == found


def test_filters_select_the_replayed_lookups(cli: Cli, log: Any) -> None:
    path = log(uses("MMMM", 0, 1, 10, 11))
    assert hits(cli, path)["absolute"][7] == 2
    since = run_retention(cli, path, "--since", at(1))
    assert [row["hits"] for row in since.table("curve") if row["days"] == 7] == [1, 1]
    assert since.json["input"]["filtered"] == 1
    assert hits(cli, path, "--until", at(1))["sliding"][90] == 0
    assert hits(cli, path, "--session", "None h 0", "--session", "None h 3")["sliding"] == {
        days: int(days >= 14) for days in slow.DAYS
    }


def test_extrapolated_is_over_half_of_the_logs_time(cli: Cli, log: Any) -> None:
    def extrapolated_days(days: timedelta, *options: object) -> list[float]:
        rows = run_retention(cli, log(uses("MM", NO_TIME, days)), *options).table("curve")
        found = [row["days"] for row in rows if row["extrapolated"] and row["policy"] == "absolute"]
        assert found == [row["days"] for row in rows if row["extrapolated"] and row["policy"] == "sliding"]
        return found

    assert extrapolated_days(14 * DAY) == [10, 14, 21, 30, 45, 60, 90]  # 7 is exactly half
    assert extrapolated_days(14 * DAY - US) == [7, 10, 14, 21, 30, 45, 60, 90]
    assert extrapolated_days(14 * DAY + MS) == [10, 14, 21, 30, 45, 60, 90]
    assert extrapolated_days(180 * DAY) == []
    assert extrapolated_days(180 * DAY, "--retention", "90.5") == [90.5]
    assert extrapolated_days(NO_TIME) == list(slow.DAYS)


def test_a_step_is_extrapolated_where_either_end_is(cli: Cli, log: Any) -> None:
    path = log(uses("MM", 0, 20))
    steps = run_retention(cli, path, "--retention", 14).table("steps")
    assert all(row["extrapolated"] for row in steps)  # 14 itself is over half of 20
    steps = run_retention(cli, path, "--retention", 10).table("steps")
    assert [row["step"] for row in steps if not row["extrapolated"]] == [
        f"10 d → {days} d" for _ in slow.POLICIES for days in (1, 2, 3, 5, 7)
    ]


def test_the_given_retention_is_a_row_and_the_base_of_the_steps(cli: Cli, log: Any) -> None:
    # Gaps of 12 hours: in time for half a day, not for less.
    path = log(uses("MM", NO_TIME, DAY / 2))
    result = run_retention(cli, path, "--retention", "0.5")
    rows = [row for row in result.table("curve") if row["policy"] == "sliding"]
    assert [row["days"] for row in rows] == [0.5, *slow.DAYS]
    assert rows[0]["hits"] == 1
    assert [row["step"] for row in result.table("steps")][:2] == ["0.5 d → 1 d", "0.5 d → 2 d"]
    assert hits(cli, path, "--retention", "0.499")["sliding"][0.499] == 0


def test_a_log_of_one_moment_has_no_weekly_rate(cli: Cli, log: Any) -> None:
    # Three lookups of one hash at one moment: the first uploads, the others find it. There is no span to divide by.
    path = log(uses("MMM", 0, 0, 0))
    result = run_retention(cli, path)
    for row in result.table("curve"):
        assert (row["hits"], row["remote_hit_rate"], row["extrapolated"]) == (2, 2 / 3, True)
        assert (row["time_saved_a_week_ms"], row["artifacts"]) == (None, None)
    for row in result.table("steps"):
        assert (row["hit_rate_change"], row["saved_a_week_change_ms"], row["artifacts_factor"]) == (0, None, None)
    out = cli("retention", path).out
    assert "—" in out
    assert "nan" not in out


@pytest.mark.parametrize(
    "content",
    [
        "",
        [event(source="LOCAL", event="HIT", timestamp=at()), event(source="LOCAL", event="MISS", timestamp=at())],
        [event(source="REMOTE", event="MISS", timestamp=...)],
    ],
    ids=["empty", "no remote", "no time"],
)
def test_without_remote_lookups_there_is_no_curve(cli: Cli, log: Any, content: Any) -> None:
    result = run_retention(cli, log(content))
    assert [result.table(name) for name in ("observed", "curve", "steps")] == [[], [], []]
    assert "no lookup asked the remote cache at a known time" in result.err
    assert "every miss is uploaded" not in result.err


def test_a_single_lookup(cli: Cli, log: Any) -> None:
    for answer, expected in (("M", 0), ("H", 1)):
        found = hits(cli, log(uses(answer, 0)))
        assert found == {policy: dict.fromkeys(slow.DAYS, expected) for policy in slow.POLICIES}


def test_unknown_durations_save_an_unknown_time(cli: Cli, log: Any) -> None:
    events = [one | {"duration": 0} for one in uses("MHH", 0, 1, 2)] + uses("MM", 0, 1, name="i")
    row = next(row for row in run_retention(cli, log(events)).table("curve") if row["days"] == 7)
    assert (row["hits"], row["time_saved_ms"]) == (3, None)
    # What artifacts' metadata says of a hash, each of its hits saves.
    metadata = log('{"hash":"i","duration":250}', "i-meta.json")
    row = next(row for row in run_retention(cli, log(events), metadata).table("curve") if row["days"] == 7)
    assert row["time_saved_ms"] == 250


def test_durations_of_hashes_loaded_from_several_files(cli: Cli, log: Any, tmp_path: Path) -> None:
    # The second file has a hash of the first one too. Each hash is found once again: 10 + 200 + 3000 ms.
    took = {"h1": 10, "h2": 200, "h3": 3000}

    def some(names: Sequence[str], day: int) -> Events:
        found = [one for name in names for one in uses("H", day, name=name)]
        return [one | {"duration": took[one["hash"]], "sessionId": f"s{day}"} for one in found]

    for number, piece in enumerate([some(["h1"], 0), some(["h1", "h2", "h3"], 1), some(["h3", "h2"], 2)]):
        path = log(piece, f"{number}.ndjson")
        assert cli("load", path, "--into", tmp_path / "archive.duckdb").code == 0
    rows = run_retention(cli, tmp_path / "archive.duckdb").table("curve")
    assert {row["time_saved_ms"] for row in rows} == {2 * (10 + 200 + 3000)}


def test_batches_of_keys_without_lookups(cli: Cli, log: Any) -> None:
    """The log is so long and its times are so fine that few keys fit into a batch."""
    events = [one | {"timestamp": "0001-06-01T00:00:00.000001Z"} for one in uses("M", 0, name="h0", team="a")]
    for number in range(40):
        moment = f"9990-06-01T00:00:{number:02d}.000001Z"
        events += [one | {"timestamp": moment} for one in uses("MM", 0, 0, name=f"h{number}", team="b")]
    assert hits(cli, log(events)) == {policy: dict.fromkeys(slow.DAYS, 40) for policy in slow.POLICIES}


def test_the_displayed_tables(cli: Cli, log: Any) -> None:
    result = cli("retention", log(uses("MHHM", 0, 5, 8, 28)))
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert lines[2:5] == ["remote lookups 4", "remote hits 2", "remote hit rate 50.0 %"]
    assert "policy days remote hit rate time saved a week artifacts" in lines
    assert "absolute 7 25.0 % 250 ms 0" in lines
    assert "absolute * 21 50.0 % 500 ms 1" in lines
    assert "absolute 7 d → 14 d +25.0 points +250 ms 1.0×" in lines
    assert "sliding * 7 d → 21 d +25.0 points +250 ms 1.9×" in lines
    assert "sliding 7 d → 1 d -50.0 points -500 ms 0.2×" in lines
    assert sum(line.startswith("* extrapolated: ") for line in lines) == 2


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_narrow_terminal_keeps_the_days_and_the_steps(width: int) -> None:
    curve = Table("curve", CURVE_COLUMNS, [("absolute", 90, 0.123, 10, 1e9, 12_345_678, 1_234_567, True)])
    steps = Table("steps", STEP_COLUMNS, [("absolute", "7 d → 90 d", -0.5, 12_345_678.0, 1.25, True)])
    for table, kept in ((curve, "days"), (steps, "step")):
        found = display_table(table, width)
        assert kept in [column.name for column in found.columns]
        assert found.cells[0][0] == "absolute *"
        widths = [max(len(row[n]) for row in found.cells) for n in range(len(found.columns))]
        assert sum(widths) + 3 * len(widths) - 1 <= width
        left_out = {c.name for c in table.columns} - {c.name for c in found.columns} - {"extrapolated"}
        assert all(name in found.notes[-1] for name in left_out)


# Generated logs: times on and right beside half days, so that gaps are often exactly T.
TEAMS = st.sampled_from([{}, {"slug": "web"}, {"teamId": "team_1"}, {"teamId": "team_1", "slug": "web"}])
NEAR = [NO_TIME, NO_TIME, NO_TIME, MS, -MS, 250 * MS]
FINE = [*NEAR, US, -US, 250 * MS + US]


def generated(near: Sequence[timedelta], hashes: int = 4) -> st.SearchStrategy[dict[str, Any]]:
    times = st.tuples(st.integers(0, 90), st.sampled_from(near)).map(lambda found: at(found[0] / 2, found[1]))
    return st.tuples(
        st.fixed_dictionaries(
            {
                "sessionId": st.sampled_from([f"s{n}" for n in range(30)]),
                "source": st.sampled_from(["LOCAL", "REMOTE", "REMOTE", "REMOTE"]),
                "event": st.sampled_from(["HIT", "MISS", "MISS"]),
                "hash": st.sampled_from([f"h{n}" for n in range(hashes)]),
            },
            optional={
                "duration": st.sampled_from([0, 0.25, 250, 1000.5, None]),
                "timestamp": st.one_of(*[times] * 9, st.just(at(1))),
            },
        ),
        TEAMS,
    ).map(lambda found: found[0] | found[1])


LOGS = st.one_of(*(st.lists(generated(near), min_size=n, max_size=90) for near in (NEAR, FINE) for n in (0, 1, 50)))


def near(value: Any) -> Any:
    """Return `value` with a tolerance for the rounding of divisions in another order."""
    return pytest.approx(value, rel=1e-11, abs=1e-6) if isinstance(value, float) else value


def assert_matches_oracle(
    result: Any, events: Events, retention: float = 7, keep: Any = brute_misses.everything, known: Any = None
) -> None:
    expected = slow.curve(events, retention, keep, known)
    found = result.table("curve")
    assert found == [{key: near(value) for key, value in row.items() if key != "stored_us"} for row in expected]
    steps = slow.steps(expected, retention, len(slow.replayed_lookups(events, keep)))
    assert result.table("steps") == [{key: near(value) for key, value in row.items()} for row in steps]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=LOGS,
    retention=st.sampled_from([7, 7, 0.5, 1, 3.5, 30, 120]),
    web=st.booleans(),
    since=st.sampled_from([None, None, 12]),
)
def test_against_brute_force(
    cli: Cli,
    tmp_path: Path,
    events: Events,
    retention: float,
    web: bool,  # noqa: FBT001
    since: int | None,
) -> None:
    path = tmp_path / "log.ndjson"
    path.write_text(ndjson(events))
    options = [*(["--team", "web"] if web else []), *(["--since", at(since)] if since else [])]
    begin = brute_misses.microseconds({"timestamp": at(since)}) if since else None

    def keep(one: brute_misses.Lookup) -> bool:
        in_time = begin is None or (one.at_us is not None and one.at_us >= begin)
        return in_time and (not web or one.team == "web")

    result = run_retention(cli, path, *options, "--retention", retention)
    assert_matches_oracle(result, events, retention, keep)


MOVES = st.dictionaries(
    st.integers(0, 89), st.sampled_from([-700_000, -800, -270, -135, 91, 120, 180, 181, 365, 2_800_000])
)
"""Days by which events are moved: most by more than the longest retention of the tests, 120 days."""


def move_by(one: Event, days: int) -> Event:
    """Return the event `days` later."""
    when = datetime.fromisoformat(one["timestamp"]) + timedelta(days=days)
    return one | {"timestamp": when.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=LOGS, days=MOVES, retention=st.sampled_from([7, 120]), keys=st.integers(1, 9))
def test_packed_keys_and_times_give_the_same_answer(
    cli: Cli, tmp_path: Path, events: Events, days: dict[int, int], retention: float, keys: int
) -> None:
    """With few keys per batch, keys are numbered densely and periods without lookups are shortened."""
    far = [move_by(one, days[n]) if n in days and "timestamp" in one else one for n, one in enumerate(events)]
    (path := tmp_path / "log.ndjson").write_text(ndjson(far))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(retention_replay, "_keys_per_batch", lambda _: keys)
        assert_matches_oracle(run_retention(cli, path, "--retention", retention), far, retention)


@pytest.mark.parametrize("early", ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"])
def test_one_bogus_time_needs_no_more_batches(cli: Cli, log: Any, monkeypatch: pytest.MonkeyPatch, early: str) -> None:
    """Sparse keys and one long period without lookups still fit into one batch."""
    sizes = list[int]()
    monkeypatch.setattr(retention_replay, "_measure_gaps", _record_sizes(sizes))
    many = [
        one
        for n in range(2000)
        for one in uses("MH", 1, timedelta(days=2, microseconds=n), name=f"h{n}", team=f"t{n % 200}")
    ]
    events = [event(source="REMOTE", event="MISS", timestamp=early), *many]
    assert hits(cli, log(events))["sliding"] == dict.fromkeys(slow.DAYS, 2000) | {1: 1}
    assert sizes == [4001]


def _record_sizes(sizes: list[int]) -> Any:
    measure_gaps = retention_replay._measure_gaps  # noqa: SLF001  (what is counted)

    def counted(codes: Any, *more: Any) -> Any:
        sizes.append(len(codes))
        return measure_gaps(codes, *more)

    return counted


NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""Phases without shrinking, for examples that take half a second each."""


@settings(
    max_examples=4,
    deadline=None,
    phases=NO_SHRINKING,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(events=st.lists(generated(FINE, 8), min_size=3, max_size=40), cut=st.integers(1, 39), data=st.data())
def test_an_archive_loaded_in_any_order_gives_the_same_answer(
    cli: Cli, tmp_path_factory: pytest.TempPathFactory, events: Events, cut: int, data: st.DataObject
) -> None:
    here = tmp_path_factory.mktemp("pieces")
    edges = sorted({0, min(cut, len(events)), len(events)})
    named = [[{**one, "piece": a} for one in events[a:b]] for a, b in pairwise(edges)]
    for number, piece in enumerate(data.draw(st.permutations(named))):
        (path := here / f"{number}.ndjson").write_text(ndjson(piece))
        assert cli("load", path, "--into", here / "archive.duckdb").code == 0
    assert_matches_oracle(run_retention(cli, here / "archive.duckdb"), events)


def test_the_recordings(cli: Cli, requests: Events) -> None:
    result = run_retention(cli, RECORDED / "requests.ndjson")
    events = flat(requests)
    assert_matches_oracle(result, events)
    # A recording of minutes: every T is far over half of it, and nothing ever expires.
    assert all(row["extrapolated"] for row in result.table("curve"))
    asked = slow.replayed_lookups(events)
    firsts = {(one.team, one.hash): one for one in sorted(asked, key=lambda one: -(one.at_us or 0))}
    new = sum(not one.has("REMOTE", "HIT") for one in firsts.values())
    assert {row["hits"] for row in result.table("curve")} == {len(asked) - new}
