"""An engine in the process of the tests: it moves rows between the functions that the tasks of real engines run."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from analyzer.cluster.divided import Stage
from analyzer.cluster.rows import Packed, from_batch, to_batch


@dataclass
class PartsEngine:
    """Divides rows into so many parts, however few they are."""

    parts: int
    cores: int = 1

    def run(self, stages: Sequence[Stage]) -> list[Packed]:
        rows: list[Packed] = []
        for stage in stages:
            work = replace(stage.work, parts=self.parts)
            found = defaultdict[int, list[Packed]](list)
            for row in chain(rows, *(task.run(stage.by, self.parts) for task in stage.reads)):
                found[row.part].append(row)
            rows = [row for part in found.values() for row in work.run(from_batch(to_batch(part)))]
        return rows
