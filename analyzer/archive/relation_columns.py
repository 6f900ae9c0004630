"""Describes the relations that users query, column by column; the relation `columns` shows the same in SQL.

A test compares the descriptions with the columns that the views of `schema` have.
"""

from dataclasses import dataclass

from analyzer.text import sql_text


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation: what one of its rows is, and a description of each column, in the order of its view."""

    row: str
    columns: dict[str, str]


_SESSION = "id of the session: one run of the build client"
_HASH = "the hash that was looked up, which identifies an artifact"
_CLIENT = {
    "slug": "slug of the team",
    "team": "slug of the team, or its id if there is no slug",
    "ci": "CI vendor that the client detected; null does not prove a developer's machine",
    "interactive": "whether the client reported a person at the terminal; null if it reported nothing",
}
_CONTEXT = {"team_id": "id of the team", **_CLIENT}
_NAME = {
    "task": "name of the task, if a run summary lists the hash",
    "package": "package of the task, if a run summary lists the hash",
}
_HIT_COUNTS = {
    "local_hits": "lookups with a LOCAL HIT",
    "remote_hits": "lookups with a REMOTE HIT and no LOCAL HIT",
}
_LOCAL_ONLY = "misses with a LOCAL MISS and no REMOTE event"
_RUN = {
    "branch": "branch of the repository",
    "sha": "commit of the repository",
    "user": "user who started the run",
}

RELATIONS = {
    "events": Relation(
        "an event that a client reported",
        {
            "session": _SESSION,
            "source": "the cache that was asked: LOCAL or REMOTE",
            "event": "its answer: HIT or MISS",
            "hash": _HASH,
            "duration": "milliseconds that the artifact took to generate; 0 on a HIT means unknown",
            "timestamp": "when the event was recorded (UTC), at about the end of its run",
            "team_id": "id of the team",
            **_CLIENT,
            "status": "HTTP status of the answer to the request; 0 if the connection closed without one",
            "file": "the file that has the event",
            "position": "its number among the items of that file, from 1",
        },
    ),
    "lookups": Relation(
        "a lookup: all events of one session and hash",
        {
            "session": _SESSION,
            "hash": _HASH,
            "outcome": "local_hit, remote_hit or miss",
            "local_only_miss": "whether it missed locally and has no REMOTE event",
            "duration_ms": "known duration of the task, if the lookup is a hit: the time that it saved",
            "first_at": "time of its first event (UTC)",
            "last_at": "time of its last event (UTC)",
            **_CONTEXT,
            **_NAME,
            "events": "number of its events, repeats included",
        },
    ),
    "sessions": Relation(
        "a session",
        {
            "session": _SESSION,
            "first_at": "time of its first event (UTC)",
            "last_at": "time of its last event (UTC)",
            **_CONTEXT,
            "events": "number of its events, repeats included",
            "lookups": "number of its lookups",
            "hits": "lookups with a HIT",
            **_HIT_COUNTS,
            "misses": "lookups without a HIT",
            "local_only_misses": _LOCAL_ONLY,
            "hit_rate": "hits / lookups",
            "time_saved_ms": "sum of the known durations of its hits; null if it has hits, but none with a duration",
            "run": "id of the run, if a run summary matches the session",
            **_RUN,
            "command": "command line of the run",
        },
    ),
    "session_quarters": Relation(
        "the counts of a session in a quarter of an hour and one team, CI vendor and terminal",
        {
            "session": _SESSION,
            "quarter_at": "start of the quarter of an hour (UTC)",
            "is_whole_session": "whether this is the only row of the session",
            "events": "events, repeats included",
            "lookups": "lookups whose first event is in the quarter",
            **_HIT_COUNTS,
            "local_only_misses": _LOCAL_ONLY,
            "asked_local": "lookups with any LOCAL event",
            "asked_remote": "lookups with any REMOTE event",
            "had_remote_hit": "lookups with a REMOTE HIT, also if they have a LOCAL HIT",
            "had_local_miss": "lookups with a LOCAL MISS",
            "asked_remote_after_local_miss": "lookups with a LOCAL MISS and any REMOTE event",
            "timed_local_hits": "local hits with a known duration",
            "timed_remote_hits": "remote hits with a known duration",
            "time_saved_ms": "sum of the known durations of hits; 0 if none is known",
            "first_at": "time of the first event (UTC)",
            "last_lookup_at": "time of the first event of the last lookup (UTC)",
            "last_at": "time of the last event (UTC)",
            **_CONTEXT,
        },
    ),
    "runs": Relation(
        "a run, from its summary",
        {
            "id": "id of the run",
            "command": "command line of the run",
            **_RUN,
            "started_at": "when it began (UTC)",
            "ended_at": "when it ended (UTC)",
            "exit_code": "exit code of the run",
            "version": "version of turbo",
            "session": "the session that matches the run, if there is one",
            "file": "the file that has the summary",
        },
    ),
    "tasks": Relation(
        "a task that a run summary lists",
        {
            "run": "id of the run",
            "task": "name of the task",
            "package": "package of the task",
            "hash": "hash of the task",
            "outcome": "local_hit, remote_hit or miss; null if the task was not looked up",
            "time_saved_ms": "time that the hit saved, as turbo computed it",
            "execution_ms": "how long the task ran; null for a hit",
            "cacheable": "whether turbo caches the task",
            "forced": "whether the run was forced, which looks nothing up",
            "exit_code": "exit code of the task",
        },
    ),
    "inputs": Relation(
        "an input of a hash: something that the hash of a task in a run was computed from",
        {
            "run": "id of the run",
            "task": "name of the task; null for an input that all tasks of the run share",
            "package": "package of the task; null for an input that all tasks of the run share",
            "kind": "kind of input, such as file or variable; see the kinds of causes",
            "name": "name of the input, such as a path or the name of a variable",
            "value": "digest of its content; the hash, if the input is a task that this one depends on",
        },
    ),
    "artifacts": Relation(
        "an artifact that access logs or metadata of the local cache show",
        {
            "hash": "hash of the artifact",
            **_NAME,
            "size_bytes": "size of the artifact, if an access log has it",
            "duration_ms": "how long its task took, from metadata of the local cache",
            "uploads": "number of its uploads in access logs",
            "last_uploaded_at": "time of the last upload (UTC)",
        },
    ),
    "files": Relation(
        "a file that was read",
        {
            "file": "path or name of the file",
            "format": "its format",
            "compression": "its compression: none, gzip or zstd",
            "digest": "digest of the decompressed content, by which a file is recognised",
            "size_bytes": "size after decompression",
            "read": "events read, valid or not",
            "kept": "events that were valid",
            "rejected": "items that are not valid events",
            "unknown_keys": "keys of events that are no column and were ignored",
            "damage": "what is wrong with the compressed data, if anything is",
            "loaded_at": "when the file was loaded (UTC)",
            "forgotten": "events and runs that `forget` removed since",
        },
    ),
    "rejects": Relation(
        "a line or item that is not a valid event",
        {
            "file": "the file that has it",
            "line": "number of the line, from 1",
            "item": "number of the item in the line, from 1; null if it is the whole line",
            "reason": "why it was rejected",
            "text": "the beginning of its text",
        },
    ),
}

_ROWS = ", ".join(
    f"({sql_text(name)}, {sql_text(column)}, {sql_text(description)})"
    for name, relation in RELATIONS.items()
    for column, description in relation.columns.items()
)
COLUMNS_VIEW = f"CREATE VIEW columns AS SELECT * FROM (VALUES {_ROWS}) AS x(relation, name, description);"
