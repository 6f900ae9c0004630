"""`check`: verdicts, exit codes and messages."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import RECORDED, Cli, Result, event, ndjson

START = datetime(2026, 3, 2, tzinfo=UTC)
TOO_FEW = "not enough data"
COLUMNS = ["check", "verdict", "found", "wanted", "lookups", "unit"]


def lookups(session: str, hits: int, misses: int, day: float = 0, source: str = "REMOTE") -> list[dict[str, Any]]:
    """A session of so many hits, of 100 ms each, and misses."""
    moment = (START + timedelta(days=day)).isoformat(timespec="milliseconds")
    kinds = ["HIT"] * hits + ["MISS"] * misses
    return [
        event(
            sessionId=session, source=source, event=kind, hash=f"{source}-{n}",
            duration=100 if kind == "HIT" else 0, timestamp=moment, slug="web",
        )
        for n, kind in enumerate(kinds)
    ]  # fmt: skip


# 80 of 100 remotely, 30 of 50 locally: 110 of 150 in all, and 11 s saved.
MIXED = lookups("a", 80, 20) + lookups("b", 30, 20, 1, "LOCAL")
# 90 of 100, then 85 of 100.
FALLING = lookups("a", 90, 10, 0) + lookups("b", 85, 15, 8)


def checked(cli: Cli, *arguments: object) -> tuple[int, list[tuple[Any, ...]]]:
    result = cli("check", *arguments, "--format", "json")
    return result.code, [tuple(row.values()) for row in result.table("checks")]


def messages(result: Result, kind: str) -> list[str]:
    return [line.removeprefix(f"{kind}: ") for line in result.err.splitlines() if line.startswith(f"{kind}: ")]


@pytest.mark.parametrize(
    ("options", "code", "row"),
    [
        (["--min-hit-rate", "0.7"], 0, ("hit_rate", "ok", 110 / 150, 0.7, 150, "ratio")),
        (["--min-hit-rate", "0.74"], 5, ("hit_rate", "failed", 110 / 150, 0.74, 150, "ratio")),
        (["--min-hit-rate", "0.74", "--min-lookups", "151"], 0, ("hit_rate", TOO_FEW, 110 / 150, 0.74, 150, "ratio")),
        (["--min-hit-rate", "0.74", "--min-lookups", "150"], 5, ("hit_rate", "failed", 110 / 150, 0.74, 150, "ratio")),
        (["--min-remote-hit-rate", "0.8"], 0, ("remote_hit_rate", "ok", 0.8, 0.8, 100, "ratio")),
        (["--min-remote-hit-rate", "0.81"], 5, ("remote_hit_rate", "failed", 0.8, 0.81, 100, "ratio")),
        (["--min-remote-hit-rate", "1", "--min-lookups", "101"], 0, ("remote_hit_rate", TOO_FEW, 0.8, 1, 100, "ratio")),
        (["--min-time-saved", "11s"], 0, ("time_saved", "ok", 11000, 11000, 150, "ms")),
        (["--min-time-saved", "11.001s"], 5, ("time_saved", "failed", 11000, 11001, 150, "ms")),
        (["--min-time-saved", "1h", "--min-lookups", "200"], 0, ("time_saved", TOO_FEW, 11000, 3600000, 150, "ms")),
    ],
)  # fmt: skip
def test_thresholds(cli: Cli, log: Any, options: list[str], code: int, row: tuple[Any, ...]) -> None:
    """A value equal to its threshold is ok."""
    found_code, (found, *others) = checked(cli, log(MIXED), *options)
    assert found_code == code
    assert dict(zip(COLUMNS, found, strict=True)) == pytest.approx(dict(zip(COLUMNS, row, strict=True)))
    assert [one[:2] for one in others] == [("local_only_misses", TOO_FEW)] * (row[0] == "remote_hit_rate")


@pytest.mark.parametrize(("limit", "verdict"), [("0.051", "ok"), ("0.05", "ok"), ("0.049", "failed"), ("0", "failed")])
def test_the_drop(cli: Cli, log: Any, limit: str, verdict: str) -> None:
    """From 90 % to 85 % is a drop of 5 points, not of more."""
    code, ((name, found_verdict, found, wanted, count, unit),) = checked(cli, log(FALLING), "--max-drop", limit)
    assert (name, found_verdict, count, unit) == ("hit_rate_change", verdict, 100, "ratio change")
    assert (found, wanted) == (pytest.approx(-0.05), -float(limit))
    assert code == (5 if verdict == "failed" else 0)


@pytest.mark.parametrize(("before", "after"), [(99, 94), (60, 55)])
def test_a_drop_equal_to_the_limit(cli: Cli, log: Any, before: int, after: int) -> None:
    path = log(lookups("a", before, 100 - before) + lookups("b", after, 100 - after, 8))
    code, ((_, verdict, *_),) = checked(cli, path, "--max-drop", "0.05")
    assert (code, verdict) == (0, "ok")


def test_a_rise_is_no_drop(cli: Cli, log: Any) -> None:
    path = log(lookups("a", 40, 60) + lookups("b", 90, 10, 8))
    code, ((_, verdict, found, *_),) = checked(cli, path, "--max-drop", "0")
    assert (code, verdict, found) == (0, "ok", pytest.approx(0.5))


@pytest.mark.parametrize(("before", "after"), [(99, 100), (100, 99), (0, 100)])
def test_a_drop_needs_enough_on_both_sides(cli: Cli, log: Any, before: int, after: int) -> None:
    path = log(lookups("a", before, 0) + lookups("b", 0, after, 8))
    code, ((_, verdict, found, _, count, _),) = checked(cli, path, "--max-drop", "0.1")
    assert (code, verdict, count) == (0, "not enough data", min(before, after))
    assert found == (-1 if before else None)
    decided, ((_, verdict, *_),) = checked(cli, path, "--max-drop", "0.1", "--min-lookups", "1")
    assert (decided, verdict) == ((5, "failed") if before else (0, "not enough data"))


@pytest.mark.parametrize(("written", "milliseconds"), [("1.1h", 3_960_000), ("0.07s", 70)])
def test_time_saved_equal_to_the_threshold(cli: Cli, log: Any, written: str, milliseconds: int) -> None:
    options = ["--min-time-saved", written, "--min-lookups", "1"]
    assert checked(cli, log([event(duration=milliseconds)]), *options)[0] == 0
    assert checked(cli, log([event(duration=milliseconds - 0.5)]), *options)[0] == 5


def test_each_failed_threshold_is_a_line(cli: Cli, log: Any) -> None:
    options = ["--min-hit-rate", "0.9", "--min-remote-hit-rate", "0.5", "--min-time-saved", "1h", "--max-drop", "0.01"]
    result = cli("check", log(FALLING), *options, "--format", "json")
    assert result.code == 5
    assert [row["verdict"] for row in result.table("checks")] == ["failed", "ok", TOO_FEW, "failed", "failed"]
    lines = messages(result, "error")
    assert [line.split(", wanted")[0] for line in lines] == [
        "hit rate 87.5 %", "time saved 17.5 s", "hit rate change -5.0 points",
    ]  # fmt: skip
    assert [line.split("wanted ")[1] for line in lines] == ["at least 90.0 %", "at least 1 h", "at least -1.0 points"]
    assert messages(result, "note") == ["local only misses 0.0 %, wanted at most 20.0 %: not enough data (25 misses)"]


def test_not_enough_data_is_a_note(cli: Cli, log: Any) -> None:
    result = cli("check", log(MIXED), "--min-hit-rate", "0.9", "--min-lookups", "1000")
    assert (result.code, messages(result, "error")) == (0, [])
    assert ["150" in line and "not enough data" in line for line in messages(result, "note")] == [True]


def test_reached_thresholds_print_no_message(cli: Cli, log: Any) -> None:
    result = cli("check", log(MIXED), "--min-hit-rate", "0.5", "--min-time-saved", "1s")
    assert (result.code, result.err) == (0, "")


@pytest.mark.parametrize("nothing", [["--session", "none"], ["--since", "2027-01-01"]])
def test_no_lookups_at_all(cli: Cli, log: Any, nothing: list[str]) -> None:
    """Nothing fails, and nothing is found: no rate of 0 %, and no time saved by nobody either."""
    options = ["--min-hit-rate", "0.5", "--min-remote-hit-rate", "0.5", "--max-drop", "0.1", "--min-time-saved", "1s"]
    result = cli("check", log(MIXED), *options, *nothing, "--min-lookups", "1", "--format", "json")
    assert result.code == 0
    rows = result.table("checks")
    assert [(row["verdict"], row["lookups"]) for row in rows] == [("not enough data", 0)] * 5
    assert [row["found"] for row in rows if row["check"] != "time_saved"] == [None] * 4
    assert "the filters match none" in result.err


def test_a_mistyped_name_does_not_pass(cli: Cli, log: Any) -> None:
    """A check of a team that does not exist would be green for ever."""
    events = [{**one, "team": "web"} for one in MIXED]
    result = cli("check", log(events), "--min-hit-rate", "0.5", "--team", "wbe")
    assert (result.code, result.err) == (2, "error: nothing to check: no team is called wbe; did you mean web?\n")
    assert cli("check", log([]), "--min-hit-rate", "0.5", "--team", "web").code == 0, "an empty log has no names"


def test_an_empty_log(cli: Cli, log: Any) -> None:
    """That a log has no event at all is no reason to fail, nor to be silent."""
    result = cli("check", log(MIXED[:1]), "--min-hit-rate", "0.5", "--hash", "none")
    assert (result.code, "not enough data" in result.err) == (0, True)


@pytest.mark.parametrize(
    ("local_only", "remote", "options", "code", "verdict"),
    [
        (100, 0, [], 5, "failed"),
        (99, 0, [], 0, TOO_FEW),
        (0, 100, [], 0, "ok"),
        (20, 80, [], 0, "ok"),
        (21, 80, [], 5, "failed"),
        (980, 20, [], 5, "failed"),
        (21, 80, ["--max-local-only", "0.3"], 0, "ok"),
        (10, 90, ["--max-local-only", "0.05"], 5, "failed"),
    ],
)
def test_misses_that_never_asked_the_remote_cache(
    cli: Cli, log: Any, local_only: int, remote: int, options: list[str], code: int, verdict: str
) -> None:
    """The remote hit rate of the 1,000 lookups that did ask is above its threshold in each case."""
    path = log(lookups("a", 50, local_only, source="LOCAL") + lookups("b", 1000, remote))
    found, rows = checked(cli, path, "--min-remote-hit-rate", "0.5", *options)
    assert [row[:2] for row in rows] == [("remote_hit_rate", "ok"), ("local_only_misses", verdict)]
    misses = local_only + remote
    assert (found, rows[1][2], rows[1][4]) == (code, pytest.approx(local_only / misses), misses)
    alone = options or ["--max-local-only", "0.2"]
    assert checked(cli, path, *alone) == (code, [rows[1]])
    result = cli("check", path, "--min-remote-hit-rate", "0.5", *options)
    assert ("these misses never asked the remote cache; `analyzer doctor` explains" in result.err) == (code == 5)


def test_a_remote_cache_that_was_never_asked_has_no_rate(cli: Cli, log: Any) -> None:
    code, rows = checked(cli, log(lookups("a", 50, 150, source="LOCAL")), "--min-remote-hit-rate", "0.5")
    assert (code, [row[:3] for row in rows]) == (
        5, [("remote_hit_rate", TOO_FEW, None), ("local_only_misses", "failed", 1)],
    )  # fmt: skip


def test_unknown_durations_are_not_enough_to_tell_the_time_saved(cli: Cli, log: Any) -> None:
    rows = [one | {"duration": 0} for one in MIXED]
    code, ((_, verdict, found, *_),) = checked(cli, log(rows), "--min-time-saved", "1s")
    assert (code, verdict, found) == (0, TOO_FEW, None)


def test_filters(cli: Cli, log: Any) -> None:
    path = log([*MIXED, *(one | {"slug": "data", "sessionId": "d"} for one in lookups("d", 0, 200, 2))])
    assert checked(cli, path, "--min-hit-rate", "0.5")[0] == 5
    assert checked(cli, path, "--min-hit-rate", "0.5", "--team", "web")[0] == 0
    half = cli("check", path, "--min-hit-rate", "0.5", "--source", "LOCAL")
    assert (half.code, "--source" in half.err) == (2, True)


def test_since_holds_for_the_drop_too(cli: Cli, log: Any) -> None:
    """What is before --since is in neither week: only the week from then on is left, and that is not enough."""
    code, ((_, verdict, *_),) = checked(cli, log(FALLING), "--max-drop", "0.01", "--since", "2026-03-05")
    assert (code, verdict) == (0, "not enough data")


def test_run_summaries(cli: Cli, oracle: list[dict[str, Any]]) -> None:
    runs = [run for run in oracle if run["summary_file"] and run["run"] in {"run001", "run006", "run010"}]
    cached, total = (sum(run["printed"][name] for run in runs) for name in ("cached", "total"))
    saved_ms = sum(run["summary"]["timeSaved_ms"] for run in runs)
    paths = [RECORDED / "runs" / (run["summary_file"] + ".gz") for run in runs]
    options = ["--min-hit-rate", str(cached / total), "--min-time-saved", f"{saved_ms / 1000}s"]
    code, rows = checked(cli, *paths, *options)
    assert [row[:5] for row in rows] == [
        ("hit_rate", "ok", cached / total, cached / total, total), ("time_saved", "ok", saved_ms, saved_ms, total),
    ]  # fmt: skip
    assert code == 0
    assert checked(cli, *paths, "--min-hit-rate", str(cached / total + 1e-6))[0] == 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "nothing to check"),
        (["--min-lookups", "5"], "nothing to check"),
        (["--min-hit-rate", "80"], "did you mean 0.8?"),
        (["--min-hit-rate", "-0.1"], "at least 0 and at most 1"),
        (["--min-hit-rate", "nan"], "nan"),
        (["--max-drop", "nan"], "nan"),
        (["--max-drop", "1.5"], "is not a rate from 0 to 1"),
        (["--min-remote-hit-rate", "high"], "high"),
        (["--min-time-saved", "0"], "is not longer than zero"),
        (["--min-time-saved", "-1h"], "-1h"),
        (["--min-time-saved", "soon"], "30s"),
        (["--min-hit-rate", "0.5", "--min-lookups", "0"], "a whole number from 1 to"),
    ],
)
def test_wrong_usage(cli: Cli, log: Any, options: list[str], words: str) -> None:
    result = cli("check", log(MIXED), *options)
    assert (result.code, result.out) == (2, "")
    assert words in result.err


def test_an_unreadable_input_fails(cli: Cli, log: Any, tmp_path: Path) -> None:
    result = cli("check", log(MIXED), tmp_path / "none.ndjson", "--min-hit-rate", "0.9")
    assert result.code == 3
    assert any("hit rate 73.3 %" in line for line in messages(result, "error")), "what failed is said nevertheless"
    assert cli("check", tmp_path / "none.ndjson", "--min-hit-rate", "0.9").code == 3


def test_json(cli: Cli, log: Any) -> None:
    document = json.loads(
        cli("check", log(FALLING), "--max-drop", "0.2", "--min-time-saved", "1s", "--format", "json").out
    )
    assert document["command"] == "check"
    assert document["input"] == {
        "read": 200, "kept": 200, "rejected": 0, "filtered": 0, "duplicate": 0, "files": 1,
    }  # fmt: skip
    (table,) = document["tables"]
    assert [column["name"] for column in table["columns"]] == COLUMNS
    assert [set(row) for row in table["rows"]] == [set(COLUMNS)] * 2
    assert [row["unit"] for row in table["rows"]] == ["ms", "ratio change"]


@pytest.mark.parametrize("name", ["table", "markdown"])
def test_people_read_values_with_their_unit(cli: Cli, log: Any, name: str) -> None:
    options = ["--min-hit-rate", "0.5", "--max-drop", "0.2", "--min-time-saved", "1h"]
    result = cli("check", log(FALLING), *options, "--format", name)
    assert result.code == 5
    assert all(words in result.out for words in ("87.5 %", "50.0 %", "-5.0 points", "-20.0 points", "17.5 s", "1 h"))


def test_a_near_miss_is_written_with_enough_digits(cli: Cli, log: Any) -> None:
    """The words must tell what was found from what was wanted."""
    result = cli("check", log(MIXED), "--min-hit-rate", "0.7334")
    assert result.code == 5
    (line,) = messages(result, "error")
    found, wanted = line.removeprefix("hit rate ").split(", wanted at least ")
    assert found != wanted


# 80 of 100, 8 s saved, on the day after the lookups that it is compared with.
LOWER = lookups("c", 80, 20, 9)


@pytest.fixture
def baseline(cli: Cli, log: Any, tmp_path: Path) -> Path:
    """The baseline of 90 hits in 100 lookups."""
    path = tmp_path / "main.json"
    result = cli("check", log(FALLING[:100], "main.ndjson"), "--save-baseline", path)
    assert (result.code, messages(result, "note")) == (0, [f"{path}: saved as a baseline of 100 lookups"])
    assert result.out.startswith("No threshold was given, so nothing was checked.")
    return path


def edited(baseline: Path, **changes: Any) -> Path:
    """The baseline with other values; those set to `...` are left out."""
    document = {**json.loads(baseline.read_text()), **changes}
    baseline.write_text(json.dumps({name: value for name, value in document.items() if value is not ...}))
    return baseline


def test_a_baseline_has_the_measures(cli: Cli, log: Any, tmp_path: Path) -> None:
    path = tmp_path / "main.json"
    result = cli("check", log(MIXED), "--team", "web", "--since", "2026-03-01", "--save-baseline", path)
    assert result.code == 0
    assert json.loads(path.read_text()) == {
        "format": "cache-event-analyzer baseline", "version": 1,
        "hit_rate": pytest.approx(110 / 150), "lookups": 150, "hits": 110,
        "remote_hit_rate": 0.8, "remote_lookups": 100, "local_only_misses": 20,
        "time_saved_ms": 11000, "duration_coverage": 1, "sessions": 2,
        "first_at": "2026-03-02T00:00:00.000Z", "last_at": "2026-03-03T00:00:00.000Z",
        "view": "events", "filters": {"team": ["web"]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "wanted", "verdict"),
    [
        ([], -0.05, "failed"),
        (["--max-drop", "0.1"], -0.1, "ok"),
        (["--max-drop", "0.099"], -0.099, "failed"),
        (["--max-drop", "0.099", "--min-lookups", "101"], -0.099, TOO_FEW),
    ],
)
def test_the_drop_from_a_baseline(
    cli: Cli, log: Any, baseline: Path, options: list[str], wanted: float, verdict: str
) -> None:
    """From 90 % to 80 %. The log itself has no week before its last one."""
    code, (row,) = checked(cli, log(LOWER), "--baseline", baseline, *options)
    expected = ("hit_rate_change", verdict, pytest.approx(-0.1), wanted, 100, "ratio change")
    assert (code, row) == (5 if verdict == "failed" else 0, expected)


def test_all_lookups_are_compared_with_a_baseline(cli: Cli, log: Any, baseline: Path) -> None:
    """150 of 200, in two weeks of which the second is better: a fall from 90 % to 75 %, where weeks show a rise."""
    rows = lookups("a", 60, 40) + lookups("b", 90, 10, 8)
    code, ((_, verdict, found, _, count, _),) = checked(cli, log(rows), "--baseline", baseline)
    assert (code, verdict, found, count) == (5, "failed", pytest.approx(-0.15), 100)


def test_the_default_drop_is_five_points(cli: Cli, log: Any, baseline: Path) -> None:
    for hits, code in ((85, 0), (84, 5), (95, 0)):
        assert checked(cli, log(lookups("c", hits, 100 - hits, 9)), "--baseline", baseline)[0] == code
    help_text = " ".join(cli("check", "--help").out.split())
    assert "[default: 0.05, with --baseline]" in help_text


def test_what_is_compared_is_noted(cli: Cli, log: Any, baseline: Path) -> None:
    result = cli("check", log(LOWER), "--baseline", baseline)
    assert messages(result, "note") == [
        f"the change of the hit rate is that from the baseline {baseline}: 90.0 % of 100 lookups"
    ]
    assert messages(result, "error") == ["hit rate change -10.0 points, wanted at least -5.0 points"]


def test_other_filters_than_those_of_the_baseline_are_noted(cli: Cli, log: Any, baseline: Path) -> None:
    note = f"the baseline {baseline} was saved with other filters (none): part of the change may be theirs"
    assert note in cli("check", log(LOWER), "--baseline", baseline, "--team", "web").err
    edited(baseline, filters={"team": ["web"]})
    assert "other filters" not in cli("check", log(LOWER), "--baseline", baseline, "--team", "web").err
    assert '(team ["web"])' in cli("check", log(LOWER), "--baseline", baseline).err
    times = cli("check", log(LOWER), "--baseline", baseline, "--team", "web", "--last", "7d", "--since", "2026-03-01")
    assert "other filters" not in times.err


def test_another_view_than_that_of_the_baseline_is_noted(cli: Cli, log: Any, baseline: Path) -> None:
    note = f"the baseline {baseline} counts run summaries, and this answer events: part of the change may be theirs"
    assert note in cli("check", log(LOWER), "--baseline", edited(baseline, view="runs")).err


def test_without_lookups_a_baseline_fails_nothing(cli: Cli, log: Any, baseline: Path) -> None:
    code, ((_, verdict, found, _, count, _),) = checked(cli, log(LOWER), "--baseline", baseline, "--session", "none")
    assert (code, verdict, found, count) == (0, TOO_FEW, None, 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"hit rate: 90 %", "not a baseline (not JSON)"),
        (b"\xff\xfe", "not a baseline (not JSON)"),
        (b"[" * 100_000, "not a baseline (not JSON)"),
        (b"[]", "not a baseline"),
        (b'{"hit_rate": 0.9, "lookups": 100}', "not a baseline"),
        ({"version": 2}, "a baseline of version 2, expected 1; save it again"),
        ({"version": ...}, "a baseline of version None, expected 1; save it again"),
        ({"lookups": 0, "hit_rate": None}, "a baseline without lookups"),
        ({"lookups": "100"}, "damaged"),
        ({"lookups": -1}, "damaged"),
        ({"hit_rate": 1.1}, "damaged"),
        ({"hit_rate": float("nan")}, "damaged"),
        ({"hit_rate": ...}, "damaged"),
        ({"filters": ...}, "damaged"),
        ({"view": 1}, "damaged"),
    ],
)
def test_a_bad_baseline(cli: Cli, log: Any, baseline: Path, content: Any, words: str) -> None:
    if isinstance(content, dict):
        edited(baseline, **content)
    else:
        baseline.unlink() if content is None else baseline.write_bytes(content)
    result = cli("check", log(LOWER), "--baseline", baseline)
    assert (result.code, result.out) == (3, "")
    (line,) = result.err.splitlines()
    assert line.startswith(f"error: {baseline}: ")
    assert words in line


def test_no_baseline_is_saved_of_a_failure(cli: Cli, log: Any, baseline: Path, tmp_path: Path) -> None:
    path, before = log(LOWER), baseline.read_bytes()
    for options, code in (
        (["--min-hit-rate", "0.81"], 5), ([tmp_path / "none.ndjson"], 3), (["--session", "none"], 3),
    ):  # fmt: skip
        result = cli("check", path, *options, "--save-baseline", baseline, "--force")
        assert (result.code, baseline.read_bytes()) == (code, before)
        assert "no baseline was saved" in result.err
    assert cli("check", path, "--min-hit-rate", "0.8", "--save-baseline", baseline, "--force").code == 0
    assert json.loads(baseline.read_text())["hit_rate"] == 0.8


def test_no_file_is_overwritten_by_a_baseline(cli: Cli, log: Any, baseline: Path) -> None:
    path, before = log(LOWER), baseline.read_bytes()
    for options in (
        ["--save-baseline", baseline],
        ["--save-baseline", path, "--force"],
        ["--baseline", baseline, "--save-baseline", baseline, "--force"],
        ["--baseline", baseline, "-o", baseline, "--force"],
    ):
        assert cli("check", path, *options).code == 2
    assert (baseline.read_bytes(), path.read_text()) == (before, ndjson(LOWER))


def test_a_baseline_of_run_summaries(cli: Cli, tmp_path: Path) -> None:
    baseline = tmp_path / "main.json"
    assert cli("check", RECORDED / "runs", "--save-baseline", baseline).code == 0
    code, ((name, verdict, found, *_),) = checked(cli, RECORDED / "runs", "--baseline", baseline, "--max-drop", "0")
    assert (code, name, verdict, found) == (0, "hit_rate_change", "ok", 0)
