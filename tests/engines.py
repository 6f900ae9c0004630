"""An engine in the process of the tests: it moves rows between the functions that the tasks of real engines run."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

from analyzer.cluster.divided import Stage
from analyzer.cluster.rows import Packed, from_batch, to_batch
from analyzer.cluster.tasks import GATHERED


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
            found = defaultdict[int, list[Packed]](list)
            for row in chain(rows, *(task.run(stage.by, stage.parts) for task in stage.reads)):
                found[row.part].append(row)
            rows = [row for part in found.values() for row in stage.work.run(from_batch(to_batch(part)))]
        return rows

    @contextmanager
    def keep(self, stages: Sequence[Stage]) -> Iterator["KeptRows"]:
        rows = self.run(stages)
        gathered = [row for row in rows if row.name.startswith(GATHERED)]
        yield KeptRows(gathered, [row for row in rows if not row.name.startswith(GATHERED)])


@dataclass
class KeptRows:
    gathered: list[Packed]
    rows: list[Packed]
