"""The schema of a cache usage event and its envelope; readers, archive and output derive their columns from it.

An event is one item of the array that build clients send to `POST /v8/artifacts/events`. The envelope is what
a log adds to it: when the request arrived, whose it was, and what the server answered.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a table: its name, SQL type, unit (empty where it has none) and meaning."""

    name: str
    type: str
    unit: str
    description: str


API_FIELDS = (
    Field("sessionId", "VARCHAR", "", "one run of the build client; a UUID"),
    Field("source", "VARCHAR", "", "the cache that was asked: LOCAL or REMOTE"),
    Field("event", "VARCHAR", "", "what it answered: HIT or MISS"),
    Field("hash", "VARCHAR", "", "the artifact that was looked up"),
    Field("duration", "DOUBLE", "ms", "time the artifact took to generate; 0 on a HIT means unknown"),
)

ENVELOPE_FIELDS = (
    Field("timestamp", "TIMESTAMP", "UTC", "when the event was recorded: about the end of its run"),
    Field("teamId", "VARCHAR", "", "the team of the request, by id"),
    Field("slug", "VARCHAR", "", "the team of the request, by slug"),
    Field("ci", "VARCHAR", "", "the CI vendor the client detected; absent is not the same as a developer's machine"),
    Field("interactive", "BOOLEAN", "", "whether the client said that a person was at the terminal"),
    Field("status", "INTEGER", "", "the server's answer to the request; 0 where it closed without one"),
)

FIELDS = API_FIELDS + ENVELOPE_FIELDS
FIELD_NAMES = tuple(column.name for column in FIELDS)

DERIVED_FIELDS = ("team", "file", "position", "error")
"""What the relation `events` and dead letters have besides, and that is no news when it is read back."""

MAX_CI_LENGTH = 50
"""Characters the API takes in `x-artifact-client-ci`."""
