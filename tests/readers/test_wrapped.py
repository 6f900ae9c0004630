"""Logs inside of other logs: a field, or what stands behind a prefix, is read as the log that it is."""

import json
import shlex
from typing import Any

import pytest
from conftest import CASES, Cli, event, ndjson, report_of

import analyzer

AT = "2026-11-20T10:00:00.000Z"
EVENT = json.dumps(event(timestamp=AT))
REQUEST = json.dumps({"received_at": AT, "path": "/v8/artifacts/events?slug=acme", "body": [event()]})
GET = '10.0.0.5 - - [20/Nov/2026:10:00:00 +0000] "GET /v8/artifacts/h1?slug=acme HTTP/1.1" 200 5 "-" "turbo"'

# The place that the refusal names, and the line of a log that says `…` in it.
WRAPPERS = {
    "docker": ("log", lambda text: json.dumps({"log": f"{text}\n", "stream": "stdout", "time": AT})),
    "CloudWatch": ("message", lambda text: json.dumps({"timestamp": 1795168800000, "message": text})),
    "Loki": ("line", lambda text: json.dumps({"labels": {"app": "cache"}, "line": text, "timestamp": AT})),
    "Datadog": ("attributes.message", lambda text: json.dumps({"id": "A", "attributes": {"message": text}})),
    "Google Cloud": ("textPayload", lambda text: json.dumps({"insertId": "x", "textPayload": text})),
    "CRI": ("F", lambda text: f"{AT} stdout F {text}"),
    "compose": ("|", lambda text: f"cache-1  | {text}"),
    "syslog": ("cache[12]:", lambda text: f"Nov 20 10:00:00 host cache[12]: {text}"),
}


@pytest.mark.parametrize("inner", [EVENT, REQUEST], ids=["event", "request"])
@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapped_log_is_refused_with_the_way_to_read_it(name: str, inner: str, cli: Cli, log: Any) -> None:
    place, wrap = WRAPPERS[name]
    path = log("\n".join([wrap(inner), "", wrap("server started"), wrap("{broken")]) + "\n", "out.log")
    refused = cli("stats", path)
    assert refused.code == 3
    option = refused.err.partition("--map ")[2].partition(" reaches it")[0]
    (suggested,) = (word.removeprefix("body=") for word in shlex.split(option))
    assert suggested == place
    result = report_of(cli, "sql", path, "--map", f"body={suggested}", "SELECT hash, timestamp FROM events")
    assert [tuple(row.values()) for row in result.table("result")] == [("h1", AT)]
    assert "out.log:4: " in result.err, "the line of the broken one"


def test_an_access_log_in_a_container_log(cli: Cli, log: Any) -> None:
    path = log(f"{WRAPPERS['docker'][1](GET)}\n", "out.log")
    assert "--map body=log reaches it" in cli("stats", path).err
    with analyzer.load(path, columns={"body": "log"}) as opened:
        assert opened.stats()["remote_hits"].item() == 1


def test_an_event_without_a_time_takes_that_of_the_wrapper(cli: Cli, log: Any) -> None:
    for inner in (json.dumps(event()), json.dumps([event()])):
        path = log(WRAPPERS["docker"][1](inner) + "\n", "out.log")
        row = report_of(cli, "sql", path, "--map", "body=log", "SELECT timestamp FROM events").table("result")
        assert row == [{"timestamp": AT}]


def test_long_lines_that_a_runtime_split_are_joined(cli: Cli, log: Any) -> None:
    text = json.dumps({"path": "/v8/artifacts/events", "body": [event(hash=f"h{n}") for n in range(1000)]}) + "\n"
    pieces = [text[start : start + 16_384] for start in range(0, len(text), 16_384)]
    assert len(pieces) > 3
    path = log("".join(json.dumps({"log": piece, "time": AT}) + "\n" for piece in pieces), "out.log")
    result = report_of(cli, "stats", path, "--map", "body=log")
    assert (result.json["input"]["kept"], result.json["input"]["rejected"]) == (1000, 0)


def test_lines_without_the_field_are_counted(cli: Cli, log: Any) -> None:
    path = log(f"{WRAPPERS['docker'][1](EVENT)}\n{json.dumps({'other': 1})}\n", "out.log")
    assert "lines without 'log': 1" in cli("stats", path, "--map", "body=log").err


def test_cases(cli: Cli) -> None:
    case = CASES / "docker-jsonfile.log"
    assert f"{case}: a log that stands inside of another one; --map body=log reaches it" in cli("stats", case).err
    assert report_of(cli, "stats", case, "--map", "body=log").table("totals")[0]["events"] == 5


def test_utf16_is_refused_with_the_command_that_converts_it(cli: Cli, log: Any) -> None:
    path = log(ndjson([event()]).encode("utf-16"), "log.ndjson")
    result = cli("stats", path)
    assert (result.code, f"iconv -f UTF-16 -t UTF-8 {path} > {path}.utf8" in result.err) == (3, True)
