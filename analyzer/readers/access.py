"""Reads access logs of a cache server or its proxy, and derives lookups from the requests for artifacts.

A GET that is answered with 200 is a REMOTE HIT, one with 404 a REMOTE MISS. There is no session: requests of one client
address and team belong together until the client pauses, or asks for a hash again, which no run does. There is no local
cache and no duration. A PUT is an upload, which tells why a later lookup misses. Both may show the artifact's size.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from analyzer.readers import requests
from analyzer.readers.item import (
    NOT_JSON,
    OTHER_TRAFFIC,
    TRANSFER,
    Item,
    ReaderOptions,
    decoded_lines,
    numbered,
    parse_strictly,
)

SESSION_PREFIX = "derived-"  # of sessions that no client reported
DOWNLOADED = 200
RESULTS = {DOWNLOADED: "HIT", 404: "MISS"}
UPLOADED = (200, 201, 202)
MAX_UNANSWERED = 10_000  # requests whose answer is logged on a later line
MAX_DIGITS = 15  # of a size in bytes
NOT_A_LINE = "not a line of an access log"

CLIENT_PLACES = (
    "http_x_forwarded_for", "x_forwarded_for", "remote_addr", "client_ip", "clientIp", "remote_ip", "request.client_ip",
    "request.remote_ip", "req.remoteAddress", "req.ip", "remoteAddress", "ClientHost", "REMOTE_ADDR", "ip",
    "requestContext.identity.sourceIp", "requestContext.http.sourceIp", "downstream_remote_address",
    "httpRequest.remoteIp", "client.ip", "ClientIP", "clientIP", "c-ip", "realip_remote_addr",
)  # fmt: skip
# How many bytes a request or its answer has: of the body where that is logged, else with the headers.
SIZE_PLACES = {
    "GET": (
        "body_bytes_sent", "size", "DownstreamContentSize", "http.response.body.bytes", "EdgeResponseBodyBytes",
        "httpRequest.responseSize", "bytes_sent", "sc-bytes", "responseLength", "res.headers.content-length",
        "resp_headers.Content-Length",
    ),
    "PUT": (
        "bytes_read", "RequestContentSize", "http.request.body.bytes", "httpRequest.requestSize", "bytes_received",
        "req.headers.content-length", "request.headers.Content-Length", "http_content_length", "content_length",
        "request_length", "ClientRequestBytes", "cs-bytes",
    ),
}  # fmt: skip
REQUEST_ID_PLACES = ("reqId", "requestId", "request_id")

_ARTIFACT = re.compile(r"/artifacts/([^/?#]+)/?")
_NOT_HASHES = ("events", "status")
# The common and combined formats of nginx and Apache: host, address, identity, user, time, request, status, bytes.
_COMBINED = re.compile(r'(?:\S+:\d+ )?(\S+) \S+ \S+ \[([^\]]+)\] "([A-Z]+ \S+[^"]*)" (\d{3})(?: (\S+)|$)')
# AWS Application Load Balancer: type, time, load balancer, client:port, target:port, three times, status, …
_LOAD_BALANCER = re.compile(
    r"(?:https?|h2|grpcs|wss?) (\S+Z) \S+ (\S+):\d+ \S+ \S+ \S+ \S+ (\d{3}|-) \S+ (\d+) (\d+)"
    r" \"([A-Z]+ \S+[^\"]*)\""
)


def has_artifact_requests(lines: Sequence[str]) -> bool:
    """Return whether some of the lines are requests for artifacts."""
    parser = LineParser()
    found = (parser.parse(line) for line in lines)
    return any(artifact_hash(request) is not None for request in found if not isinstance(request, str))


class Request(NamedTuple):
    """A logged request: its URL, the client's address, and the context of its events."""

    method: str
    url: str
    status: int | None
    client: str
    size_bytes: int | None
    context: dict[str, Any]


def read_access(chunks: Iterator[bytes], options: ReaderOptions) -> Iterator[Item]:
    """Yield an event for each logged request for an artifact; all other requests are other traffic."""
    return numbered(_items(chunks, options))


def _items(chunks: Iterator[bytes], options: ReaderOptions) -> Iterator[Item]:
    parser, sessions = LineParser(options.renamed), _Sessions(options.session_gap_seconds)
    for number, text in decoded_lines(chunks):
        request = parser.parse(text)
        if isinstance(request, str):
            if request:
                yield Item(number, None, text, problem=request)
            continue
        hash_ = artifact_hash(request)
        team = request.context.get("slug") or request.context.get("teamId")
        seconds = _epoch_seconds(request.context.get("timestamp"))
        is_upload = request.method == "PUT"
        transfer = {"seconds": seconds, "team": team, "is_upload": is_upload, "size_bytes": request.size_bytes}
        if hash_ is not None and is_upload and request.status in UPLOADED:
            yield Item(number, None, hash_, transfer, TRANSFER)
            continue
        if hash_ is None or request.method != "GET" or request.status not in RESULTS:
            yield Item(number, None, "", problem=OTHER_TRAFFIC)
            continue
        session = sessions.of(request.client, str(team or ""), hash_, seconds)
        lookup = {"sessionId": session, "source": "REMOTE", "event": RESULTS[request.status], "hash": hash_}
        yield Item(number, 1, json.dumps(lookup, separators=(",", ":")), request.context, raw=text)
        if request.status == DOWNLOADED and request.size_bytes:
            yield Item(number, None, hash_, transfer, TRANSFER)
    yield from (Item(number, None, "", problem=OTHER_TRAFFIC) for _ in parser.unanswered)


def artifact_hash(request: Request) -> str | None:
    """Return the hash of the artifact that a request is about; None if it is about none."""
    match = _ARTIFACT.search(urlsplit(request.url).path)
    return unquote(match[1]) if match and match[1] not in _NOT_HASHES else None


class LineParser:
    """Parses the lines of an access log in any supported format; `unanswered` are requests without an answer yet."""

    def __init__(self, renamed: Mapping[str, str] | None = None) -> None:
        self._renamed = renamed or {}
        self._columns: Sequence[str] = ()  # of CloudFront's and IIS' lines
        self.unanswered: dict[str, dict[str, Any]] = {}

    def parse(self, text: str) -> Request | str:
        """Return the request of a line, or a problem: OTHER_TRAFFIC if it has none, empty if its answer follows."""
        if text.startswith("{"):
            return self._parse_json(text)
        if text.startswith("#"):
            if text.startswith("#Fields:"):
                self._columns = text.removeprefix("#Fields:").split()
            return ""
        if self._columns:
            return self._parse_columns(text)
        if match := _LOAD_BALANCER.match(text):
            time, client, status, received, sent, line = match.groups()
            return _request({
                "timestamp": time, "remote_addr": client, "request": line, "status": status, "bytes_sent": sent,
                "bytes_received": received,
            })  # fmt: skip
        if match := _COMBINED.match(text):
            client, time, line, status, sent = match.groups()
            return _request({
                "time_local": time, "remote_addr": client, "request": line, "status": status, "body_bytes_sent": sent,
            })  # fmt: skip
        return NOT_A_LINE

    def _parse_columns(self, text: str) -> Request | str:
        values = dict(zip(self._columns, text.split(), strict=False))
        query = values.get("cs-uri-query", "-").removeprefix("-")
        return _request({
            "timestamp": f"{values.get('date')}T{values.get('time')}Z", "remote_addr": values.get("c-ip"),
            "method": values.get("cs-method"), "url": f"{values.get('cs-uri-stem', '')}?{query}",
            "status": values.get("sc-status"), "sc-bytes": values.get("sc-bytes"), "cs-bytes": values.get("cs-bytes"),
        })  # fmt: skip

    def _parse_json(self, text: str) -> Request | str:
        try:
            fields = {self._renamed.get(key, key): value for key, value in parse_strictly(text).items()}
        except ValueError:
            return NOT_JSON
        identifier = str(requests.find(fields, REQUEST_ID_PLACES) or "")
        if identifier and requests.find(fields, requests.PLACES["status"]) is None:
            if None in requests.method_and_url(fields):
                return OTHER_TRAFFIC  # a message about a request, such as an error
            # pino logs a request on one line, and its answer on a later one with the same id.
            self.unanswered[identifier] = fields
            if len(self.unanswered) <= MAX_UNANSWERED:
                return ""
            del self.unanswered[next(iter(self.unanswered))]
            return OTHER_TRAFFIC
        return _request(fields | self.unanswered.pop(identifier, {}))


def _request(fields: Mapping[str, Any]) -> Request | str:
    method, url = requests.method_and_url(fields)
    if method is None or url is None:
        return OTHER_TRAFFIC
    context = requests.context_of(fields, url)
    status = context.get("status")
    client = str(requests.find(fields, CLIENT_PLACES) or "").split(",")[0].strip()
    size = requests.find(fields, SIZE_PLACES.get(method, ()))
    size_bytes = (
        int(text) if (text := str(requests.first_value(size))).isdecimal() and len(text) <= MAX_DIGITS else None
    )
    return Request(method, url, status if isinstance(status, int) else None, client, size_bytes, context)


@dataclass(slots=True)
class _Session:
    name: str
    last_seconds: float
    hashes: set[str] = field(default_factory=set)


class _Sessions:
    """Assigns requests to derived sessions."""

    def __init__(self, gap_seconds: float) -> None:
        self._gap_seconds, self._sessions = gap_seconds, dict[tuple[str, str], _Session]()

    def of(self, client: str, team: str, hash_: str, seconds: float | None) -> str:
        """Return the name of the session that a request belongs to, at its time in seconds since 1970."""
        session = self._sessions.get((client, team))
        now = (session.last_seconds if session else 0.0) if seconds is None else seconds
        if session is None or now - session.last_seconds > self._gap_seconds or hash_ in session.hashes:
            # A digest instead of the address, which is personal data.
            key = hashlib.sha256(f"{client}\0{team}\0{now}\0{hash_}".encode("utf-8", "replace")).hexdigest()
            session = _Session(f"{SESSION_PREFIX}{key[:16]}", now)
            self._sessions[client, team] = session
        session.hashes.add(hash_)
        session.last_seconds = max(session.last_seconds, now)
        return session.name


def _epoch_seconds(time: Any) -> float | None:
    """Return a time of the context in seconds since 1970; None if it is unknown."""
    with suppress(ValueError, TypeError):
        if isinstance(time, int | float) or str(time).replace(".", "", 1).isdecimal():
            number = float(time)
            # As the archive reads times: the size of a number shows its unit.
            return number / next((10.0**power for power in (0, 3, 6) if number < 1e11 * 10**power), 1e9)
        moment = datetime.fromisoformat(time)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None
