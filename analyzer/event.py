"""The schema of a cache usage event and its envelope; readers, archive and output derive their columns from it.

An event is one item of the array that build clients send to `POST /v8/artifacts/events`. The envelope is what
a log adds to it: when the request arrived, whose it was, and what the server answered.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its name, SQL type, unit (empty where it has none) and meaning."""

    name: str
    type: str
    unit: str
    description: str


API_COLUMNS = (
    Column("sessionId", "VARCHAR", "", "one run of the build client; a UUID"),
    Column("source", "VARCHAR", "", "the cache that was asked: LOCAL or REMOTE"),
    Column("event", "VARCHAR", "", "what it answered: HIT or MISS"),
    Column("hash", "VARCHAR", "", "the artifact that was looked up"),
    Column("duration", "DOUBLE", "ms", "time the artifact took to generate; 0 on a HIT means unknown"),
)

ENVELOPE_COLUMNS = (
    Column("timestamp", "TIMESTAMP", "UTC", "when the event was recorded: about the end of its run"),
    Column("teamId", "VARCHAR", "", "the team of the request, by id"),
    Column("slug", "VARCHAR", "", "the team of the request, by slug"),
    Column("ci", "VARCHAR", "", "the CI vendor the client detected; absent is not the same as a developer's machine"),
    Column("interactive", "BOOLEAN", "", "whether the client said that a person was at the terminal"),
    Column("status", "INTEGER", "", "the server's answer to the request; 0 where it closed without one"),
)

COLUMNS = API_COLUMNS + ENVELOPE_COLUMNS
NAMES = tuple(column.name for column in COLUMNS)

DERIVED = ("team", "file", "position", "error")
"""What the relation `events` and dead letters have besides, and that is no news when it is read back."""

MAX_CI_LENGTH = 50
"""Characters the API takes in `x-artifact-client-ci`."""
