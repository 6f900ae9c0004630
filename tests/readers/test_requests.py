"""Request logs in the shapes that proxies, frameworks and clouds document: nothing of a request is lost."""

import base64
import json
from typing import Any

import pytest
from conftest import CASES, Cli, event, report_of

EVENTS = [event(), event(hash="h2", source="REMOTE", event="MISS")]
BODY = json.dumps(EVENTS)
URL = "/v8/artifacts/events?slug=acme"
AT = "2026-11-20T10:00:00.000Z"
AT_MS = 1_795_168_800_000

# What each product documents of a line of its log, or of the event that it passes on.
SHAPES: dict[str, dict[str, Any]] = {
    "recorder": {"received_at": AT, "method": "POST", "path": "/v8/artifacts/events", "query": {"slug": "acme"},
                 "headers": {"x-artifact-client-ci": "JENKINS"}, "status": 200, "body": EVENTS},
    "nginx": {"time_iso8601": "2026-11-20T10:00:00+00:00", "request_method": "POST", "request_uri": URL,
              "status": "200", "http_x_artifact_client_ci": "JENKINS", "request_body": BODY},
    "nginx with $request and $msec": {"msec": "1795168800.000", "request": f"POST {URL} HTTP/1.1", "status": "200",
                                      "http_x_artifact_client_ci": "JENKINS", "request_body": BODY},
    "nginx with $time_local": {"time_local": "20/Nov/2026:11:00:00 +0100", "request": f"POST {URL} HTTP/2.0",
                               "status": 200, "http_x_artifact_client_ci": "JENKINS", "request_body": BODY},
    "Caddy": {"level": "info", "ts": 1795168800.0, "logger": "http.log.access",
              "request": {"remote_ip": "10.0.0.1", "proto": "HTTP/2.0", "method": "POST", "host": "cache", "uri": URL,
                          "headers": {"X-Artifact-Client-Ci": ["JENKINS"]}}, "status": 200, "body": BODY},
    "Caddy with log_append": {"ts": 1795168800.0, "request": {"method": "POST", "uri": URL,
                              "headers": {"X-Artifact-Client-Ci": ["JENKINS"]}}, "status": 200, "request_body": BODY},
    "pino": {"level": 30, "time": AT_MS, "reqId": "req-1",
             "req": {"method": "POST", "url": URL, "headers": {"x-artifact-client-ci": "JENKINS"}, "body": EVENTS},
             "res": {"statusCode": 200}},
    "Express": {"timestamp": AT, "method": "POST", "originalUrl": URL, "statusCode": 200,
                "headers": {"x-artifact-client-ci": "JENKINS"}, "body": EVENTS},
    "API Gateway 1.0": {"resource": "/{proxy+}", "path": "/v8/artifacts/events", "httpMethod": "POST",
                        "headers": {"X-Artifact-Client-Ci": "JENKINS"}, "queryStringParameters": {"slug": "acme"},
                        "requestContext": {"requestTimeEpoch": AT_MS, "requestTime": "20/Nov/2026:10:00:00 +0000"},
                        "statusCode": 200, "body": BODY, "isBase64Encoded": False},
    "API Gateway 2.0": {"version": "2.0", "routeKey": "$default", "rawPath": "/v8/artifacts/events",
                        "rawQueryString": "slug=acme", "headers": {"x-artifact-client-ci": "JENKINS"},
                        "requestContext": {"http": {"method": "POST", "path": "/v8/artifacts/events"},
                                           "timeEpoch": AT_MS}, "statusCode": 200,
                        "body": base64.b64encode(BODY.encode()).decode(), "isBase64Encoded": True},
    "ALB to Lambda": {"requestContext": {"elb": {"targetGroupArn": "arn"}}, "httpMethod": "POST",
                      "path": "/v8/artifacts/events", "multiValueQueryStringParameters": {"slug": ["acme"]},
                      "multiValueHeaders": {"x-artifact-client-ci": ["JENKINS"]}, "body": BODY,
                      "isBase64Encoded": False, "timestamp": AT, "status": 200},
    "Traefik": {"StartUTC": "2026-11-20T10:00:00Z", "RequestMethod": "POST", "RequestPath": URL,
                "DownstreamStatus": 200, "request_X-Artifact-Client-Ci": "JENKINS", "body": BODY},
    "Envoy": {"start_time": AT, "method": "POST", "path": URL, "response_code": 200,
              "x-artifact-client-ci": "JENKINS", "request_body": BODY},
    "WSGI": {"time": AT, "REQUEST_METHOD": "POST", "PATH_INFO": "/v8/artifacts/events", "QUERY_STRING": "slug=acme",
             "HTTP_X_ARTIFACT_CLIENT_CI": "JENKINS", "status": 200, "body": BODY},
    "ASGI": {"time": AT, "method": "POST", "path": "/v8/artifacts/events", "query_string": "slug=acme",
             "headers": [["x-artifact-client-ci", "JENKINS"]], "status": 200, "body": BODY},
    "Google Cloud": {"timestamp": AT, "httpRequest": {"requestMethod": "POST", "requestUrl": f"https://c{URL}",
                     "status": 200}, "headers": {"x-artifact-client-ci": "JENKINS"}, "body": BODY},
    "Elastic Common Schema": {"@timestamp": AT, "http.request.method": "POST", "url.original": URL,
                              "http.response.status_code": 200, "http.request.body.content": BODY,
                              "http.request.headers": {"x-artifact-client-ci": "JENKINS"}},
    "Elastic Common Schema, nested": {
        "@timestamp": AT, "url": {"path": "/v8/artifacts/events", "query": "slug=acme"},
        "http": {"request": {"method": "POST", "body": {"content": BODY},
                             "headers": {"x-artifact-client-ci": "JENKINS"}}, "response": {"status_code": 200}}},
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_of_products(name: str, cli: Cli, log: Any) -> None:
    path = log(json.dumps(SHAPES[name]) + "\n")
    result = report_of(cli, "sql", path, "SELECT hash, timestamp, team, ci, status FROM events ORDER BY hash")
    assert [tuple(row.values()) for row in result.table("result")] == [
        (name, AT, "acme", "JENKINS", 200) for name in ("h1", "h2")
    ]
    assert "keys present" not in result.err


@pytest.mark.parametrize(
    ("case", "row"),
    [
        ("apigw-v1.ndjson", ("2026-11-20T10:00:00.123Z", "acme", "GITHUB_ACTIONS", None, 5)),
        ("nginx-request-line.ndjson", ("2026-11-20T10:00:00.000Z", "acme", "GITHUB_ACTIONS", 200, 5)),
        ("pino-req.ndjson", ("2026-11-20T10:00:00.123Z", "acme", "GITHUB_ACTIONS", None, 5)),
        ("req-caddy-min.ndjson", ("2026-11-20T10:00:00.123Z", "acme", "JENKINS", 200, 1)),
        ("base64-claimed-but-plain.har", ("2026-11-20T10:00:00.123Z", "acme", "GITHUB_ACTIONS", 200, 5)),
        ("min-h2.har", ("2026-11-20T10:00:00.000Z", "acme", None, 200, 1)),
        ("min-two.har", ("2026-11-20T10:00:00.000Z", "acme", None, 200, 2)),
        ("har-then-ndjson.har", ("2026-11-20T10:00:00.123Z", "acme", "GITHUB_ACTIONS", 200, 5)),
    ],
)
def test_cases(case: str, row: tuple[Any, ...], cli: Cli) -> None:
    query = "SELECT timestamp, team, ci, status, count(*) AS n FROM events GROUP BY ALL"
    (found,) = report_of(cli, "sql", CASES / case, query).table("result")
    assert tuple(found.values()) == row


def test_lines_that_report_no_events_are_other_traffic(cli: Cli, log: Any) -> None:
    lines = [
        {"method": "POST", "path": URL, "timestamp": AT, "body": EVENTS},
        {"method": "PUT", "path": "/v8/artifacts/12ab", "body": "artifact"},
        {"method": "GET", "path": URL, "body": ""},
        {"level": 30, "msg": "server started"},
    ]
    result = cli("stats", log("\n".join(map(json.dumps, lines))), "--format", "json")
    assert result.json["input"]["read"] == result.json["input"]["kept"] == 2
    assert "requests or lines that report no events: 3" in result.err


def test_a_request_log_without_known_keys_says_so(cli: Cli, log: Any) -> None:
    line = {"when": AT, "tenant": {"name": "acme"}, "path": URL.partition("?")[0], "body": EVENTS}
    found = cli("stats", log(json.dumps(line)))
    assert "no time and no team or CI found; keys present: when, tenant.name, path, body" in found.err
    timed = cli("stats", log(json.dumps(line | {"time": AT})))
    assert "no team or CI found; keys present: when, tenant.name, path, body, time" in timed.err
    assert "keys present" not in cli("stats", log(json.dumps(line | {"time": AT, "slug": "acme"}))).err


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("nginx-escape-default.log", "not JSON (nginx: log_format needs escape=json)"),
        ("no-postdata.har", "the request's body was not logged (save the HAR with content)"),
        ("no-session.ndjson", "sessionId is missing"),
    ],
)
def test_refusals_name_the_way_out(case: str, reason: str, cli: Cli) -> None:
    result = cli("stats", CASES / case)
    assert (result.code, f"{case}:1: {reason}" in result.err) == (3, True)


@pytest.mark.parametrize(("key", "has_hint"), [("request_body", True), ("body", False)])
def test_only_nginx_gets_the_hint_for_nginx(key: str, has_hint: bool, cli: Cli, log: Any) -> None:  # noqa: FBT001
    found = cli("stats", log(json.dumps({"uri": URL, key: ""}))).err
    assert "the request's body was not logged" in found
    assert ("client_body_buffer_size" in found) == has_hint


def har_of(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"log": {"version": "1.2", "creator": {"name": "x", "entries": [1]}, **more, "entries": list(entries)}}


def entry(*events: dict[str, Any]) -> dict[str, Any]:
    request = {"method": "POST", "url": f"https://cache.example.com{URL}", "postData": {"text": json.dumps(events)}}
    return {"startedDateTime": AT, "request": request, "response": {"status": 200}}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("gap", ["", "\n", " \n\n"])
def test_several_hars_and_text_around_them(cli: Cli, log: Any, indent: int | None, gap: str) -> None:
    first, second = (json.dumps(har_of(entry(event(hash=name))), indent=indent) for name in ("a", "b"))
    path = log(f"{first}{gap}{second}\nnot a HAR\n{json.dumps(event())}\n", "log.har")
    result = cli("sql", path, "SELECT hash FROM events ORDER BY hash", "--format", "csv")
    assert result.out == "hash\na\nb\n"
    lines = path.read_text().splitlines()
    assert f"log.har:{len(lines) - 1}: text outside the HAR: not a HAR" in result.err
    assert f"log.har:{len(lines)}: text outside the HAR: " in result.err


def test_the_entries_are_those_of_the_log(cli: Cli, log: Any) -> None:
    """An `entries` elsewhere, before or deeper, is not taken for them."""
    document = {"entries": [entry(event(hash="outside"))], "note": {"log": {"entries": [entry(event(hash="deep"))]}}}
    inner = har_of(entry(event(hash="right")), pages=[{"entries": [entry(event(hash="page"))]}])
    path = log(json.dumps(document | inner), "log.har")
    assert cli("sql", path, "SELECT hash FROM events", "--format", "csv").out == "hash\nright\n"
    assert "rejected;" not in cli("stats", path).err


def test_damage_before_the_entries_costs_no_entry(cli: Cli, log: Any) -> None:
    text = json.dumps(har_of(entry(event(hash="a")), creator={})).replace('"version": "1.2",', '"version": 1.2.3,')
    result = cli("stats", log(text, "log.har"), "--format", "json")
    assert (result.json["input"]["kept"], result.json["input"]["rejected"]) == (1, 1)


@pytest.mark.parametrize("share", [0.3, 0.55, 0.9])
@pytest.mark.parametrize("indent", [None, 1])
def test_a_har_that_is_cut_off_is_named(share: float, indent: int | None, cli: Cli, log: Any) -> None:
    entries = [entry(event(hash=f"h{n}")) for n in range(20)]
    for one in entries:
        one["request"]["headers"] = [{"name": "a", "value": "b"}, {"name": "c", "value": "d"}]
    text = json.dumps(har_of(*entries), indent=indent)
    cut = text[: text.index("startedDateTime", int(len(text) * share)) + 120]
    path = log(cut, "log.har")
    result = cli("stats", path, "--format", "json")
    assert (result.json["input"]["kept"], result.json["input"]["rejected"]) == (cut.count("startedDateTime") - 1, 1)
    assert "it ends in the middle of an item" in result.err
    findings = {row["finding"] for row in report_of(cli, "doctor", path).table("findings")}
    assert "cut_files" in findings
