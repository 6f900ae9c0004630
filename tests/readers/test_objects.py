"""Logs in buckets and on web servers, read from a real S3 server and a real web server."""

import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import obstore
import pytest
from buckets import make_bucket, s3_server
from conftest import SAMPLE, Cli, event, ndjson
from loopback import served
from obstore.store import from_url

import analyzer
from analyzer.readers.objects import find_objects

EVENTS = [event(hash=f"h{n}", timestamp=f"2026-11-0{n % 7 + 1}T10:00:00Z") for n in range(30)]
VARIABLES = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with s3_server() as environment:
        make_bucket(environment, "logs")
        yield environment


@pytest.fixture
def bucket(server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty bucket `logs`."""
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    store = from_url("s3://logs", client_options={"allow_http": True})
    for batch in obstore.list(store):
        obstore.delete(store, [meta["path"] for meta in batch])
    return store


def stats(cli: Cli, *sources: object) -> tuple[dict[str, Any], str]:
    result = cli("stats", *sources, "--format", "json")
    assert result.code == 0, result.err
    return result.json["tables"][0]["rows"][0], result.err


def test_objects_are_read_as_files_are(bucket: Any, cli: Cli, tmp_path: Path) -> None:
    """One event a line, gzip, CSV, and a zip, with a damaged line, beside something that is no log."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inner/c.ndjson", ndjson(EVENTS[10:20]))
    table = "sessionId,source,event,hash,duration,timestamp\n"
    table += "".join(f"s1,LOCAL,HIT,{one['hash']},10,{one['timestamp']}\n" for one in EVENTS[20:])
    files = {
        "2026/11/a.ndjson": ndjson(EVENTS[:5]).encode() + b"damaged\n",
        "2026/11/b é.ndjson.gz": gzip.compress(ndjson(EVENTS[5:10]).encode()),
        "2026/11/c.zip": packed.getvalue(),
        "2026/11/d.csv": table.encode(),
        "2026/11/notes.txt": b"no log",
        "2026/11/.hidden.ndjson": ndjson(EVENTS).encode(),
    }
    for name, content in files.items():
        obstore.put(bucket, name, content)
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    remote, messages = stats(cli, "s3://logs/2026/11/")
    assert remote == stats(cli, tmp_path / "2026/11")[0]
    assert (remote["lookups"], remote["events"]) == (30, 30)
    assert "skipped (not an event log)" in messages.replace("file ", "")
    found = cli("load", "s3://logs", "--into", tmp_path / "a.duckdb", "--format", "json").table("files")
    assert [row["file"] for row in found] == [
        "s3://logs/2026/11/a.ndjson", "s3://logs/2026/11/b é.ndjson.gz", "s3://logs/2026/11/c.zip/inner/c.ndjson",
        "s3://logs/2026/11/d.csv",
    ]  # fmt: skip
    rejects = cli("sql", tmp_path / "a.duckdb", "SELECT file, line, reason FROM rejects", "--format", "ndjson").out
    assert json.loads(rejects) == {"file": "s3://logs/2026/11/a.ndjson", "line": 6, "reason": "not JSON"}
    # Loaded again, from the bucket or the disk: nothing is counted twice.
    again = cli("load", "s3://logs", tmp_path / "2026", "--into", tmp_path / "a.duckdb", "--format", "json").json
    assert again["input"]["duplicate"] == again["input"]["read"] > 0


def test_names_prefixes_and_patterns(bucket: Any) -> None:
    for name in ("2026/11/01/a.gz", "2026/11/02/b.gz", "2026/11/02/b.txt", "2026/12/c.gz", "2026x.gz"):
        obstore.put(bucket, name, b"x")

    def names(key: str) -> list[str]:
        return [found.path for found, _ in find_objects(f"s3://logs/{key}")]

    assert names("2026/11/") == names("2026/11") == ["2026/11/01/a.gz", "2026/11/02/b.gz", "2026/11/02/b.txt"]
    assert names("2026/11/*/*.gz") == ["2026/11/01/a.gz", "2026/11/02/b.gz"]
    assert names("2026/**/*.gz") == names("2026/**.gz") == ["2026/11/01/a.gz", "2026/11/02/b.gz", "2026/12/c.gz"]
    assert names("*.gz") == ["2026x.gz"]
    assert names("2026/11/0[!1]/?.gz") == ["2026/11/02/b.gz"]
    assert len(names("")) == 5
    assert [named for _, named in find_objects("s3://logs/2026/12/c.gz")] == [True]


def test_odd_names(bucket: Any, cli: Cli) -> None:
    names = ("odd/[1].ndjson", "odd/ü %20 #?&+.ndjson", "odd/*.ndjson")
    for name in names:
        obstore.put(bucket, name, ndjson(EVENTS).encode())
    obstore.put(bucket, "odd/folder", b"")  # as consoles make for directories
    for name in names:
        assert stats(cli, f"s3://logs/{name}")[0]["lookups"] == 30
    assert stats(cli, "s3://logs/odd")[0]["events"] == 30  # of one file: the others have the same content
    assert [one.path for one, _ in find_objects("s3://logs/odd/[[]*.ndjson")] == ["odd/[1].ndjson"]


@pytest.mark.parametrize(
    "source", ["s3://", "https://", "s3://logs/../x", "s3://logs//", "s3://logs/[z-a]*", "s3://logs/a//b.ndjson"]
)
def test_urls_that_are_none(source: str, bucket: Any, cli: Cli) -> None:  # noqa: ARG001
    result = cli("stats", source)
    assert (result.code, result.err.count("\n")) == (3, 1)


def test_an_endpoint_that_is_no_url(bucket: Any, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    assert "AWS_ENDPOINT_URL is no URL: nonsense" in cli("stats", "s3://logs/a").err


def test_python_reads_objects_too(bucket: Any) -> None:
    obstore.put(bucket, "a.ndjson", ndjson(EVENTS).encode())
    with analyzer.load("s3://logs/a.ndjson") as log:
        assert log.stats()["lookups"].item() == 30


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("s3://logs/none.ndjson", "s3://logs/none.ndjson: there is no such object, and none below it"),
        ("s3://logs/*.gz", "s3://logs/*.gz: no object matches this pattern"),
        ("s3://nowhere/a", "s3://nowhere/a: no such bucket; check its name and AWS_REGION"),
        ("az://container/a", "az://container/a: no storage account; set AZURE_STORAGE_ACCOUNT_NAME"),
    ],
)
def test_what_is_not_there(source: str, message: str, bucket: Any, cli: Cli) -> None:  # noqa: ARG001
    result = cli("stats", source)
    assert (result.code, result.err) == (3, f"error: {message}\n")


def test_one_missing_source_costs_no_other(bucket: Any, cli: Cli) -> None:
    obstore.put(bucket, "a.ndjson", ndjson(EVENTS).encode())
    result = cli("stats", "s3://nowhere/a", "s3://logs/a.ndjson", "--format", "json")
    assert (result.code, result.json["tables"][0]["rows"][0]["lookups"]) == (3, 30)


def test_no_credentials_are_asked_for_in_words(bucket: Any, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """Without credentials, those of the machine are asked for: here a server that has none."""
    for name in VARIABLES[1:3]:
        monkeypatch.delenv(name)
    with served(Missing) as url:
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", url)
        result = cli("stats", "s3://logs/a.ndjson")
    assert result.code == 3
    assert "no credentials; set those of the bucket in the environment, such as AWS_ACCESS_KEY_ID" in result.err


def test_credentials_that_are_not_valid(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server(INITIAL_NO_AUTH_ACTION_COUNT="0") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        result = cli("stats", "s3://logs/a.ndjson")
    assert result.err == (
        "error: s3://logs/a.ndjson: access is denied; check the credentials in the environment and their permissions\n"
    )


def test_a_server_that_is_not_there(bucket: Any, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    result = cli("stats", "s3://logs/a.ndjson")
    assert "it cannot be reached; check the network, and AWS_ENDPOINT_URL if it is set" in result.err


class Missing(BaseHTTPRequestHandler):
    """Answers 404 to everything, but `/log.ndjson?key=1`."""

    def do_GET(self) -> None:
        found = self.path == "/log.ndjson?key=1"
        body = ndjson(EVENTS).encode() if found else b"missing"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_GET  # noqa: N815  (the name that the server looks for)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_web_addresses(cli: Cli) -> None:
    with served(Missing) as url:
        assert stats(cli, f"{url}/log.ndjson?key=1")[0]["lookups"] == 30
        result = cli("stats", f"{url}/other.ndjson")
    assert (result.code, result.err) == (3, f"error: {url}/other.ndjson: no such object\n")


def test_an_archive_is_not_read_from_a_bucket(bucket: Any, cli: Cli, tmp_path: Path, sample_archive: Path) -> None:
    obstore.put(bucket, "cache.duckdb", sample_archive)
    result = cli("stats", "s3://logs/cache.duckdb")
    assert "an archive is read from a local disk; download it first" in result.err
    assert not list(tmp_path.iterdir())


class OtherRegion(BaseHTTPRequestHandler):
    """Answers as S3 does for a bucket that is in another region."""

    def do_GET(self) -> None:
        text = "the region 'us-east-1' is wrong; expecting 'eu-west-1'"
        body = f"<Error><Code>AuthorizationHeaderMalformed</Code><Message>{text}</Message></Error>".encode()
        self.send_response(400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


def test_a_bucket_in_another_region(bucket: Any, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    with served(OtherRegion) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        results = [
            cli("stats", "s3://logs/a/"),
            cli("export", SAMPLE / "recorded" / "capture.har", "--to", "s3://logs/lake"),
        ]
    for result in results:
        assert (result.code, "the bucket is in another region; set AWS_REGION" in result.err) == (3, True), result.err
