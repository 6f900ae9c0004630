"""Packs the rows of relations, divided into parts, so that an engine can move them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyRelation

SCHEMA = "part int, name string, content binary"
FOR_MERGE = "="  # prefix of relations for the final merge: later tasks hand them on

Contents = Mapping[str, Sequence[bytes]]  # of a part: its packed rows, by relation


class Packed(NamedTuple):
    """Rows of the relation `name` for a part, in Arrow's stream format."""

    part: int
    name: str
    content: bytes


def work_on_parts(rows: Iterable[Packed], work: Callable[[int, Contents], Iterator[Packed]]) -> Iterator[Packed]:
    """Run `work` on each part of the rows, and yield its results; yield rows for the merge unchanged."""
    parts = defaultdict[int, defaultdict[str, list[bytes]]](lambda: defaultdict(list))
    for row in rows:
        if row.name.startswith(FOR_MERGE):
            yield row
        else:
            parts[row.part][row.name].append(row.content)
    for part, contents in parts.items():
        yield from work(part, contents)


def by_relation(rows: Iterable[Packed]) -> dict[str, list[bytes]]:
    """Return the contents of the rows that are for the merge, by the names of their relations."""
    contents = defaultdict[str, list[bytes]](list)
    for row in rows:
        if row.name.startswith(FOR_MERGE):
            contents[row.name.removeprefix(FOR_MERGE)].append(row.content)
    return contents


def pack(name: str, relation: "DuckDBPyRelation", by: str, parts: int) -> Iterator[Packed]:
    """Divide rows into parts by the hash of the column `by`."""
    query = f"SELECT *, (hash({by}) % {parts})::INTEGER AS part FROM unpacked ORDER BY part"
    table = cast("DuckDBPyRelation", relation.query("unpacked", query)).to_arrow_table()
    numbers = table["part"].to_numpy()
    rows = table.drop_columns("part")
    start = 0
    while start < len(numbers):
        end = int(numbers.searchsorted(numbers[start], side="right"))
        yield Packed(int(numbers[start]), name, _write(rows.slice(start, end - start)))
        start = end


def pack_all(part: int, name: str, relation: "DuckDBPyRelation") -> Packed:
    """Pack all rows as one part."""
    return Packed(part, name, _write(relation.to_arrow_table()))


def for_merge(part: int, name: str, relation: "DuckDBPyRelation") -> Packed:
    """Pack rows for the merge; `part` is the part that they travel with."""
    return pack_all(part, FOR_MERGE + name, relation)


def _write(table: "pa.Table") -> bytes:
    import pyarrow as pa  # noqa: PLC0415  (only where an engine is used)

    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def unpack(contents: Iterable[bytes]) -> "pa.Table":
    """Return the rows of several packed relations with the same columns."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.concat_tables([pa.ipc.open_stream(content).read_all() for content in contents], promote_options="default")


def to_batch(rows: Iterable[Packed]) -> Any:
    """Return packed rows as a batch of Arrow, with the columns of SCHEMA."""
    import pyarrow as pa  # noqa: PLC0415

    given = list(rows)
    schema = pa.schema([("part", pa.int32()), ("name", pa.string()), ("content", pa.binary())])
    columns = zip(*given, strict=True) if given else ((), (), ())
    return pa.record_batch([pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)], schema)


def from_batch(batch: Any) -> Iterator[Packed]:
    """Yield the packed rows of a batch of Arrow."""
    for part, name, content in zip(*(batch[column] for column in ("part", "name", "content")), strict=True):
        yield Packed(part.as_py(), name.as_py(), content.as_py())
