"""An engine in the process of the tests: it moves rows between the functions that the tasks of real engines run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

from analyzer.cluster.divided import Stage
from analyzer.cluster.rows import FOR_MERGE, Packed, from_batch, to_batch, work_on_parts


@dataclass
class PartsEngine:
    """Runs tasks one after the other, as if on so many cores."""

    cores: int
    is_local: bool = True

    def stop(self) -> None:
        """Nothing runs beside the tests."""

    def run(self, stages: Sequence[Stage], kept: "KeptRows | None" = None) -> list[Packed]:
        rows = kept.rows if kept else []
        for stage in stages:
            read = (row for task in stage.reads for row in task.run(stage.by, stage.parts))
            divided = from_batch(to_batch(chain(rows, read)))
            rows = list(work_on_parts(divided, stage.work.run))
        return rows

    @contextmanager
    def keep(self, stages: Sequence[Stage]) -> Iterator["KeptRows"]:
        rows = self.run(stages)
        gathered = [row for row in rows if row.name.startswith(FOR_MERGE)]
        yield KeptRows(gathered, [row for row in rows if not row.name.startswith(FOR_MERGE)])


@dataclass
class KeptRows:
    gathered: list[Packed]
    rows: list[Packed]
