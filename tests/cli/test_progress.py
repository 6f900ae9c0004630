"""The bar over the bytes of the files that are read."""

from pathlib import Path

import duckdb

from analyzer.archive.accounting import FileReport
from analyzer.cli.progress import ProgressBar
from analyzer.readers.source import expand_sources


def test_the_bar_never_goes_back_and_counts_files_that_are_not_logs(tmp_path: Path) -> None:
    for name, size in (("a", 10), ("b", 20), ("c", 30), ("d", 40)):
        (tmp_path / name).write_text("x" * size)
    sources = expand_sources([str(tmp_path)], None, tmp_path)
    names = [file.name for file in sources.files]
    bar = ProgressBar()
    bar.start(sources, duckdb.connect())
    (task,) = bar._bar.tasks  # noqa: SLF001  (what is drawn)
    try:
        found = []
        for name in (names[0], names[2], names[3]):
            bar.file(FileReport(name, "ndjson", "none", "", 0, ends_in_newline=True))
            found.append(task.completed)
    finally:
        bar.stop()
    assert (found, task.total) == ([10, 60, 100], 100)
