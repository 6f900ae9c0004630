"""The recordings of real clients, in every format, give what turbo itself printed."""

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import RECORDED, Cli, ndjson

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Requests = list[dict[str, Any]]


def flat(requests: Requests) -> list[dict[str, Any]]:
    """Each event with its envelope."""
    rows = []
    for request in requests:
        envelope = {
            "timestamp": request["received_at"],
            "teamId": request["query"].get("teamId"),
            "slug": request["query"].get("slug"),
            "ci": request["headers"].get("x-artifact-client-ci"),
            "status": request["status"],
        }
        rows += [
            event | {key: value for key, value in envelope.items() if value is not None} for event in request["body"]
        ]
    return rows


def as_csv(requests: Requests, delimiter: str = ",") -> bytes:
    text = io.StringIO()
    columns = ["sessionId", "source", "event", "hash", "duration", "timestamp", "teamId", "slug", "ci", "status"]
    writer = csv.DictWriter(text, columns, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(flat(requests))
    return text.getvalue().encode()


def as_parquet(requests: Requests) -> bytes:
    out = io.BytesIO()
    frame = pl.DataFrame(flat(requests), infer_schema_length=None)
    frame.with_columns(pl.col("timestamp").str.to_datetime(time_zone="UTC")).write_parquet(out)
    return out.getvalue()


def as_nginx(requests: Requests) -> bytes:
    lines = []
    for request in requests:
        query = "&".join(f"{key}={value}" for key, value in request["query"].items())
        line = {
            "time_iso8601": request["received_at"].replace("Z", "+00:00"),
            "request_method": "POST",
            "request_uri": f"{request['path']}?{query}",
            "status": str(request["status"]),
            "http_x_artifact_client_ci": request["headers"].get("x-artifact-client-ci", ""),
            "http_x_artifact_client_interactive": "",
            "request_body": json.dumps(request["body"]),
        }
        lines.append(json.dumps(line))
    return "\n".join(lines).encode()


ENCODINGS: dict[str, Callable[[Requests], bytes]] = {
    "requests": lambda _: (RECORDED / "requests.ndjson").read_bytes(),
    "har": lambda _: (RECORDED / "events.har").read_bytes(),
    "har pretty": lambda _: json.dumps(json.loads((RECORDED / "events.har").read_text()), indent=2).encode(),
    "ndjson": lambda requests: ndjson(flat(requests)).encode(),
    "ndjson spaced": lambda requests: "\r\n".join(map(json.dumps, flat(requests))).encode(),
    "ndjson with a BOM": lambda requests: b"\xef\xbb\xbf" + ndjson(flat(requests)).encode(),
    "batches": lambda requests: "\n".join(json.dumps(request["body"]) for request in requests).encode(),
    "array": lambda requests: json.dumps(flat(requests)).encode(),
    "array pretty": lambda requests: json.dumps(flat(requests), indent=4).encode(),
    "csv": as_csv,
    "tsv": lambda requests: as_csv(requests, "\t"),
    "parquet": as_parquet,
    "nginx": as_nginx,
}
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "gzip in two members": lambda data: gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :]),
    "zstd in two frames": lambda data: zstd.compress(data[: len(data) // 2]) + zstd.compress(data[len(data) // 2 :]),
}


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_format_gives_what_turbo_printed(
    cli: Cli, tmp_path: Path, requests: Requests, oracle: list[dict[str, Any]], encoding: str, compression: str
) -> None:
    path = tmp_path / "a log whose name [says] nothing"
    path.write_bytes(COMPRESSIONS[compression](ENCODINGS[encoding](requests)))
    result = cli("stats", path, "--by", "session", "--format", "json")
    assert result.code == 0
    assert result.err == ""
    by_session = {row["session"]: row for row in result.table("by_session")}
    runs = [run for run in oracle if run["sessions"]]
    assert len(by_session) == len(runs)
    for run in runs:
        row = by_session[run["sessions"][0]]
        cacheable = run["printed"]["total"] - run["summary"]["noncacheable"]
        assert (row["hits"], row["lookups"]) == (run["printed"]["cached"], cacheable), run["desc"]
        # A server that returns no durations leaves the time saved unknown; turbo prints 0 then.
        is_unknown = row["hits"] > 0 and row["duration_coverage"] == 0
        assert row["time_saved_ms"] == (None if is_unknown else run["summary"]["timeSaved_ms"]), run["desc"]
        assert not (is_unknown and run["summary"]["timeSaved_ms"])
        assert (row["local_hits"], row["remote_hits"]) == (run["summary"]["local_hits"], run["summary"]["remote_hits"])
    accounting = result.json["input"]
    assert accounting == {"read": 4115, "kept": 4115, "rejected": 0, "filtered": 0, "duplicate": 0, "files": 1}


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name != "batches"])
def test_every_format_keeps_team_ci_status_and_time(
    cli: Cli, tmp_path: Path, requests: Requests, encoding: str
) -> None:
    path = tmp_path / "log"
    path.write_bytes(ENCODINGS[encoding](requests))
    query = """SELECT team_id, slug, team, ci, interactive, status, timestamp, count(*) AS n FROM events
               GROUP BY ALL ORDER BY ALL"""
    found = cli("sql", path, query, "--format", "ndjson").out.splitlines()
    plain = tmp_path / "plain"
    plain.write_text(ndjson(flat(requests)))
    assert found == cli("sql", plain, query, "--format", "ndjson").out.splitlines()
    assert len(found) == 65


def test_bodies_alone_have_no_time(cli: Cli, tmp_path: Path, requests: Requests) -> None:
    path = tmp_path / "log"
    path.write_bytes(ENCODINGS["batches"](requests))
    by_day = cli("stats", path, "--by", "day", "--format", "json").table("by_day")
    assert [(row["day"], row["events"]) for row in by_day] == [("unknown", 4115)]
    filtered = cli("stats", path, "--since", "2020-01-01", "--format", "json")
    assert filtered.json["input"]["filtered"] == 4115
    assert "4,115 events without a time are excluded" in filtered.err
