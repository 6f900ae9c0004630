"""Reads log files into the table `staged`: through DuckDB, or through the Python reader of their format.

DuckDB reads NDJSON and Parquet itself. The items of other formats are found in Python and written to an item file,
which is NDJSON with a line for each item. Either way, SQL gives raw rows of events (see `event_validation`).
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import duckdb

from analyzer.archive.accounting import FileReport
from analyzer.archive.event_validation import REJECT_INNER_DUPLICATES, STAGE_EVENTS
from analyzer.errors import Option, UnreadableError, UsageError
from analyzer.event import DERIVED_FIELDS, ENVELOPE_FIELDS, FIELD_NAMES
from analyzer.readers.delimited import NUMBER, NUMERIC_COLUMNS, simple_header
from analyzer.readers.formats import FORMATS
from analyzer.readers.item import (
    BOM,
    CUT_OFF,
    MAX_ITEM_BYTES,
    MAX_REJECT_CHARS,
    NOT_UTF8,
    OTHER_TRAFFIC,
    TOO_LONG,
    TRANSFER,
    Item,
    ReaderOptions,
    decoded_lines,
)
from analyzer.readers.stream import Stream
from analyzer.text import replace_surrogates, sql_text
from analyzer.validation import MAX_MEMORY_MB, MIN_MEMORY_MB, require_number, require_utf8

MIN_PIECE_BYTES = 1 << 22
MAX_LINE_BYTES = 1 << 18  # of CSV that DuckDB reads: each of its threads holds several

BODY = "body"  # in `columns`: where a wrapped log stands
MAPPED_NAMES = (*FIELD_NAMES, BODY)
_ENVELOPE_NAMES = {column.name for column in ENVELOPE_FIELDS}
_CONTEXT_TYPE = "STRUCT(" + ", ".join(f'"{name}" JSON' for name in sorted(_ENVELOPE_NAMES)) + ")"

# `context` has the values of the request around an event, which apply where the event has none.
_ITEM_COLUMNS = {"line": "BIGINT", "item": "BIGINT", "problem": "VARCHAR", "text": "VARCHAR",
                "display_text": "VARCHAR", "context": _CONTEXT_TYPE}  # fmt: skip

_LINES = f"""
SELECT NULL::BIGINT AS line, 1::BIGINT AS item, CASE WHEN json IS NULL THEN 'not JSON' END AS problem,
       json::VARCHAR AS text, json::VARCHAR AS display_text, NULL::{_CONTEXT_TYPE} AS context, json
FROM read_ndjson_objects($path, compression=$compression, ignore_errors=true)
"""

_ITEMS = """
SELECT * REPLACE (coalesce(problem, CASE WHEN json IS NULL THEN 'not JSON' END) AS problem,
                  coalesce(display_text, text) AS display_text)
FROM (SELECT *, CASE WHEN problem IS NULL THEN try_cast(text AS JSON) END AS json
      FROM read_json($path, format='newline_delimited', columns=$columns, compression=$compression,
                     auto_detect=false, hive_partitioning=false))
"""

# DuckDB may write a fractional number longer than it is in the file (1e3 as 1000.0): then the length proves nothing.
_FROM_JSON = """
SELECT line, item, problem, text, display_text, {fields}, strlen(text) > {max_bytes} AS is_too_long,
       strlen(text) <> {compact_bytes} OR contains(duration, '.') OR (timestamp >= '#' AND contains(timestamp, '.'))
           AS may_have_more_keys
FROM (SELECT *, json_transform(json, $structure) AS record FROM ({source}))
"""

# `text` has the keys that are no known column, which is all that it is needed for.
_CSV = """
SELECT line, 1::BIGINT AS item, display_text, {fields}, false AS is_too_long, unknown <> '' AS may_have_more_keys,
       CASE WHEN len(fields) <> {width} THEN len(fields) || ' fields where the header has {width}' END AS problem,
       CASE WHEN unknown = '' THEN '{{}}' ELSE '{{' || unknown || ':0}}' END AS text
FROM (SELECT *, {unknown} AS unknown
      FROM (SELECT row_number() OVER () AS line,
                   CASE WHEN ends_with(line, chr(13)) THEN line[:-2] ELSE line END AS display_text,
                   string_split(display_text, {delimiter}) AS fields
            FROM read_csv($path, columns={{'line': 'VARCHAR'}}, header=false, auto_detect=false, delim=chr(1), quote='',
                          escape='', compression=$compression, max_line_size={max_bytes})))
WHERE line > 1
"""

_PARQUET = """
SELECT file_row_number + 1 AS line, 1::BIGINT AS item, NULL::VARCHAR AS problem, to_json(row)::VARCHAR AS text,
       to_json(row)::VARCHAR AS display_text, {fields}, false AS is_too_long, false AS may_have_more_keys
FROM read_parquet($path, file_row_number=true, hive_partitioning=false) AS row
"""


NEW_TRANSFERS = """
CREATE OR REPLACE TEMP TABLE new_transfer (
    hash VARCHAR, team VARCHAR, happened_at TIMESTAMP, is_upload BOOLEAN, size_bytes BIGINT);
"""
STAGE_TRANSFERS = """
INSERT INTO new_transfer
SELECT hash, team, try(make_timestamp((seconds * 1e6)::BIGINT)), is_upload, size_bytes
FROM read_json($path, format='newline_delimited', auto_detect=false, ignore_errors=true,
               columns={hash: 'VARCHAR', seconds: 'DOUBLE', team: 'VARCHAR', is_upload: 'BOOLEAN',
                        size_bytes: 'BIGINT'})
WHERE seconds IS NOT NULL OR NOT is_upload
"""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How log files are read.

    `format` overrides the detected format. `columns` maps field names of the event schema to the names used in the
    files. With `strict`, the first rejected event is an error. In access logs, a pause of `session_gap_seconds` ends a
    client's session. With `reload_forgotten`, files whose events were all forgotten are loaded again. DuckDB takes at
    most about `memory_mb` of memory, and writes the rest to the disk.

    Raises:
        UsageError: a name in `columns` is empty, not valid UTF-8, or used for two fields; the gap is negative.
    """

    format: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False
    session_gap_seconds: float = 600
    reload_forgotten: bool = False
    memory_mb: float | None = None

    def __post_init__(self) -> None:
        require_number("memory_limit", self.memory_mb, minimum=MIN_MEMORY_MB, maximum=MAX_MEMORY_MB)
        require_number("session_gap", self.session_gap_seconds)
        require_utf8("columns", *self.columns.values())
        # DuckDB compares column names without regard to case.
        names = [column.lower() for column in self.all_columns]
        for field_name, column in self.columns.items():
            if not column:
                raise UsageError(Option("columns", f"{field_name}="), ": the column name is missing")
            if names.count(column.lower()) > 1:
                mapped = Option("columns", f"{field_name}={column}")
                raise UsageError(mapped, f": {column} is the column of another field; map that one too")

    @property
    def all_columns(self) -> list[str]:
        """The names that files use for FIELD_NAMES, in that order."""
        return [self.columns.get(name, name) for name in FIELD_NAMES]

    @property
    def body_place(self) -> str | None:
        """Where each line has the log that is read: a path into its JSON, or the end of a prefix."""
        return self.columns.get(BODY)

    @property
    def renamed(self) -> dict[str, str]:
        """The field names by the column names of `columns`."""
        return {column: field_name for field_name, column in self.columns.items() if field_name != BODY}


class Stager:
    """Fills the table `staged`; temporary files go into `workspace`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, workspace: Path, options: ReadOptions) -> None:
        self._connection, self._workspace, self.options = connection, workspace, options
        self._columns = options.all_columns
        structure = json.dumps(dict.fromkeys(self._columns, "JSON"))
        self._json_parameters = {"structure": structure, "known_keys": [*self._columns, *DERIVED_FIELDS]}

    def stage(self, report: FileReport, stream: Stream, plain: Stream, file_id: int) -> None:
        """Stage all events of a file. `plain` is the stream in the form that DuckDB reads (see `plain_stream`).

        Raises:
            UnreadableError: the database failed on this file, of which nothing is staged.
        """
        try:
            self._stage(report, stream, plain, file_id)
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            self._connection.execute("DELETE FROM staged WHERE file_id = $file_id", {"file_id": file_id})
            reason = str(error).splitlines()[0]
            raise UnreadableError(f"{report.name}: the database failed ({reason}); split or repair the file") from None

    def _stage(self, report: FileReport, stream: Stream, plain: Stream, file_id: int) -> None:
        format_ = FORMATS[report.format]
        if format_.delimiter and self._read_simple_lines(stream, format_.delimiter, file_id):
            return
        if format_.items:
            options = ReaderOptions(self.options.renamed, self.options.session_gap_seconds)
            items = format_.items(stream.chunks(), options)
            truncated = stream.damage and not report.ends_in_newline and format_.hides_cuts
            items = _reject_last(items) if truncated else items
            self._stage_items(self._without_other_requests(items, report), file_id)
        elif format_.duckdb == "parquet":
            self._stage_parquet(report.name, plain, file_id)
        elif not self.read_lines(STAGE_EVENTS, plain, {"file_id": file_id}):
            self._stage_items((Item(number, 1, text) for number, text in decoded_lines(plain.chunks())), file_id)
        self._connection.execute(REJECT_INNER_DUPLICATES, {"file_id": file_id})

    def plain_stream(self, report: FileReport, stream: Stream, head: bytes) -> Stream:
        """Return the stream, or a copy of its plain bytes if DuckDB reads the format but not the file as it is."""
        reader = FORMATS[report.format].duckdb
        is_plain = stream.compression == "none" and not head.startswith(BOM)
        if reader is None or is_plain:
            return stream
        with NamedTemporaryFile(dir=self._workspace, delete=False) as file:
            for number, chunk in enumerate(stream.chunks()):
                # DuckDB skips a second byte order mark too, but not after a space: JSON allows none there.
                text = chunk.removeprefix(BOM) if number == 0 else chunk
                file.write(b" " + text if number == 0 and text.startswith(BOM) else text)
        return Stream(Path(file.name))

    def _read_simple_lines(self, stream: Stream, delimiter: str, file_id: int) -> bool:
        """Stage CSV in which every line is a row; return False if DuckDB cannot read the file so."""
        header = None if stream.damage else simple_header(stream.chunks())
        names = [self.options.renamed.get(name, name) for name in (header or "").split(delimiter)]
        if header is None or any(names.count(name) > 1 for name in names):
            return False
        sql = STAGE_EVENTS.replace("{raw}", _csv_rows(names, delimiter))
        return self._try(sql, stream, {"file_id": file_id, "known_keys": FIELD_NAMES})

    def read_lines(self, sql: str, plain: Stream, parameters: dict[str, Any]) -> bool:
        """Execute `sql` over the `{raw}` rows of NDJSON; return False if DuckDB cannot read the file."""
        rows = _json_rows(_LINES, self._columns)
        return self._try(sql.replace("{raw}", rows), plain, self._json_parameters | parameters)

    def _try(self, sql: str, plain: Stream, parameters: dict[str, Any]) -> bool:
        file = {"path": self._literal_path(plain.path), "compression": plain.compression}
        try:
            self._connection.execute(sql, file | parameters)
        except duckdb.InterruptException:
            raise
        except duckdb.Error:
            # Such as lines that are too long, or that take too much memory. The reader in Python takes one at a time.
            return False
        return True

    def _stage_items(self, items: Iterable[Item], file_id: int) -> None:
        path = self._workspace / "items.ndjson"
        _write_items(path, items)
        try:
            self._stage_item_file(path, file_id)
        except duckdb.OutOfMemoryException:
            # DuckDB reads many lines at once, which may not fit into its memory if each has megabytes.
            piece = self._workspace / "piece.ndjson"
            for lines in whole_line_pieces(Stream(path).chunks()):
                piece.write_bytes(lines)
                self._stage_item_file(piece, file_id)
            piece.unlink()
        path.unlink()

    def _without_other_requests(self, items: Iterator[Item], report: FileReport) -> Iterator[Item]:
        """Yield the items that are events or rejects; stage transfers, and count the other requests in `report`."""
        path = self._workspace / "transfers.ndjson"
        with path.open("w", encoding="ascii") as transfers:
            for item in items:
                if item.problem == TRANSFER:
                    transfers.write(json.dumps({"hash": item.text, **(item.context or {})}) + "\n")
                elif item.problem == OTHER_TRAFFIC:
                    report.other_traffic += 1
                else:
                    yield item
        self._connection.execute(STAGE_TRANSFERS, {"path": str(path)})
        path.unlink()

    def _stage_item_file(self, path: Path, file_id: int) -> None:
        file = {"path": str(path), "compression": "none", "columns": _ITEM_COLUMNS, "file_id": file_id}
        rows = _json_rows(_ITEMS, self._columns)
        self._connection.execute(STAGE_EVENTS.replace("{raw}", rows), file | self._json_parameters)

    def _stage_parquet(self, name: str, plain: Stream, file_id: int) -> None:
        path = self._literal_path(plain.path)
        describe = "DESCRIBE FROM read_parquet($path, hive_partitioning=false)"
        try:
            types = {row[0]: row[1] for row in self._connection.execute(describe, {"path": path}).fetchall()}
            columns = {name: column for name, column in zip(FIELD_NAMES, self._columns, strict=True) if column in types}
            floats = [column for column, sql_type in types.items() if sql_type in ("DOUBLE", "FLOAT")]
            parameters = {"path": path, "known_keys": self._columns, "file_id": file_id}
            rows = _parquet_rows(columns, floats)
            self._connection.execute(STAGE_EVENTS.replace("{raw}", rows), parameters)
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise UnreadableError(f"{name}: cannot be read as Parquet ({reason}); write the file again") from None

    def _literal_path(self, path: Path) -> str:
        """Return a path that DuckDB does not expand as a glob pattern: the file's own, or that of a link to it."""
        name = str(path.absolute())
        if not set("*?[{") & set(name) and name.isprintable():
            return name
        with NamedTemporaryFile(dir=self._workspace) as file:
            link = Path(file.name + "-link")
        link.symlink_to(path.absolute())
        return str(link)


def _json_rows(source: str, keys: Iterable[str]) -> str:
    """Return the SQL of raw rows of _LINES or _ITEMS; `keys` are the file's names for FIELD_NAMES, in that order."""
    fields, members = [], []
    for place, (name, key) in enumerate(zip(FIELD_NAMES, keys, strict=True), start=1):
        value = f"struct_extract_at(record, {place})"
        merged = f'coalesce({value}, context."{name}")' if name in _ENVELOPE_NAMES else value
        fields.append(f'{merged}::VARCHAR AS "{name}"')
        # Each member adds the quotes of its key, a colon and a comma.
        members.append(f"coalesce(strlen({value}::VARCHAR) + {len(key.encode()) + 4}, 0)")
    # If the text is exactly as long as its known members written without white space, it has no other key, and the slow
    # search for unknown keys is skipped. The braces add one, as the last member has no comma.
    compact_bytes = f"(1 + {' + '.join(members)})"
    return _FROM_JSON.format(
        source=source, fields=", ".join(fields), compact_bytes=compact_bytes, max_bytes=MAX_ITEM_BYTES
    )  # fmt: skip


def _csv_rows(names: Sequence[str], delimiter: str) -> str:
    """Return the SQL of raw rows of CSV in which every line is a row; `names` are those of its columns."""
    # As `delimited` reads them: what is no number of a numeric column is a string, for which the row is rejected.
    value = "CASE WHEN fields[{place}] NOT IN ('', '\\N', 'NULL') THEN {json} END"
    number = f"CASE WHEN regexp_full_match(fields[{{place}}], '{NUMBER}') THEN fields[{{place}}] ELSE {{text}} END"
    flag = "CASE lower(fields[{place}]) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' WHEN '1' THEN '1'"
    flag += " WHEN '0' THEN '0' ELSE {text} END"
    columns, others = dict.fromkeys(FIELD_NAMES, "NULL::VARCHAR"), []
    for place, name in enumerate(names, start=1):
        text = f"to_json(fields[{place}])::VARCHAR"
        kind = number if name in NUMERIC_COLUMNS else flag if name == "interactive" else "{text}"
        sql = value.format(place=place, json=kind.format(place=place, text=text))
        if name in columns:
            columns[name] = sql
        else:
            others.append(f"CASE WHEN ({sql}) IS NOT NULL THEN {sql_text(json.dumps(name))} END")
    unknown = f"concat_ws(':0,', {', '.join(others)})" if others else "''"
    fields = ", ".join(f'{sql} AS "{name}"' for name, sql in columns.items())
    return _CSV.format(
        fields=fields, unknown=unknown, width=len(names), delimiter=sql_text(delimiter), max_bytes=MAX_LINE_BYTES
    )


def _parquet_rows(columns: Mapping[str, str], floats: Collection[str]) -> str:
    """Return the SQL of raw rows of a Parquet file; `columns` gives its column of each field that it has.

    Whole numbers in columns of `floats` become integers: data frames store integers with missing values as floats.
    """
    fields = []
    for name in FIELD_NAMES:
        value = "NULL"
        if name in columns:
            column = '"' + columns[name].replace('"', '""') + '"'
            whole = f"CASE WHEN {column} = trunc({column}) THEN try_cast({column} AS BIGINT) END"
            value = f"to_json({column})"
            value = f"coalesce(to_json({whole}), {value})" if columns[name] in floats else value
        fields.append(f'{value}::VARCHAR AS "{name}"')
    return _PARQUET.format(fields=", ".join(fields))


def _write_items(path: Path, items: Iterable[Item]) -> None:
    """Write an item file: a JSON object a line, with the columns of _ITEM_COLUMNS."""
    with path.open("wb") as file:
        file.writelines(_item_line(item) for item in items)


def _item_line(item: Item) -> bytes:
    fields = {"line": item.line, "item": item.item, "problem": item.problem, "text": item.text,
              "display_text": item.raw, "context": item.context}  # fmt: skip
    line = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    try:
        data = line.encode()
    except UnicodeEncodeError:
        # A surrogate stands for a byte that is not UTF-8, which no JSON text may contain.
        clean = json.loads(replace_surrogates(line))
        data = json.dumps({**clean, "problem": item.problem or NOT_UTF8}, ensure_ascii=False).encode()
    if len(data) <= MAX_ITEM_BYTES:
        return data + b"\n"
    beginning = (item.text if item.raw is None else item.raw)[:MAX_REJECT_CHARS]
    return _item_line(Item(item.line, item.item, "", problem=TOO_LONG, raw=beginning))


def _reject_last(items: Iterator[Item]) -> Iterator[Item]:
    """Mark the last item as cut off, for formats in which the rest of a cut item looks like a whole one."""
    last = next(items, None)
    for item in items:
        yield last  # type: ignore[misc]
        last = item
    if last:
        yield last._replace(problem=last.problem or CUT_OFF)


def whole_line_pieces(chunks: Iterable[bytes], min_bytes: int = MIN_PIECE_BYTES) -> Iterator[bytes]:
    """Yield the content in pieces that end with a line and have at least `min_bytes`; the last may be shorter.

    >>> list(whole_line_pieces(iter([b"a\\nb", b"\\nc"]), 4))
    [b'a\\nb\\n', b'c']
    """
    piece = bytearray()
    for chunk in chunks:
        piece += chunk
        end = piece.rfind(b"\n", len(piece) - len(chunk)) + 1 if len(piece) >= min_bytes else 0
        if end:
            yield bytes(piece[:end])
            del piece[:end]
    yield bytes(piece)
