"""A log that is closed, copied, pickled or forgotten: an error of its own, or nothing at all, and nothing left."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import event, ndjson

import analyzer

ASKED = ("stats", "misses", "retention", "sessions", "compare", "doctor", "events", "lookups", "__enter__")


@pytest.fixture
def log(tmp_path: Path) -> analyzer.Log:
    (tmp_path / "log").write_text(ndjson([event()]))
    return analyzer.load(tmp_path / "log")


@pytest.mark.parametrize("closed", [False, True])
def test_a_log_is_neither_copied_nor_pickled(log: analyzer.Log, *, closed: bool) -> None:
    if closed:
        log.close()
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(analyzer.UsageError, match="a log can be neither copied nor pickled; open its sources"):
            copied(log)
    with pytest.raises(analyzer.UsageError):
        copy.deepcopy({"log": log})


def test_closed_objects_raise_a_clear_error(log: analyzer.Log, tmp_path: Path) -> None:
    lazy = log.lookups()
    log.close()
    log.close()
    asked = [getattr(log, name) for name in ASKED]
    other = analyzer.load(tmp_path / "log")
    for ask in (*asked, lambda: log.sql("SELECT 1"), lambda: other.compare(b=log), lazy.collect):
        with pytest.raises(analyzer.UsageError, match="the log is closed; open it again"):
            ask()
    assert other.stats()["lookups"].item() == 1


FORGOTTEN = """
import analyzer, gc, threading

class Node: pass

def forget():
    log = analyzer.load("log")
    log.stats()
    log.events().collect()

forget()
node = Node()
node.itself, node.log = node, analyzer.load("log")
del node
thread = threading.Thread(target=forget)
thread.start()
thread.join()
lazy = analyzer.load("log").lookups()
gc.collect()
assert lazy.collect().height == 1
kept = analyzer.load("log")
kept.itself = kept  # until the end
"""


def test_a_forgotten_log_leaves_nothing(log: analyzer.Log, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", FORGOTTEN],
        cwd=tmp_path, env={"TMPDIR": str(tmp_path / "tmp")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list((tmp_path / "tmp").iterdir()) == []
    log.close()
