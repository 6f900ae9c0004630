"""Times of events: one strict grammar, the same in every format that can hold it."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, event

NO_TIME = "timestamp is not a time (ISO 8601, or seconds or milliseconds since 1970)"
INSTANT = "2026-11-20T10:00:00.125"

READ = {
    "2026-11-20T10:00:00.125Z": INSTANT,
    "2026-11-20 10:00:00.125": INSTANT,
    "2026-11-20 10:00:00.125+00": INSTANT,
    "2026-11-20 11:00:00.125+01": INSTANT,
    "2026-11-20 10:00:00.1250": INSTANT,
    "2026-11-20 10:00:00,125 UTC": INSTANT,
    "2026-11-20T10:00:00,125Z": INSTANT,
    "2026-11-20T12:00:00.125+02:00": INSTANT,
    "2026-11-20T12:00:00.125+0200": INSTANT,
    "2026-11-20": "2026-11-20T00:00:00",
    "1795168800.125": INSTANT,
    "1795168800125": INSTANT,
    "1795168800125000": INSTANT,
    "1795168800125000000": INSTANT,
    "1795168800": "2026-11-20T10:00:00",
    "0": "1970-01-01T00:00:00",
}
"""Texts of times, and the time that each means (UTC)."""

REFUSED = [
    "226-09-13T02:39:34.390Z", "+226-09-13T02:39:34.390Z", " 226-09-13T02:39:34.390Z", "2026-9-7T8:4:5.1Z",
    "2026-9-7T8:4:5Z", "2026-02-30T00:00:00Z", "2026-09-13T02:39:34.+90Z", "2026-09-13T02:39:34.390z",
    "2026-09-13T25:00:00Z", "2026-09-13T02:39:34.390Z ", "10:00", "yesterday", "infinity", "0x10", "1e30",
    "17951688001250000000", "2026-11-2  10:00:00.125+00", "2026-11-20  1:00:00.125+00", "2026-11-20 10:00:00.1250+0",
    "2026-11-2T10:00:00.1250Z", "2026-11-20T1:00:00.1250Z",
]  # fmt: skip


def in_format(name: str, times: list[str], directory: Path) -> Path:
    """Write events with these times, as text or, where only digits make it, also as JSON numbers."""
    events = [event(hash=f"h{number}", timestamp=time) for number, time in enumerate(times)]
    path = directory / f"log.{name}"
    if name == "csv":
        rows = [f'{one["sessionId"]},LOCAL,HIT,{one["hash"]},"{one["timestamp"]}"' for one in events]
        path.write_text("\n".join(["sessionId,source,event,hash,timestamp", *rows]) + "\n")
    elif name == "array":
        path.write_text(json.dumps(events, indent=1))
    elif name == "requests":
        path.write_text(
            "".join(json.dumps({"received_at": one.pop("timestamp"), "body": [one]}) + "\n" for one in events)
        )
    else:
        path.write_text("".join(json.dumps(one) + "\n" for one in events))
    return path


@pytest.mark.parametrize("name", ["ndjson", "csv", "array", "requests"])
def test_each_way_to_write_a_time_is_read_alike(name: str, tmp_path: Path, cli: Cli) -> None:
    path = in_format(name, list(READ), tmp_path)
    query = "SELECT timestamp FROM events ORDER BY hash[2:]::INTEGER"
    found = cli("sql", path, query, "--format", "ndjson").out.splitlines()
    times = [json.loads(line)["timestamp"].replace(" ", "T").removesuffix("Z") for line in found]
    assert [time.rstrip("0").rstrip(".") if "." in time else time for time in times] == list(READ.values())


@pytest.mark.parametrize("name", ["ndjson", "csv", "array", "requests"])
def test_anything_else_is_a_reject(name: str, tmp_path: Path, cli: Cli) -> None:
    path = in_format(name, REFUSED, tmp_path)
    result = cli("sql", path, "SELECT reason, count(*) AS n FROM rejects GROUP BY ALL", "--format", "csv")
    assert result.out == f'reason,n\n"{NO_TIME}",{len(REFUSED)}\n'


@pytest.mark.parametrize("number", [1795168800, 1795168800.125, 1795168800125])
def test_numbers_are_seconds_or_milliseconds_by_their_size(number: float, log: Any, cli: Cli) -> None:
    result = cli(
        "sql", log([event(timestamp=number)]), "SELECT epoch(timestamp)::BIGINT AS s FROM events", "--format", "csv"
    )
    assert result.out == "s\n1795168800\n"
    assert ("times below 1e11 are read as seconds since 1970 (events: 1)" in result.err) == (number < 1e11)


def test_times_in_seconds_are_noted_by_every_question(log: Any, cli: Cli) -> None:
    """Also by those that read lookups alone, and beside unknown keys."""
    path = log([event(timestamp=1795168800), event(hash="h2", timestamp=1795168801, extra=1), event(hash="h3")])
    for question in ("stats", "misses"):
        assert "times below 1e11 are read as seconds since 1970 (events: 2)" in cli(question, path).err
