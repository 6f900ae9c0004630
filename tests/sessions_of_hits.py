"""Sessions of so many lookups and hits: written as a log, drawn at random, made a rate; and what `compare` answers."""

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from conftest import Cli, Result, event, report_of

from analyzer.questions.rates import Rate

START = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
Run = tuple[int, int]
"""Lookups and hits of a session."""


def at(days: float) -> str:
    return (START + days * DAY).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def runs(name: str, days: float, sizes: Sequence[Run], **more: Any) -> list[dict[str, Any]]:
    """Sessions of so many lookups and hits, all at one time; every HIT saved 10 ms."""
    return [
        event(
            sessionId=f"{name}-{number}", hash=f"h{n}", event="HIT" if n < hits else "MISS",
            duration=10 if n < hits else 0, timestamp=at(days), **more,
        )
        for number, (lookups, hits) in enumerate(sizes)
        for n in range(lookups)
    ]  # fmt: skip


def asked(cli: Cli, *arguments: object) -> Result:
    return report_of(cli, "compare", *arguments)


def sides(result: Result) -> list[tuple[int, int, float | None]]:
    return [(row["sessions"], row["lookups"], row["hit_rate"]) for row in result.table("sides")]


def rate_of(sizes: Iterable[Run]) -> Rate:
    """What the sums over sessions make of them."""
    sizes = list(sizes)
    products = (sum(n * n for n, _ in sizes), sum(n * h for n, h in sizes), sum(h * h for _, h in sizes))
    return Rate(len(sizes), sum(n for n, _ in sizes), sum(h for _, h in sizes), *map(float, products))


def drawn(draw: random.Random, count: int, rate: float, size: tuple[int, int] = (5, 40), tight: float = 4) -> list[Run]:
    """Sessions that differ in size, and in their own rates."""
    found = []
    for _ in range(count):
        own = draw.betavariate(rate * tight, (1 - rate) * tight)
        lookups = draw.randint(*size)
        found.append((lookups, sum(draw.random() < own for _ in range(lookups))))
    return found
