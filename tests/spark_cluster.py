"""A cluster of Apache Spark on this machine, whose workers can be killed."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npm import free_port


@dataclass
class SparkCluster:
    """A master and workers of Apache Spark on this machine, as `spark-class` starts them."""

    directory: Path
    workers: list[subprocess.Popen[bytes]]
    url: str
    page: str

    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.page}/json/", timeout=10) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
            return found

    def alive_workers(self) -> int:
        return sum(worker["state"] == "ALIVE" for worker in self.state()["workers"])

    def start_worker(self) -> None:
        work = self.directory / f"worker-{len(self.workers)}"
        options = ["--host", "127.0.0.1", "--cores", "1", "--memory", "2g", "--webui-port", "0", "--work-dir", work]
        self.workers.append(_spark_class(self.directory, "worker.Worker", *options, self.url))

    def kill_worker_at_work(self, seconds: float = 60) -> int:
        """Kill a worker, with all that it started, as soon as a task of Python runs there; return its number."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for number, worker in enumerate(self.workers):
                if worker.poll() is None and python_tasks(worker.pid):
                    for pid in (*descendants(worker.pid), worker.pid):
                        with suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                    worker.wait()
                    return number
            time.sleep(0.02)
        raise AssertionError("no task ran")


def descendants(pid: int) -> list[int]:
    children = defaultdict[int, list[int]](list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            children[int(stat.read_text().rpartition(")")[2].split()[1])].append(int(stat.parent.name))
    found, left = [], [pid]
    while left:
        left = [child for parent in left for child in children[parent]]
        found += left
    return found


def python_tasks(pid: int) -> list[int]:
    """The processes below `pid` that run tasks of Python: each is the child of a daemon that waits for more."""
    found = []
    for child in descendants(pid):
        with suppress(OSError):
            command = (Path("/proc") / str(child) / "cmdline").read_bytes()
            if b"pyspark.daemon" in command and b"pyspark.daemon" in _command_of_parent(child):
                found.append(child)
    return found


def _command_of_parent(pid: int) -> bytes:
    parent = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1]
    return (Path("/proc") / parent / "cmdline").read_bytes()


def _spark_class(directory: Path, name: str, *options: Any) -> subprocess.Popen[bytes]:
    home = Path(str(importlib.util.find_spec("pyspark").origin)).parent  # type: ignore[union-attr]
    command = [home / "bin" / "spark-class", f"org.apache.spark.deploy.{name}", *options]
    environment = os.environ | {"SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable}
    with (directory / f"{name}.log").open("ab") as log:
        return subprocess.Popen(list(map(str, command)), env=environment, stdout=log, stderr=log, cwd=directory)


@contextmanager
def spark_cluster(directory: Path, workers: int = 2) -> Iterator[SparkCluster]:
    port, page = free_port(), free_port()
    options = ["--host", "127.0.0.1", "--port", port, "--webui-port", page]
    master = _spark_class(directory, "master.Master", *options)
    cluster = SparkCluster(directory, [], f"spark://127.0.0.1:{port}", f"http://127.0.0.1:{page}")
    try:
        wait_until(lambda: cluster.state()["status"] == "ALIVE")
        for _ in range(workers):
            cluster.start_worker()
        wait_until(lambda: cluster.alive_workers() == workers)
        yield cluster
    finally:
        for process in (*cluster.workers, master):
            for pid in descendants(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.kill()
            process.wait()


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError):
            if condition():
                return
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")
