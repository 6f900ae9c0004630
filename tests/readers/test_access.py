"""Access logs: lookups are derived from requests for artifacts, in every format that servers and proxies write."""

import json
from typing import Any

import pytest
from conftest import Cli, event, ndjson, report_of
from log_of_misses import run_of, task

import analyzer

AT = "2026-11-20T10:00:{:02}.000Z"


def path_of(name: str) -> str:
    return f"/v8/artifacts/{name}?slug=acme"


def combined(method: str, name: str, status: int, second: int, client: str) -> str:
    stamp = f"20/Nov/2026:11:00:{second:02} +0100"
    return f'{client} - - [{stamp}] "{method} {path_of(name)} HTTP/1.1" {status} 512 "-" "turbo 2.5.8"'


def nginx_json(method: str, name: str, status: int, second: int, client: str) -> str:
    line = {"time_iso8601": AT.format(second), "remote_addr": client, "request": f"{method} {path_of(name)} HTTP/1.1",
            "status": str(status), "http_x_artifact_client_ci": "JENKINS", "body_bytes_sent": "512",
            "request_length": "700"}  # fmt: skip
    return json.dumps(line)


def caddy(method: str, name: str, status: int, second: int, client: str) -> str:
    headers = {"X-Artifact-Client-Ci": ["JENKINS"]}
    request = {"remote_ip": client, "method": method, "uri": path_of(name), "headers": headers}
    return json.dumps({"ts": 1795168800 + second, "request": request, "status": status, "size": 512, "bytes_read": 700})


def traefik(method: str, name: str, status: int, second: int, client: str) -> str:
    return json.dumps({"ClientHost": client, "RequestMethod": method, "RequestPath": path_of(name),
                       "DownstreamStatus": status, "DownstreamContentSize": 512,
                       "RequestContentSize": 700, "StartUTC": AT.format(second)})  # fmt: skip


def load_balancer(method: str, name: str, status: int, second: int, client: str) -> str:
    return (
        f"https {AT.format(second)} app/lb/50dc6c495c0c9188 {client}:2817 10.0.0.1:80 0.086 0.048 0.037 {status}"
        f' {status} 700 512 "{method} https://cache.example.com:443{path_of(name)} HTTP/1.1" "turbo" ECDHE TLSv1.2'
    )


def cloudfront(method: str, name: str, status: int, second: int, client: str) -> str:
    return f"2026-11-20\t10:00:{second:02}\t{client}\t{method}\t/v8/artifacts/{name}\t{status}\tslug=acme\t512\t700"


def iis(method: str, name: str, status: int, second: int, client: str) -> str:
    return (
        f"2026-11-20 10:00:{second:02} 10.0.0.1 {method} /v8/artifacts/{name} slug=acme 443 - {client} turbo {status}"
    )


def pino(method: str, name: str, status: int, second: int, client: str) -> str:
    identifier = f"req-{name}-{second}"
    request = {"method": method, "url": path_of(name), "hostname": "cache", "remoteAddress": client, "remotePort": 1}
    incoming = {"level": 30, "time": 1795168800000 + second * 1000, "reqId": identifier, "req": request}
    completed = {"level": 30, "time": 1795168800900 + second * 1000, "reqId": identifier,
                 "res": {"statusCode": status}, "responseTime": 2.5}  # fmt: skip
    return (
        f"{json.dumps(incoming | {'msg': 'incoming request'})}\n{json.dumps(completed | {'msg': 'request completed'})}"
    )


IIS_FIELDS = (
    "#Software: Microsoft Internet Information Services 10.0\n#Fields: date time s-ip cs-method cs-uri-stem"
    " cs-uri-query s-port cs-username c-ip cs(User-Agent) sc-status\n"
)
FIELDS = "#Version: 1.0\n#Fields: date time c-ip cs-method cs-uri-stem sc-status cs-uri-query sc-bytes cs-bytes\n"
WRITERS = {
    "combined": ("", combined), "nginx JSON": ("", nginx_json), "Caddy": ("", caddy), "Traefik": ("", traefik),
    "load balancer": ("", load_balancer), "CloudFront": (FIELDS, cloudfront), "IIS": (IIS_FIELDS, iis),
    "pino": ("", pino),
}  # fmt: skip

# A run that hits a and misses b and uploads it; then another that hits both; a request that failed.
REQUESTS = [
    ("GET", "aaaa1111", 200, 1), ("GET", "bbbb2222", 404, 2), ("PUT", "bbbb2222", 202, 3), ("POST", "events", 200, 4),
    ("GET", "aaaa1111", 200, 10), ("GET", "bbbb2222", 200, 11), ("GET", "cccc3333", 500, 12),
]  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_lookups_of_every_format(name: str, cli: Cli, log: Any) -> None:
    head, write = WRITERS[name]
    path = log(head + "\n".join(write(*one, "10.0.0.5") for one in REQUESTS) + "\n", "access.log")
    result = report_of(cli, "stats", path, "--by", "session")
    totals = result.table("totals")[0]
    assert (totals["lookups"], totals["remote_hits"], totals["misses"], totals["sessions"]) == (4, 3, 1, 2)
    assert (totals["remote_hit_rate"], totals["local_hit_rate"], totals["time_saved_ms"]) == (0.75, None, None)
    assert all(row["session"].startswith("derived-") for row in result.table("by_session"))
    assert "lookups from access logs are derived from requests for artifacts" in result.err
    assert "requests or lines that report no events: 2" in result.err
    query = "SELECT hash, outcome, first_at, team FROM lookups ORDER BY first_at"
    rows = [tuple(row.values()) for row in report_of(cli, "sql", path, query).table("result")]
    assert rows == [
        ("aaaa1111", "remote_hit", AT.format(1), "acme"), ("bbbb2222", "miss", AT.format(2), "acme"),
        ("aaaa1111", "remote_hit", AT.format(10), "acme"), ("bbbb2222", "remote_hit", AT.format(11), "acme"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_sizes_of_artifacts(name: str, cli: Cli, log: Any) -> None:
    """Of a, downloaded only; of b, uploaded too; combined logs have no size of uploads, pino and IIS here none."""
    head, write = WRITERS[name]
    path = log(head + "\n".join(write(*one, "10.0.0.5") for one in REQUESTS) + "\n", "access.log")
    rows = report_of(cli, "sql", path, "FROM artifacts ORDER BY hash").table("result")
    found = {row["hash"]: (row["size_bytes"], row["uploads"], row["last_uploaded_at"]) for row in rows}
    a, b = {"pino": (None, None), "IIS": (None, None), "combined": (512, 512)}.get(name, (512, 700))
    expected = {"aaaa1111": (a, 0, None), "bbbb2222": (b, 1, AT.format(3))}
    assert found == {hash_: values for hash_, values in expected.items() if values[0] or values[1]}


def test_a_pause_or_another_client_is_another_session(cli: Cli, log: Any) -> None:
    requests = [
        ("GET", "a1", 404, 0, "10.0.0.1"),
        ("GET", "b1", 404, 1, "10.0.0.2"),
        ("GET", "c1", 404, 50, "10.0.0.1"),
    ]
    path = log("\n".join(combined(*one) for one in requests), "access.log")
    assert report_of(cli, "stats", path).table("totals")[0]["sessions"] == 2
    assert report_of(cli, "stats", path, "--session-gap", "30s").table("totals")[0]["sessions"] == 3
    with analyzer.load(path, session_gap=30) as opened:
        assert opened.stats()["sessions"].item() == 3
    assert "10.0.0.1" not in json.dumps(report_of(cli, "stats", path, "--by", "session").json["tables"])


def test_lines_of_another_kind_are_rejects(cli: Cli, log: Any) -> None:
    path = log(f"{combined('GET', 'a1', 200, 0, 'c')}\nServer listening on port 3000\n", "access.log")
    result = report_of(cli, "stats", path)
    assert (result.json["input"]["kept"], result.json["input"]["rejected"]) == (1, 1)
    assert "access.log:2: not a line of an access log: Server listening" in result.err


@pytest.mark.parametrize("events_first", [True, False])
def test_events_win_over_the_access_log_of_their_team_and_time(
    cli: Cli,
    log: Any,
    tmp_path: Any,
    events_first: bool,  # noqa: FBT001
) -> None:
    access = log("\n".join(combined(*one, "10.0.0.5") for one in REQUESTS), "access.log")
    other = log(combined("GET", "dddd4444", 404, 5, "10.0.0.5").replace("acme", "other"), "other.log")
    reported = log(ndjson([event(slug="acme", timestamp=AT.format(n)) for n in (0, 59)]))
    order = (reported, access) if events_first else (access, reported)
    whole = report_of(cli, "stats", *order, other, "--by", "team")
    assert {row["team"]: row["lookups"] for row in whole.table("by_team")} == {"acme": 1, "other": 1}
    note = "4 lookups derived from access logs are left out: events report the same team and time"
    assert note in whole.err
    for source in order:
        loaded = cli("load", source, "--into", tmp_path / "a.duckdb")
    assert note in loaded.err
    assert report_of(cli, "stats", tmp_path / "a.duckdb").table("totals")[0]["lookups"] == 1


def test_replay_never_sends_derived_events(cli: Cli, log: Any) -> None:
    access = log("\n".join(combined(*one, "10.0.0.5") for one in REQUESTS), "access.log")
    alone = cli("replay", access, "--api", "https://cache.example.com")
    assert (alone.code, "the input holds access logs only" in alone.err) == (2, True)
    reported = log(ndjson([event(slug="elsewhere")]))
    both = report_of(cli, "replay", access, reported, "--api", "https://cache.example.com")
    assert both.json["tables"][0]["rows"][0]["selected"] == 1


def test_uploads_tell_why_a_lookup_missed_again(cli: Cli, log: Any) -> None:
    """Of a and b, both missed twice: a was uploaded, and is gone; b never arrived. c was only uploaded."""
    requests = [
        ("GET", "a1", 404, 0), ("GET", "b1", 404, 1), ("PUT", "a1", 202, 2), ("PUT", "b1", 403, 3),
        ("PUT", "c1", 202, 4), ("GET", "a1", 404, 30), ("GET", "b1", 404, 31), ("GET", "c1", 404, 32),
    ]  # fmt: skip
    path = log("\n".join(combined(*one, "10.0.0.1") for one in requests), "access.log")
    result = report_of(cli, "misses", path, "--by", "hash", "--retention", "1")
    classes = {row["class"]: row["misses"] for row in result.table("classes")}
    assert classes == {"unknown_cold": 2, "evicted": 2, "repeat": 1}
    assert {row["hash"]: (row["evicted"], row["repeat"]) for row in result.table("top")} == {
        "a1": (1, 0), "b1": (0, 1), "c1": (1, 0),
    }  # fmt: skip


def test_metadata_and_summaries_give_durations(cli: Cli, log: Any, tmp_path: Any) -> None:
    access = log("\n".join(combined(*one, "10.0.0.5") for one in REQUESTS), "access.log")
    metadata = log('{"hash":"aaaa1111","duration":1500}', "aaaa1111-meta.json")
    run = log(run_of(1, [task("bbbb2222", "web", saved=200)]), "run.json")
    for order in ((access, metadata, run), (run, metadata, access)):
        (totals,) = report_of(cli, "stats", *order, "--view", "events").table("totals")
        assert (totals["remote_hits"], totals["time_saved_ms"], totals["duration_coverage"]) == (3, 3200, 1)
        for source in order:
            assert cli("load", source, "--into", tmp_path / f"{order[0].stem}.duckdb").code == 0
        archive = tmp_path / f"{order[0].stem}.duckdb"
        rows = report_of(cli, "sessions", archive).table("percentiles")
        assert [row["time_saved_ms"] for row in rows if row["percentile"] in ("p5", "p95")] == [1510, 1690]


@pytest.mark.parametrize("factor", [1, 1000, 1_000_000, 1_000_000_000])
def test_times_of_any_unit(factor: int, cli: Cli, log: Any) -> None:
    """Also of uploads, which are no events."""
    lines = [
        {"ClientIP": "10.0.0.5", "ClientRequestMethod": method, "ClientRequestURI": path_of("a1"),
         "EdgeResponseStatus": 200, "EdgeStartTimestamp": (1_795_168_800 + second) * factor}
        for second, method in ((0, "PUT"), (9, "GET"))
    ]  # fmt: skip
    path = log("\n".join(map(json.dumps, lines)), "edge.ndjson")
    query = "SELECT last_uploaded_at, (SELECT first_at FROM lookups) AS first_at FROM artifacts"
    assert report_of(cli, "sql", path, query).table("result") == [
        {"last_uploaded_at": AT.format(0), "first_at": AT.format(9)}
    ]


def test_the_time_may_have_another_name(cli: Cli, log: Any) -> None:
    line = {"at": AT.format(7), "ip": "10.0.0.7", "method": "GET", "url": path_of("a1"), "status": 200}
    path = log(json.dumps(line) + "\n", "access.ndjson")
    query = "SELECT first_at FROM lookups"
    assert report_of(cli, "sql", path, "--map", "timestamp=at", query).table("result") == [{"first_at": AT.format(7)}]
