"""Tests of the cost of misses: imputed durations, the costliest misses, likely causes, run summaries alone."""

from datetime import datetime
from typing import Any

from conftest import Cli
from log_of_misses import BEGIN, at, local, missed, remote, run_misses, run_of, task


def test_unknown_durations_are_not_0(cli: Cli, log: Any) -> None:
    """Only misses, and hits whose duration is unknown: the ratio has no denominator."""
    path = log([BEGIN | {"duration": 0}, *missed("a", "h", at(10)), remote("b", "HIT", "i", at(10), duration=0)])
    totals = run_misses(cli, path).table("misses")[0]
    assert (totals["imputed_coverage"], totals["avoidance_ratio"], totals["time_lost_ms"]) == (0, None, None)
    assert [row["imputed_coverage"] for row in run_misses(cli, path).table("classes")] == [0]


def test_durations_of_misses_and_0_are_unknown(cli: Cli, log: Any) -> None:
    path = log(
        [
            BEGIN,
            remote("a", "MISS", "h", at(10), duration=99),  # the 99 of a MISS says nothing
            remote("b", "HIT", "h", at(11), duration=0),  # unknown
            remote("c", "MISS", "i", at(10), duration=99),
            remote("d", "HIT", "i", at(11), duration=0.25),
            local("e", "HIT", "i", at(12), duration=0),  # unknown, while d's is known
        ]
    )
    totals = run_misses(cli, path).table("misses")[0]
    assert (totals["time_lost_ms"], totals["imputed_coverage"]) == (0.25, 1 / 2)
    assert (totals["time_saved_ms"], totals["avoidance_ratio"]) == (5.25, 5.25 / 5.5)


def test_durations_come_from_the_hash_then_from_its_task(cli: Cli, log: Any) -> None:
    hashes = ("hit", "saved", "meta", "built", "failed", "median", "alone", "nobody")
    path = log(
        [
            BEGIN,
            *(one for name in hashes for one in missed("a", name, at(10)) + missed("b", name, at(11))),
            remote("c", "HIT", "hit", at(12), duration=1),
        ]
    )
    runs = log(
        run_of(
            1,
            [
                task("hit", "web", saved=2),  # 1: a hit's event says it
                task("saved", "web", saved=20),  # 20: what a hit in a run saved, before the metadata's 21
                task("built", "web", took=400),  # 400: what the run took to build it
                task("meta", "web", took=301),  # 300: the metadata's, before what a run took
                task("failed", "web", took=9, exit_code=1),  # a failed task's time is none: the median
                task("median", "web", saved=0),  # unknown: the median of web#build, of 1, 20, 300, 400
                task("alone", "docs", saved=0),  # docs#build is of nothing known
            ],
        ),
        "run1.json",
    )
    log('{"hash":"saved","duration":21}', "saved-meta.json")
    log('{"hash":"meta","duration":300}', "meta-meta.json")
    metas = [path.parent / "saved-meta.json", path.parent / "meta-meta.json"]
    result = run_misses(cli, path, runs, *metas, "--by", "hash")
    # Each hash is missed twice, and the second time is a repeat: what that cost is the duration.
    assert {row["hash"]: row["avoidable_time_ms"] for row in result.table("top")} == {
        "hit": 1, "saved": 20, "meta": 300, "built": 400, "failed": 160, "median": 160, "alone": None, "nobody": None,
    }  # fmt: skip
    totals = result.table("misses")[0]
    assert (totals["time_lost_ms"], totals["imputed_coverage"]) == (2 * 1041, 6 / 8)


def test_the_costliest_by_task_and_by_hash(cli: Cli, log: Any) -> None:
    # Twice missed each; h1 and h2 are web#build, h3 is docs#build, h4 has no name. Repeats take 100, 100, 250, 30 ms.
    events = [BEGIN]
    for name, took in (("h1", 100), ("h2", 100), ("h3", 250), ("h4", 30)):
        events += missed("a", name, at(10)) + missed("b", name, at(11))
        events.append(remote("c", "HIT", name, at(12), duration=took, slug="elsewhere"))
    path = log(events)
    runs = log(run_of(1, [task("h1", "web"), task("h2", "web"), task("h3", "docs")]), "run1.json")

    def costliest(*options: object) -> list[tuple[Any, ...]]:
        rows = run_misses(cli, path, runs, *options).table("top")
        label = "task" if "task" in rows[0] else "hash"
        return [(row[label], row["avoidable_time_ms"], row["avoidable_misses"], row["sessions"]) for row in rows]

    assert costliest() == [("docs#build", 250, 1, 1), ("web#build", 200, 2, 1), (None, 30, 1, 1)]
    assert costliest("--by", "task", "--limit", 1) == [("docs#build", 250, 1, 1)]
    by_hash = costliest("--by", "hash")
    assert (by_hash[0], by_hash[3]) == (("h3", 250, 1, 1), ("h4", 30, 1, 1))
    assert sorted(by_hash[1:3]) == [("h1", 100, 1, 1), ("h2", 100, 1, 1)]
    names = {row["hash"]: row["name"] for row in run_misses(cli, path, runs, "--by", "hash").table("top")}
    assert names == {"h1": "web#build", "h2": "web#build", "h3": "docs#build", "h4": None}
    # Without run summaries, hashes.
    assert "hash" in run_misses(cli, path).table("top")[0]


def test_a_failed_task_is_a_likely_cause(cli: Cli, log: Any) -> None:
    # web#build failed with h1 in run 1 and 2 and with h2 in run 3; docs#build never did.
    path = log(
        [
            BEGIN,
            *(one for name in ("h1", "h2", "h3") for one in missed("a", name, at(10)) + missed("b", name, at(11))),
        ]
    )
    runs = [
        log(run_of(1, [task("h1", "web", exit_code=1), task("h3", "docs")]), "run1.json"),
        log(run_of(2, [task("h1", "web", exit_code=1)]), "run2.json"),
        log(run_of(3, [task("h2", "web", exit_code=2)]), "run3.json"),
    ]
    by_hash = {row["hash"]: row["likely_causes"] for row in run_misses(cli, path, *runs, "--by", "hash").table("top")}
    assert by_hash["h1"].startswith("the task failed in 2 of its runs; repeat (1): ")
    assert by_hash["h2"].startswith("the task failed in 1 of its runs; ")
    assert "failed in" not in by_hash["h3"]
    by_task = {row["task"]: row["likely_causes"] for row in run_misses(cli, path, *runs, "--by", "task").table("top")}
    assert "failed in" not in by_task["docs#build"]
    assert by_task["web#build"].startswith("the task failed in 3 of its runs; ")


def test_failures_of_runs_outside_the_filters_do_not_count(cli: Cli, log: Any) -> None:
    """Run 1 is session a and run 2 session b, which missed a day later; runs 3 and 4 match no session."""
    rows = [*missed("a", "h", at(10)), *missed("b", "h", at(11))]
    ended_ms = [round(datetime.fromisoformat(time).timestamp() * 1000) for time in (at(10), at(11))]
    failed = [task("h", "web", exit_code=1)]
    runs = [log(run_of(n, failed, ended_ms[(n - 1) % 2] + (n > 2) * 60_000), f"run{n}.json") for n in (1, 2, 3, 4)]
    sources = (log([BEGIN, *rows]), *runs)
    for options, failures in (
        ([], 4),
        (["--since", at(11)], 2),
        (["--until", at(12), "--since", at(11), "--session", "b"], 1),
        (["--session", "b"], 1),
    ):
        (row,) = run_misses(cli, *sources, "--by", "hash", *options).table("top")
        assert row["likely_causes"].startswith(f"the task failed in {failures} of its runs; repeat (1)"), options


def test_run_summaries_alone(cli: Cli, log: Any) -> None:
    """web#build misses in run 1, again in run 2 (a repeat), and after the hit of run 3 in runs 4 and 5: at once."""
    day_ms, first_ms = 86_400_000, 1_772_323_200_000
    runs = [
        log(run_of(0, [task("other", "docs")], first_ms), "run0.json"),
        log(run_of(1, [task("h", "web")], first_ms + 10 * day_ms), "run1.json"),
        log(run_of(2, [task("h", "web")], first_ms + 11 * day_ms), "run2.json"),
        log(run_of(3, [task("h", "web", saved=600)], first_ms + 12 * day_ms), "run3.json"),
        log(run_of(4, [task("h", "web")], first_ms + 19 * day_ms), "run4.json"),
        log(run_of(5, [task("h", "web")], first_ms + 19 * day_ms + 599), "run5.json"),
    ]
    result = run_misses(cli, *runs)
    assert result.json["view"] == "runs"
    assert {row["class"]: row["misses"] for row in result.table("classes")} == {
        "unknown_cold": 1, "cold": 1, "repeat": 1, "evicted": 1, "concurrent": 1,
    }  # fmt: skip
    assert result.table("misses")[0]["avoidable_time_ms"] == 3 * 600
    assert [row["task"] for row in result.table("top")] == ["web#build"]


def test_the_displayed_table(cli: Cli, log: Any) -> None:
    path = log([BEGIN, *missed("a", "h", at(10)), *missed("b", "h", at(11)), remote("c", "HIT", "h", at(12))])
    result = cli("misses", path)
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert "avoidable time 1 s" in lines
    assert "class misses share time lost imputed coverage sessions" in lines
    assert "repeat * 1 50.0 % 1 s 100.0 % 1" in lines
    assert "cold 1 50.0 % 1 s 100.0 % 1" in lines
    assert any(line.startswith("* avoidable: ") for line in lines)
    csv = cli("misses", path, "--format", "csv").out.splitlines()
    assert [line.split(",")[0] for line in csv] == ["class", "cold", "repeat"]
