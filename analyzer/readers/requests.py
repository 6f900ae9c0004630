"""Reads request logs, as recorders and reverse proxies write them: a JSON object per line, the events in its body.

Programs differ in how they name and nest what they log, so each part of a request is looked up in several places: see
`PLACES`. HAR shares what does not depend on the file: which requests report events, and what these take from them.
"""

import json
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from analyzer.readers.array import array_items
from analyzer.readers.item import (
    NOT_JSON,
    OTHER_TRAFFIC,
    WHITESPACE,
    Item,
    ReaderOptions,
    decoded_lines,
    numbered,
    parse_strictly,
    skip_space,
    value_end,
)

EVENTS_PATH = "/artifacts/events"
CI_HEADER = "x-artifact-client-ci"
INTERACTIVE_HEADER = "x-artifact-client-interactive"

# Where each part of a request stands, as paths into nested objects; the first that has a value counts. In this order:
# our own recorder and nginx; Caddy, Express and pino (`request.…`, `req.…`); AWS API Gateway, ALB and Lambda; Traefik;
# Envoy; WSGI; Google Cloud; the Elastic Common Schema; Fastly; Cloudflare; CloudFront.
PLACES: dict[str, Sequence[str]] = {
    "body": ("body", "request_body", "requestBody", "request.body", "req.body", "http.request.body.content"),
    "method": ("method", "request_method", "request.method", "req.method", "httpMethod", "requestContext.http.method",
               "RequestMethod", "REQUEST_METHOD", "requestMethod", "httpRequest.requestMethod", "http.request.method",
               "ClientRequestMethod", "cs-method"),
    "url": ("path", "url", "request_uri", "uri", "originalUrl", "request.uri", "request.url", "request.path", "req.url",
            "req.originalUrl", "rawPath", "requestContext.http.path", "RequestPath", "PATH_INFO",
            "httpRequest.requestUrl", "url.original", "url.path", "url.full", "ClientRequestURI",
            "ClientRequestPath", "originalRequestUriWithArgs", "cs-uri-stem"),
    "query": ("query", "args", "query_string", "request.query", "req.query", "queryStringParameters",
              "multiValueQueryStringParameters", "rawQueryString", "QUERY_STRING", "url.query"),
    "headers": ("headers", "request.headers", "req.headers", "multiValueHeaders", "request_headers", "requestHeaders",
                "http.request.headers"),
    "status": ("status", "statusCode", "response.status", "res.statusCode", "res.status", "response.statusCode",
               "DownstreamStatus", "response_code", "elb_status_code", "httpRequest.status",
               "http.response.status_code", "response_status", "status_code", "http_status", "httpStatus",
               "EdgeResponseStatus", "sc-status"),
    "time": ("timestamp", "received_at", "time_iso8601", "time", "ts", "requestContext.requestTimeEpoch",
             "requestContext.timeEpoch", "requestContext.requestTime", "StartUTC", "StartLocal", "start_time", "msec",
             "time_local", "@timestamp", "datetime", "EdgeStartTimestamp", "requestTimeEpoch", "requestTime",
             "started_at"),
}  # fmt: skip
_NAME_KEYS = ("name", "key", "field")
REQUEST_LINES = ("request", "req", "request_line")  # the method and URL in one text, such as `POST /path HTTP/1.1`
BODY_KEYS = {place.rpartition(".")[2] for place in PLACES["body"]}
BASE64_FLAG = "isBase64Encoded"  # of AWS

_BODY_NOT_LOGGED = "the request's body was not logged"
_NGINX_REMEDY = " (nginx: raise client_body_buffer_size)"
_NGINX_ESCAPES = " (nginx: log_format needs escape=json)"
_BODY_NOT_ARRAY = "the request's body is not a JSON array"
_REQUEST_LINE = re.compile(r"([A-Z]+) (\S+)( HTTP/[0-9.]+)?")
_KEY = re.compile(r'[ \t\r\n]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*')
_OBJECT_END = re.compile(r"[ \t\r\n]*\}[ \t\r\n]*")
_STATUS = re.compile(r"[0-9]{1,9}")
_CLF_TIME = "%d/%b/%Y:%H:%M:%S %z"  # of the common log format: 20/Nov/2026:10:00:00 +0000


class RequestError(ValueError):
    """A logged request is JSON but cannot be read; the message is the reason for its reject."""


def read_requests(chunks: Iterator[bytes], options: ReaderOptions) -> Iterator[Item]:
    """Yield each event of each logged request; requests that report no events are other traffic."""
    lines = decoded_lines(chunks)
    return numbered(item for number, text in lines for item in _line_items(number, text, options.renamed))


def _line_items(number: int, text: str, renamed: Mapping[str, str]) -> Iterator[Item]:
    try:
        logged, bodies = _parse_line(text, PLACES["body"])
        fields = {renamed.get(key, key): value for key, value in logged.items()}
        place = next((place for place in PLACES["body"] if place in bodies), None)
        method, url = method_and_url(fields)
        reports_events = is_events_request(method, url)
        context = context_of(fields, url)
        body = decode_body(bodies.get(place or "", ""), is_base64=fields.get(BASE64_FLAG) is True)
    except (ValueError, RecursionError) as error:
        problem = NOT_JSON + (_NGINX_ESCAPES if "\\x22" in text else "")
        yield Item(number, None, text, problem=str(error) if isinstance(error, RequestError) else problem)
        return
    if place is None and {"sessionId", "hash"} <= fields.keys():
        yield Item(number, None, text, problem="an event where a request is expected")
    elif not reports_events or (place is None and url is None):
        yield Item(number, None, "", problem=OTHER_TRAFFIC)
    else:
        yield from body_items(number, body, context, _NGINX_REMEDY if place == "request_body" else "")


def _parse_line(text: str, places: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of an object, except those at `places`, and the JSON text of these: rejects quote it as logged.

    Raises:
        ValueError: the text is not strict JSON.
    """
    fields: dict[str, Any] = {}
    texts: dict[str, str] = {}
    for key, value in _object_members(text).items():
        inner_places = [place.removeprefix(f"{key}.") for place in places if place.startswith(f"{key}.")]
        if key in places:
            texts[key] = value
        elif inner_places and value.startswith("{"):
            fields[key], inner_texts = _parse_line(value, inner_places)
            texts |= {f"{key}.{place}": inner for place, inner in inner_texts.items()}
        else:
            fields[key] = parse_strictly(value)
    return fields, texts


def find(fields: Mapping[str, Any], places: Sequence[str]) -> Any:
    """Return the first value at `places` that is neither absent nor empty.

    >>> find({"req": {"url": "/a"}, "path": ""}, ("path", "req.url"))
    '/a'
    """
    values = (_value_at(fields, place) for place in places)
    return next((value for value in values if value not in (None, "", "-")), None)


def has_body(fields: Mapping[str, Any]) -> bool:
    """Return whether a logged object has a body, which may be empty. Log records have objects that they call `body`."""
    bodies = [_value_at(fields, place) for place in PLACES["body"]]
    has_url = find(fields, PLACES["url"]) is not None
    return any(body is not None and (has_url or isinstance(body, str | list)) for body in bodies)


def _value_at(fields: Any, place: str) -> Any:
    if not isinstance(fields, Mapping):
        return None
    key, _, rest = place.partition(".")
    # The Elastic Common Schema is logged nested, or flat with dots in its keys.
    return _value_at(fields.get(key), rest) if rest and place not in fields else fields.get(place)


def _object_members(text: str) -> dict[str, str]:
    """Return the JSON text of each value of an object, by key: rejects quote events as logged, with duplicate keys."""
    members: dict[str, str] = {}
    position = skip_space(text, 0) + 1
    if text[position - 1 : position] != "{":
        raise RequestError("not a JSON object")
    while match := _KEY.match(text, position):
        key, start = json.loads(match[1]), match.end()
        if key in members:
            raise RequestError(f'duplicate key "{key}"')
        end = value_end(text, start)
        members[key], position = text[start:end], skip_space(text, end)
        if text[position : position + 1] != ",":
            break
        position += 1
    if not _OBJECT_END.fullmatch(text, position):
        raise json.JSONDecodeError("expected a member or the end of the object", text, position)
    return members


def method_and_url(fields: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the method and URL of a logged request, as far as they were logged."""
    method, url = find(fields, PLACES["method"]), find(fields, PLACES["url"])
    match = _REQUEST_LINE.fullmatch(str(find(fields, REQUEST_LINES)))
    method, url = (method or match[1], url or match[2]) if match else (method, url)
    return method if isinstance(method, str) else None, url if isinstance(url, str) else None


def context_of(fields: Mapping[str, Any], url: str | None) -> dict[str, Any]:
    """Return the envelope that a logged request gives its events."""
    logged = find(fields, PLACES["query"])
    named = parse_query(f"?{logged.lstrip('?')}") if isinstance(logged, str) else named_values(logged)
    flat = {key: fields[key] for key in ("teamId", "slug") if key in fields}
    query = flat | parse_query(url or "") | {key: first_value(value) for key, value in named.items()}
    # nginx logs a header as http_x_artifact_client_ci, Traefik as request_X-Artifact-Client-Ci, and so on.
    by_name = {key.lower().replace("_", "-"): value for key, value in fields.items()}
    by_name |= {key.lower(): value for key, value in named_values(find(fields, PLACES["headers"])).items()}
    headers = {
        header: first_value(value)
        for header, key in ((CI_HEADER, "ci"), (INTERACTIVE_HEADER, "interactive"))
        for name, value in ((key, fields.get(key)), *by_name.items())
        if name == key or name.endswith(header)
    }
    return request_context(query, headers, find(fields, PLACES["status"]), _time(find(fields, PLACES["time"])))


def _time(value: Any) -> Any:
    """Return a time as the archive reads it; a time of the common log format becomes ISO 8601."""
    with suppress(ValueError):
        if isinstance(value, str) and "/" in value:
            return datetime.strptime(value, _CLF_TIME).astimezone(UTC).isoformat()
    return value


def first_value(value: Any) -> Any:
    """Return the first of a list of values, else the value itself."""
    return value[0] if isinstance(value, list) and value else value


def decode_body(body: str, *, is_base64: bool) -> str:
    """Return the JSON text of a body that was logged as JSON, as a string, or as a string in base64.

    Raises:
        ValueError: it is said to be base64, but is neither that nor JSON.
    """
    text = parse_strictly(body) if body.startswith('"') else body
    # Some recorders say base64 of a body that they log as it is.
    return b64decode(text, validate=True).decode() if is_base64 and not text.lstrip().startswith("[") else text


def named_values(value: Any) -> dict[str, Any]:
    """Return headers or a query by name; empty if `value` lists them in no known way: they must never cost an event.

    A list may consist of pairs, of objects with name and value, of alternating names and values, or of header lines.
    The name may also be called `key` (OpenTelemetry, Envoy) or `field` (CloudWatch).

    >>> named_values([{"name": "A", "value": "1"}]), named_values([["A", "1"]]), named_values(["A", "1", "B", "2"])
    ({'A': '1'}, {'A': '1'}, {'A': '1', 'B': '2'})
    >>> named_values(["A: 1", "B: 2"]), named_values([{"name": ":authority", "value": "cache.example.com"}])
    ({'A': '1', 'B': '2'}, {':authority': 'cache.example.com'})
    """
    if isinstance(value, dict):
        return value
    entries = value if isinstance(value, list) else []
    if entries and all(isinstance(entry, str) and ": " in entry for entry in entries):
        entries = [entry.split(": ", 1) for entry in entries]
    elif entries and all(isinstance(entry, str) for entry in entries) and len(entries) % 2 == 0:
        entries = [list(pair) for pair in zip(entries[::2], entries[1::2], strict=True)]
    pairs: list[Any] = [[find(e, _NAME_KEYS), e.get("value")] if isinstance(e, dict) else e for e in entries]
    is_pairs = all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs)  # noqa: PLR2004
    return dict(pairs) if is_pairs else {}


def parse_query(url: str) -> dict[str, str]:
    """Return the query of a URL or path: the first value of each key, without empty values."""
    return {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}


def is_events_request(method: str | None, url: str | None) -> bool:
    """Return whether a request reports events; a method or URL that was not logged counts as matching.

    >>> is_events_request("POST", "/v8/artifacts/events?slug=a"), is_events_request("PUT", "/v8/artifacts/12ab")
    (True, False)
    """
    is_post = (method or "POST").upper() == "POST"
    return is_post and (url is None or urlsplit(url).path.rstrip("/").endswith(EVENTS_PATH))


def request_context(query: Mapping[str, Any], headers: Mapping[str, Any], status: Any, time: Any) -> dict[str, Any]:
    """Return the envelope that a request gives its events, without empty values; `headers` by lower-case name."""
    interactive = headers.get(INTERACTIVE_HEADER)
    context = {
        "timestamp": time,
        "teamId": query.get("teamId"),
        "slug": query.get("slug"),
        "ci": headers.get(CI_HEADER),
        "interactive": int(interactive) if interactive in ("0", "1") else interactive,
        "status": int(status) if isinstance(status, str) and _STATUS.fullmatch(status) else status,
    }
    return {key: value for key, value in context.items() if value not in (None, "", "-")}


def body_items(line: int, body: str, context: dict[str, Any], remedy: str = "") -> Iterator[Item]:
    """Yield the events of a request body, the JSON text of an array, each with the context of the request.

    `remedy` is what to do if the body was not logged.
    """
    text = body.strip(WHITESPACE)
    if not text.startswith("["):
        problem = _BODY_NOT_LOGGED + remedy if text in ("", "-", "null") else _BODY_NOT_ARRAY
        yield Item(line, None, body, context, problem)
        return
    for event, problem_of_item in array_items(text):
        yield Item(line, 1, event, context, problem_of_item)
