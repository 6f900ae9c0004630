"""Random logs, filters and questions, to compare two ways to the same answers."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from conftest import event

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection
from analyzer.questions.check import check
from analyzer.questions.compare import compare
from analyzer.questions.comparison_sides import ComparisonSide
from analyzer.questions.dimensions import DIMENSIONS
from analyzer.questions.doctor.report import doctor
from analyzer.questions.misses import misses
from analyzer.questions.options import (
    CheckOptions,
    CompareOptions,
    GroupOptions,
    MissesOptions,
    PageOptions,
    RetentionOptions,
    SessionsOptions,
    StatsOptions,
)
from analyzer.questions.page import build_page
from analyzer.questions.report import Report
from analyzer.questions.retention import retention
from analyzer.questions.sessions import sessions
from analyzer.questions.stats import stats
from analyzer.times import parse_age, parse_time

START = 1_790_000_000_000
ZONES = ("UTC", "Asia/Kolkata", "America/St_Johns", "Europe/Berlin", "Pacific/Chatham")
DURATIONS = (0, 0.1, 1 / 3, 250, 1e-9, 123456.789, 2**53)


def random_events(rng: random.Random, durations: Sequence[float] = DURATIONS) -> list[dict[str, Any]]:
    """Sessions of some minutes to days, with mixed contexts, times missing, and durations of any size."""
    events = []
    for number in range(rng.randint(1, 60)):
        start = START + rng.randint(0, 40 * 86_400_000) // rng.choice([1, 900_000]) * rng.choice([1, 900_000])
        team, ci = rng.choice(["web", "data", None]), rng.choice(["GITHUB_ACTIONS", None])
        for _ in range(rng.randint(1, 12)):
            at = start + rng.randint(0, rng.choice([1000, 3_000_000, 90_000_000]))
            one = event(
                sessionId=f"s{number}", hash=f"h{rng.randint(0, 40)}", source=rng.choice(["LOCAL", "REMOTE"]),
                event=rng.choice(["HIT", "MISS"]), duration=rng.choice(durations),
                timestamp=at if rng.random() < 0.95 else ..., slug=team or ..., ci=ci or ...,
            )  # fmt: skip
            if rng.random() < 0.03:
                one["slug"] = "mobile"
            events.append(one)
    return events


def random_selection(rng: random.Random) -> Selection:
    times = [parse_time(f"2026-{month:02}-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:{minute:02}", NOW)
             for month, minute in ((9, rng.choice([0, 7, 15, 44])), (10, rng.choice([0, 15, 31, 59])))]  # fmt: skip
    return Selection(
        since=rng.choice([None, times[0]]), until=rng.choice([None, times[1]]),
        last=rng.choice([None, None, parse_age("9d")]), team=rng.choice([(), (), ("web",), ("web", "data")]),
        ci=rng.choice([(), (), ("GITHUB_ACTIONS",)]), session=rng.choice([(), (), (), ("s1", "s2", "s3")]),
        hash=rng.choice([(), (), (), ("h1", "h2")]),
    )  # fmt: skip


NOW = datetime(2026, 11, 1)  # noqa: DTZ001  (naive UTC)


def answers(
    log: OpenLog, rng: random.Random, *, chooses_events: bool = False, has_page: bool = True
) -> Iterator[Report]:
    """The answers to random questions, which are the same for the same state of `rng`."""
    selection = random_selection(rng)
    if chooses_events:
        selection = replace(selection, status=rng.choice([None, "ok"]), where=rng.choice([(), ("duration > 1",)]))
    by = tuple(rng.sample([name for name in DIMENSIONS if name != "source"], rng.randint(1, 2)))
    zone = rng.choice(ZONES)
    yield stats(log, selection, StatsOptions(by, zone, restore_ms=rng.choice([None, (3, 70.5)])))
    yield check(log, selection, CheckOptions(0.5, 0.5, 0.1, 1000, None, 1))
    yield doctor(log, selection)
    yield misses(log, selection, MissesOptions(groups=GroupOptions(by, zone)))
    yield retention(log, selection, RetentionOptions())
    yield sessions(log, selection, SessionsOptions(groups=GroupOptions(by, zone)))
    middle = parse_time(f"2026-10-{rng.randint(1, 28):02}T10:{rng.choice([10, 15, 22])}", NOW)
    sides = rng.choice(
        [
            None,
            (ComparisonSide("a", {"until": middle}), ComparisonSide("b", {"since": middle})),
            (ComparisonSide("a", {"team": ("web",)}), ComparisonSide("b", {"team": ("web", "data"), "since": middle})),
            (ComparisonSide("a", {"hash": ("h1", "h3")}), ComparisonSide("b", {"ci": ("GITHUB_ACTIONS",)})),
        ]
    )
    yield compare([log], Selection(), sides, CompareOptions())
    if has_page:
        yield build_page(log, selection, PageOptions())


def same_report(one: Report, other: Report) -> bool:
    """Whether two reports say the same, to the last digit."""
    tables = [[(table.name, list(table.rows)) for table in report.tables] for report in (one, other)]
    return tables[0] == tables[1] and all(
        getattr(one, name) == getattr(other, name) for name in ("notes", "accounting", "facts", "headlines")
    )
