"""Defines the schema of a cache usage event, from which readers, archive and output derive their columns.

An event is an item of the array that build clients send to `POST /v8/artifacts/events`. Its envelope is what a log adds
to it: when the request arrived, from whom, and how the server answered.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an event: name, SQL type, unit (empty if it has none) and meaning."""

    name: str
    type: str
    unit: str
    description: str


API_FIELDS = (
    Field("sessionId", "VARCHAR", "", "one run of the build client; a UUID"),
    Field("source", "VARCHAR", "", "the cache that was asked: LOCAL or REMOTE"),
    Field("event", "VARCHAR", "", "its answer: HIT or MISS"),
    Field("hash", "VARCHAR", "", "the artifact that was looked up"),
    Field("duration", "DOUBLE", "ms", "time the artifact took to generate; 0 on a HIT means unknown"),
)

ENVELOPE_FIELDS = (
    Field("timestamp", "TIMESTAMP", "UTC", "when the event was recorded: about the end of its run"),
    Field("teamId", "VARCHAR", "", "the team of the request, by id"),
    Field("slug", "VARCHAR", "", "the team of the request, by slug"),
    Field("ci", "VARCHAR", "", "the CI vendor the client detected; its absence does not prove a developer's machine"),
    Field("interactive", "BOOLEAN", "", "whether the client reported a person at the terminal"),
    Field("status", "INTEGER", "", "HTTP status of the answer to the request; 0 if the connection closed without one"),
)

FIELDS = API_FIELDS + ENVELOPE_FIELDS
FIELD_NAMES = tuple(field.name for field in FIELDS)

# Columns that our own output adds to events; they are not unknown keys when that output is read again.
DERIVED_FIELDS = ("team", "file", "position", "error")
MAX_CI_LENGTH = 50  # characters that the API accepts in `x-artifact-client-ci`
