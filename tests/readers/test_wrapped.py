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
    assert "lines or entries without 'log': 1" in cli("stats", path, "--map", "body=log").err


def test_a_field_that_no_line_has_is_an_error(cli: Cli, log: Any) -> None:
    path = log(f"{WRAPPERS['docker'][1](EVENT)}\n", "out.log")
    result = cli("stats", path, "--map", "body=lgo")
    assert result.code == 3
    assert f"{path}: no entry has what --map body=lgo names" in result.err
    assert cli("load", path.parent, "--into", path.with_name("a.duckdb"), "--map", "body=lgo").code == 3


def test_cases(cli: Cli) -> None:
    case = CASES / "docker-jsonfile.log"
    assert f"{case}: a log that stands inside of another one; --map body=log reaches it" in cli("stats", case).err
    assert report_of(cli, "stats", case, "--map", "body=log").table("totals")[0]["events"] == 5


def test_utf16_is_refused_with_the_command_that_converts_it(cli: Cli, log: Any) -> None:
    path = log(ndjson([event()]).encode("utf-16"), "log.ndjson")
    result = cli("stats", path)
    assert (result.code, f"iconv -f UTF-16 -t UTF-8 {path} > {path}.utf8" in result.err) == (3, True)


def get(client: str, name: str, second: int) -> str:
    stamp = f"20/Nov/2026:10:00:{second:02} +0000"
    return f'{client} - - [{stamp}] "GET /v8/artifacts/{name}?slug=acme HTTP/1.1" 200 5 "-" "turbo"'


# Two clients in turn: two sessions, if the prefix is not taken for the client.
ACCESS = [get("198.51.100.7", "a1", 1), get("203.0.113.9", "a1", 2), get("198.51.100.7", "b1", 3),
          get("203.0.113.9", "b1", 4)]  # fmt: skip


@pytest.mark.parametrize(
    ("prefix", "place"),
    [
        ("2026-11-20T10:00:0{n}.123456789Z stdout F ", "F"),
        ("2026-11-20T10:00:0{n}.123456789Z ", "Z"),
        ("[pod/cache-7d/nginx] ", "[pod/cache-7d/nginx]"),
        ("Nov 20 10:00:0{n} host nginx[7]: ", "nginx[7]:"),
        ("nginx-1  | ", "|"),
    ],
)
def test_a_prefix_is_no_client_address(prefix: str, place: str, cli: Cli, log: Any) -> None:
    lines = [prefix.format(n=number) + line for number, line in enumerate(ACCESS)]
    path = log("\n".join([prefix.format(n=0) + "starting", *lines]) + "\n", "out.log")
    refused = cli("stats", path)
    (suggested,) = shlex.split(refused.err.partition("--map ")[2].partition(" reaches it")[0])
    assert (refused.code, suggested) == (3, f"body={place}")
    totals = report_of(cli, "stats", path, "--map", suggested).table("totals")[0]
    assert (totals["lookups"], totals["sessions"]) == (4, 2)


def test_apache_may_log_the_virtual_host_first(cli: Cli, log: Any) -> None:
    path = log("\n".join(f"cache.acme.dev:443 {line}" for line in ACCESS) + "\n", "access.log")
    assert report_of(cli, "stats", path).table("totals")[0]["sessions"] == 2


def test_a_prefix_of_each_line_alone_is_not_suggested(cli: Cli, log: Any) -> None:
    """Time and pod differ from line to line: only what all prefixes have reaches all lines."""
    lines = [f"[pod/cache-{number}/nginx] 2026-11-20T10:00:0{number}.250Z {REQUEST}" for number in range(4)]
    path = log("\n".join(lines) + "\n", "out.log")
    (suggested,) = shlex.split(cli("stats", path).err.partition("--map ")[2].partition(" reaches it")[0])
    assert report_of(cli, "stats", path, "--map", suggested).table("totals")[0]["events"] == 4


def test_pieces_of_a_cri_log_are_joined(cli: Cli, log: Any) -> None:
    pieces = [REQUEST[:40], REQUEST[40:90], REQUEST[90:]]
    marks = ["P", "P", "F"]
    lines = [f"{AT} stdout {mark} {piece}" for mark, piece in zip(marks, pieces, strict=True)] * 2
    path = log("\n".join(lines) + "\n", "out.log")
    assert "--map body=F reaches it" in cli("stats", path).err
    result = report_of(cli, "stats", path, "--map", "body=F")
    assert (result.json["input"]["kept"], result.json["input"]["rejected"]) == (2, 0)


@pytest.mark.parametrize("name", ["docker", "CloudWatch", "Loki", "CRI"])
def test_a_request_without_a_time_takes_that_of_the_wrapper(name: str, cli: Cli, log: Any) -> None:
    inner = json.dumps({"path": "/v8/artifacts/events?slug=acme", "body": [event()]})
    place, wrap = WRAPPERS[name]
    path = log(wrap(inner) + "\n", "out.log")
    query = "SELECT timestamp, team FROM events"
    assert report_of(cli, "sql", path, "--map", f"body={place}", query).table("result") == [
        {"timestamp": AT, "team": "acme"}
    ]


NS, MS = 1795168800000000000, 1795168800000  # the time AT, as nanoseconds and milliseconds since 1970


def otlp(texts: list[str]) -> Any:
    records = [{"timeUnixNano": str(NS), "severityText": "INFO", "body": {"stringValue": text}} for text in texts]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "cache"}}]}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": {}, "logRecords": records}]}]}


def rows_of_csv(texts: list[str]) -> str:
    quoted = ('"' + text.replace('"', '""') + '"' for text in texts)
    return "@timestamp,@message\n" + "".join(f"2026-11-20 10:00:00.000,{text}\n" for text in quoted)


# What the APIs and exports of log stores return: one document with many entries.
DOCUMENTS = {
    "OTLP": ("resourceLogs.scopeLogs.logRecords.body.stringValue", otlp),
    "CloudWatch": ("events.message", lambda texts: {"events": [{"timestamp": MS, "message": t} for t in texts]}),
    "CloudWatch export": (
        "logEvents.message", lambda texts: {"logEvents": [{"timestamp": MS, "message": t} for t in texts]}),
    "CloudWatch query": (
        "results.@message",
        lambda texts: {"results": [
            [{"field": "@timestamp", "value": AT}, {"field": "@message", "value": text}] for text in texts]}),
    "Loki": (
        "data.result.values.1",
        lambda texts: {"status": "success", "data": {"resultType": "streams", "result": [
            {"stream": {"app": "cache"}, "values": [[str(NS), text] for text in texts]}]}}),
    "Datadog": (
        "data.attributes.message",
        lambda texts: {"data": [{"id": "A", "attributes": {"timestamp": AT, "message": text}} for text in texts]}),
    "Google Cloud": ("textPayload", lambda texts: [{"timestamp": AT, "textPayload": text} for text in texts]),
    "Elasticsearch": (
        "hits.hits._source.message",
        lambda texts: {"hits": {"hits": [{"_source": {"@timestamp": AT, "message": text}} for text in texts]}}),
    "two levels": ("message.log", lambda texts: [{"message": json.dumps({"log": t, "time": AT})} for t in texts]),
}  # fmt: skip
TEXTS = ["server started", *(json.dumps(event(hash=f"h{number}")) for number in range(3)), "{broken", REQUEST]


@pytest.mark.parametrize("layout", ["line", "indented", "two in a line", "two lines"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_with_many_entries(name: str, layout: str, cli: Cli, log: Any) -> None:
    place, wrap = DOCUMENTS[name]
    document = json.dumps(wrap(TEXTS), indent=2 if layout == "indented" else None)
    second = json.dumps(wrap([json.dumps(event(hash="second"))]))
    path = log(document + {"two in a line": second, "two lines": f"\n{second}\n"}.get(layout, ""), "out.json")
    refused = cli("stats", path)
    assert (refused.code, f"--map body={place} reaches it" in refused.err) == (3, True)
    result = report_of(cli, "sql", path, "--map", f"body={place}", "SELECT hash, timestamp FROM events")
    hashes = ["h0", "h1", "h1", "h2", *(["second"] if layout.startswith("two") else [])]
    assert sorted(tuple(row.values()) for row in result.table("result")) == [(hash_, AT) for hash_ in hashes]
    assert f"entries: {len(TEXTS) + layout.startswith('two')}; line numbers in messages count these" in result.err
    assert "out.json:5: " in result.err, "the entry of the broken one"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_that_is_cut_off_gives_its_complete_entries(name: str, cli: Cli, log: Any) -> None:
    place, wrap = DOCUMENTS[name]
    document = json.dumps(wrap([json.dumps(event(hash=f"h{number}")) for number in range(4)]))
    path = log(document[: document.index("h3")], "out.json")
    result = report_of(cli, "stats", path, "--map", f"body={place}")
    assert (result.json["input"]["kept"], result.json["input"]["rejected"]) == (3, 1)


def test_a_column_of_csv(cli: Cli, log: Any) -> None:
    path = log(rows_of_csv(TEXTS), "out.csv")
    assert "--map body=@message reaches it" in cli("stats", path).err
    result = report_of(cli, "sql", path, "--map", "body=@message", "SELECT hash, timestamp FROM events")
    assert [tuple(row.values()) for row in result.table("result")] == [
        (hash_, AT) for hash_ in ("h0", "h1", "h2", "h1")
    ]
    assert "out.csv:6: " in result.err, "the line of the broken one"


def test_documents_of_other_kinds_take_no_time(log: Any, cli: Cli) -> None:
    """Thousands of keys are not tried one by one."""
    path = log(
        json.dumps({f"package-{number}": {"integrity": "x" * 90} for number in range(9000)}, indent=1), "lock.json"
    )
    assert "not an event log" in cli("stats", path).err


@pytest.mark.parametrize("indent", [None, 2])
def test_logged_requests_in_a_document(indent: int | None, cli: Cli, log: Any) -> None:
    """Google Cloud returns the entries of a load balancer as an array, Azure below `records`."""
    entries = [
        {"timestamp": AT, "httpRequest": {
            "requestMethod": "GET", "requestUrl": f"https://cache.example.com/v8/artifacts/h{number}?slug=acme",
            "status": status, "remoteIp": "10.0.0.5", "responseSize": "512"}}
        for number, status in enumerate([200, 404])
    ]  # fmt: skip
    for place, document in ((".", entries), ("records", {"records": entries})):
        path = log(json.dumps(document, indent=indent), "entries.json")
        assert f"--map body={place} reaches it" in cli("stats", path).err
        totals = report_of(cli, "stats", path, "--map", f"body={place}").table("totals")[0]
        assert (totals["remote_hits"], totals["misses"], totals["sessions"]) == (1, 1, 1)


def test_a_document_of_events(cli: Cli, log: Any) -> None:
    path = log(json.dumps({"page": 1, "events": [event(hash=f"h{n}") for n in range(3)]}, indent=1), "page.json")
    assert "--map body=events reaches it" in cli("stats", path).err
    assert report_of(cli, "stats", path, "--map", "body=events").table("totals")[0]["events"] == 3


def test_an_access_log_of_an_unknown_form_is_refused_with_a_form_that_is_read(cli: Cli, log: Any) -> None:
    line = '2026-11-20T10:00:00Z app[router]: at=info method=GET path="/v8/artifacts/h1?slug=acme" status=200'
    refused = cli("stats", log(line + "\n", "router.log"))
    assert (refused.code, "requests in a form that is not read" in refused.err) == (3, True)
    example = refused.err[refused.err.index("{") : refused.err.rindex("}") + 1]
    assert report_of(cli, "stats", log(example, "example.ndjson")).table("totals")[0]["remote_hits"] == 1


def test_an_empty_key_is_no_place(cli: Cli, log: Any) -> None:
    line = json.dumps({"": EVENT})
    refused = cli("stats", log(f"{line}\nhash {EVENT}\n", "out.log"))
    assert (refused.code, "Traceback" in refused.err) == (3, False)


def test_a_prefix_before_the_time(cli: Cli, log: Any) -> None:
    """The letter that ends the time also stands in a name before it."""
    for prefix in ("cache-Z1  | ", "[pod/cacheZ/app] "):
        path = log(f"{prefix}2026-11-20T10:00:00.000000000Z {EVENT}\n" * 2, "out.log")
        row = {"hash": "h1", "timestamp": AT}
        result = report_of(cli, "sql", path, "--map", "body=Z", "SELECT hash, timestamp FROM events")
        assert result.table("result") == [row, row]


def test_prefixes_of_each_line_alone_can_be_removed(cli: Cli, log: Any) -> None:
    path = log(f"a1 [11] {EVENT}\nb2 (22) {EVENT}\n", "out.log")
    assert f"remove it: sed 's/^[^{{[]*//' {path} > {path}.ndjson" in cli("stats", path).err


@pytest.mark.parametrize(("times", "found"), [
    ({"timeUnixNano": "0", "observedTimeUnixNano": str(NS)}, AT), ({"observedTimeUnixNano": str(NS)}, AT),
    ({"timeUnixNano": "0"}, None), ({"TimeGenerated": AT}, AT), ({"when": AT}, None),
])  # fmt: skip
def test_times_of_the_wrapper(times: dict[str, str], found: str | None, cli: Cli, log: Any) -> None:
    path = log(json.dumps({**times, "body": {"stringValue": json.dumps(event())}}), "out.json")
    place, query = ["--map", "body=body.stringValue"], "SELECT timestamp FROM events"
    assert report_of(cli, "sql", path, *place, query).table("result") == [{"timestamp": found}]
    if "when" in times:
        result = report_of(cli, "sql", path, *place, "--map", "timestamp=when", query)
        assert (result.table("result"), "although" in result.err) == ([{"timestamp": AT}], False)


def test_a_line_as_a_list_of_bytes(cli: Cli, log: Any) -> None:
    """journald writes lines with colors so."""
    message = list(f"\x1b[32m{EVENT}\x1b[0m".encode())
    path = log(json.dumps({"MESSAGE": message}) + "\n" + json.dumps({"MESSAGE": EVENT}) + "\n", "out.json")
    assert report_of(cli, "stats", path, "--map", "body=MESSAGE").table("totals")[0]["events"] == 2


def test_an_indented_array_of_entries_with_events(cli: Cli, log: Any) -> None:
    entries = [{"insertId": "a", "timestamp": AT, "jsonPayload": json.loads(REQUEST)}] * 2
    path = log(json.dumps(entries, indent=1), "out.json")
    assert "--map body=jsonPayload reaches it" in cli("stats", path).err
    assert report_of(cli, "stats", path, "--map", "body=jsonPayload").table("totals")[0]["events"] == 2


def test_a_directory_without_a_log_says_why(cli: Cli, log: Any) -> None:
    path = log(WRAPPERS["docker"][1](EVENT) + "\n", "out.log")
    assert (
        f"{path}: a log that stands inside of another one; --map body=log reaches it" in cli("stats", path.parent).err
    )
