"""The first line of each answer: what it means, computed from its numbers, and what cannot be known."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, event, ndjson, report_of
from summaries import Package, Repository

Log = Callable[..., Path]


def verdict(cli: Cli, *arguments: object) -> str:
    """The verdict of the JSON; the table begins with the same text."""
    found = cli(*arguments, "--format", "json")
    table = cli(*arguments)
    assert table.out.startswith(found.json.get("verdict", "")), table.out
    return found.json.get("verdict", "")


def hits(number: int, **changes: Any) -> list[dict[str, Any]]:
    return [event(sessionId=f"s{n}", hash=f"h{n}", source="REMOTE", event="HIT", **changes) for n in range(number)]


def misses(number: int, **changes: Any) -> list[dict[str, Any]]:
    return [event(sessionId=f"m{n}", hash=f"m{n}", source="REMOTE", event="MISS", **changes) for n in range(number)]


UNKNOWN = "75.0 % of 4 lookups were hits. How much time that saved is unknown: no hit has a known duration."
PARTLY = (
    "The cache saved at least 1 min of task time: 100.0 % of 4 lookups were hits (75.0 % of the hits have no known"
    " duration)."
)


@pytest.mark.parametrize(("events", "expected"), [
    ([], "There are no lookups."),
    (misses(3), "None of 3 lookups was a hit."),
    (hits(3, duration=0) + misses(1), UNKNOWN),
    (hits(3, duration=60_000) + misses(1), "The cache saved 3 min of task time: 75.0 % of 4 lookups were hits."),
    (hits(1, duration=60_000) + hits(4, duration=0)[1:], PARTLY),
])  # fmt: skip
def test_stats(events: Sequence[dict[str, Any]], expected: str, cli: Cli, log: Log) -> None:
    assert verdict(cli, "stats", log(ndjson(events) or "[]")) == expected
    # Grouped, it is that of the totals.
    assert verdict(cli, "stats", log(ndjson(events) or "[]"), "--by", "team") == expected


def test_stats_over_days(cli: Cli, log: Log) -> None:
    events = [event(timestamp=f"2026-11-{day:02}T10:00:00Z", hash=f"{day}", duration=60_000) for day in (1, 3)]
    assert verdict(cli, "stats", log(events)).startswith("The cache saved 2 min of task time in 3 days: 100.0 % of 2")


def at(day: int, **changes: Any) -> dict[str, Any]:
    return event(timestamp=f"2026-11-{day:02}T10:00:00Z", sessionId=f"s{day}", source="REMOTE", **changes)


def test_misses(cli: Cli, log: Log) -> None:
    assert verdict(cli, "misses", log("[]")) == "There are no lookups."
    assert verdict(cli, "misses", log(hits(2))) == "None of 2 lookups missed."
    assert verdict(cli, "misses", log(misses(2) + hits(2))) == (
        "50.0 % of 4 lookups missed; none of the 2 misses is known to be avoidable."
    )
    evicted = [at(1, event="MISS"), at(2, event="HIT", duration=60_000), at(3, event="MISS")]
    assert verdict(cli, "misses", log(evicted)) == (
        "66.7 % of 3 lookups missed; 1 of the 2 misses could have been hits, worth 1 min of task time. Most of these"
        " are evicted; likely: storage too small, cache purged, or expired by the age of its upload."
    )
    unknown = [at(1, event="MISS"), at(2, event="HIT", duration=0), at(3, event="MISS")]
    assert "could have been hits, worth an unknown time." in verdict(cli, "misses", log(unknown))


def test_retention(cli: Cli, log: Log) -> None:
    assert verdict(cli, "retention", log([event()])) == (
        "No lookup asked the remote cache, so the log does not show how long to keep artifacts."
    )
    # A lookup each day, of an artifact that is looked up again after so many days; once, or for good after 10 days.
    for again_days, uses, expected in (
        (1, 2, "Keep 3 days: 0.0 points less than 7 days, with "),
        (5, 2, "7 days are about right: 3 days would lose "),
        (10, 60, "Keep artifacts longer, counted from upload: 14 days gain "),
    ):
        events = [
            event(timestamp=f"2026-{9 + day // 30:02}-{1 + day % 30:02}T10:00:00Z", sessionId=f"{start}.{use}",
                  hash=f"{start}", source="REMOTE", event="HIT")
            for start in range(60) for use in range(uses) if (day := start + use * again_days) < 60
        ]  # fmt: skip
        said = verdict(cli, "retention", log(events))
        assert said.startswith(expected), again_days
        # What is used daily needs one day. What is used once more would be kept for longer by that use.
        assert again_days != 1 or "keeping it for 1 day hits as often (" in said
        assert again_days != 5 or "renews" not in said
    rounded = cli("retention", log(events), "--retention", "7.1234567")
    assert (rounded.code, "7.12346 days" in rounded.out) == (0, True), "its text in the table of steps is rounded"
    short = [at(day, event="HIT", hash="h") for day in (1, 2)]
    assert "The log is too short to tell whether longer than 7 days pays." in verdict(cli, "retention", log(short))


def test_compare(cli: Cli, log: Log) -> None:
    assert verdict(cli, "compare", log("[]")) == "One side has no lookups, so there is nothing to compare."
    before = [at(day, slug="web", hash=f"{day}.{n}", event="HIT") for day in range(1, 8) for n in range(10)]
    after = [at(day, slug="web", hash=f"{day}.{n}", event="MISS") for day in range(8, 15) for n in range(10)]
    assert verdict(cli, "compare", log(before + after)) == (
        "The hit rate fell by 100.0 points, from 100.0 % to 0.0 %: more than chance explains. Most of the change is"
        " from team web: it accounts for -100.0 points; its own hit rate went from 100.0 % to 0.0 %."
    )
    mixed = [at(day, hash=f"{day}.{n}", event="HIT" if n % 2 else "MISS") for day in range(1, 15) for n in range(10)]
    assert verdict(cli, "compare", log(mixed)).startswith("The hit rate went from 50.0 % to 50.0 %, which chance may")
    few = [at(1, event="HIT"), at(8, event="MISS")]
    assert "there are too few sessions to tell from chance" in verdict(cli, "compare", log(few))


def test_check(cli: Cli, log: Log) -> None:
    path = log(hits(150) + misses(50))
    assert verdict(cli, "check", path, "--min-hit-rate", "0.7") == "Passed: 1 of 1 checks."
    failing = ("check", path, "--min-hit-rate", "0.8", "--min-time-saved", "1s")
    assert verdict(cli, *failing) == "1 of 2 checks failed: hit rate."
    unknown = ("check", path, "--max-drop", "0.05")
    assert verdict(cli, *unknown) == "Not enough data to judge hit rate change."


def test_doctor_and_sessions(cli: Cli, log: Log) -> None:
    path = log(hits(4, duration=0, slug="web") + misses(1, slug="web"))
    assert verdict(cli, "doctor", path).startswith("Nothing found that makes answers wrong. To know")
    assert verdict(cli, "sessions", path) == (
        "At least half of the sessions had only hits; a quarter has a hit rate of at most 100.0 %."
    )
    assert verdict(cli, "sessions", path, "m0") == (
        "0.0 % of 1 lookups were hits; how long the tasks of the misses took is unknown."
    )
    assert verdict(cli, "sessions", path, "s0") == "All 1 lookups were hits."


def test_causes(cli: Cli, log: Log) -> None:
    repository = Repository({"ui": Package(), "app": Package(["ui"])})
    repository.run()
    path = log(repository.text(), "runs.json")
    assert verdict(cli, "causes", path) == "None of 2 misses of runs with a summary has a changed hash."
    assert verdict(cli, "causes", path, "run0000") == (
        "There is nothing to compare with: no earlier run lists any of the 2 tasks."
    )
    for number in range(6):
        repository.packages["ui"].files["index.js"] = f"v{number}"
        repository.run()
    path = log(repository.text(), "runs.json")
    assert verdict(cli, "causes", path).startswith(
        "12 of 14 misses have a changed hash. The costliest cause is packages/ui/index.js: 100.0 % of their task time,"
    )
    assert "A suspect: packages/ui/index.js changed the hash of 2 tasks in 100.0 % of" in verdict(cli, "causes", path)
    assert verdict(cli, "causes", path, "run0003") == (
        "2 of 2 tasks have a changed hash. What changed in the end: packages/ui/index.js."
    )


def test_other_forms_have_it_too(cli: Cli, log: Log, tmp_path: Path) -> None:
    path = log(hits(3, duration=60_000))
    text = "The cache saved 3 min of task time: 100.0 % of 3 lookups were hits."
    assert report_of(cli, "stats", path).json["verdict"] == text
    assert cli("stats", path, "--format", "markdown").out.startswith(f"{text}\n\n|")
    assert cli("stats", path, "-o", tmp_path / "page.html").code == 0
    assert text in (tmp_path / "page.html").read_text()
    assert cli("stats", path, "--format", "csv").out.startswith("events,"), "a data format has data alone"
    assert "verdict" not in report_of(cli, "sql", path, "SELECT 1 AS verdict_of_nobody").json
