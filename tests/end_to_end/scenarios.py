"""What happens to teams, played by real clients; each leaves the events nginx logged and turbo's own run summaries."""

import io
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from npm import free_port

from end_to_end import monorepo
from end_to_end.nginx import Proxy, in_front_of
from end_to_end.stub import Stub, serving
from end_to_end.turbo import Client, Run

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

READ_ONLY = "--cache=local:rw,remote:r"


@dataclass(frozen=True)
class World:
    """What every scenario finds: turbo, a committed repository and the self-hosted cache server."""

    turbo: Path
    repository: Path
    cache: str
    server_log: Path


@dataclass(frozen=True)
class Scenario:
    """What a scenario leaves: nginx's log, its error log, the directory of the run summaries, and the runs in order."""

    team: str
    log: Path
    errors: Path
    summaries: Path
    runs: list[Run]


@dataclass(frozen=True)
class Stage:
    """nginx before a cache, and clients behind it."""

    world: World
    team: str
    directory: Path
    proxy: Proxy

    def client(self, machine: str) -> Client:
        """A fresh checkout."""
        there = monorepo.checkout(self.world.repository, self.directory / machine)
        return Client(self.world.turbo, there, self.proxy.url, self.team, self.directory / "summaries")

    def left(self, *runs: Run) -> Scenario:
        return Scenario(self.team, self.proxy.log, self.proxy.errors, self.directory / "summaries", list(runs))


@contextmanager
def stage(world: World, directory: Path, team: str, cache: str | None = None) -> Iterator[Stage]:
    (directory / "summaries").mkdir()
    with in_front_of(cache or world.cache, directory) as proxy:
        yield Stage(world, team, directory, proxy)


def everyday(world: World, directory: Path) -> Scenario:
    """One developer, then a CI machine that has nothing yet. The server returns no durations: remote hits have 0.

    A run reports once, as it ends: a cold run LOCAL MISS and REMOTE MISS of each task, a warm one LOCAL HIT, one with
    the local cache wiped LOCAL MISS and REMOTE HIT. An edit of `ui` misses its tasks and what depends on its build.
    """
    with stage(world, directory, "acme") as on:
        client = on.client("laptop")
        cold = client.run("cold")
        warm = client.run("warm")
        client.forget()
        wiped = client.run("local cache wiped")
        client.edit("ui")
        edited = client.run("ui edited")
        client.forget()
        ci = client.run("CI, local cache wiped", CI="true", GITHUB_ACTIONS="true")
        return on.left(cold, warm, wiped, edited, ci)


def concurrent(world: World, directory: Path) -> Scenario:
    """Two machines lint the same commit at once, for two seconds a task, so that neither finds what the other makes.

    Both look all up before either has uploaded: LOCAL MISS and REMOTE MISS of the same hashes in two sessions, reported
    within moments of each other and later than both lookups. The run after that has the durations, as local hits.
    """
    with stage(world, directory, "both") as on, ThreadPoolExecutor() as pool:
        clients = [on.client("one"), on.client("two")]
        at_once = [pool.submit(client.run, f"cold, {client.checkout.name}", "lint", PAUSE="2") for client in clients]
        return on.left(*(run.result() for run in at_once), clients[0].run("warm, one", "lint"))


def read_only(world: World, directory: Path) -> Scenario:
    """Two machines one after the other, neither of which may upload: the second misses all that the first missed.

    The events are those of any cold run: that nothing was uploaded shows only in the repeated REMOTE MISS. The run
    after that has the durations, as local hits.
    """
    with stage(world, directory, "readers") as on:
        one, two = on.client("one"), on.client("two")
        runs = [client.run(f"cold, {client.checkout.name}", "build", "lint", READ_ONLY) for client in (one, two)]
        return on.left(*runs, one.run("warm, one", "build", "lint", READ_ONLY))


def cache_down(world: World, directory: Path) -> Scenario:
    """Nobody listens behind nginx, which answers 502 to all.

    The client asks for an artifact twice, two seconds apart, then gives up the remote cache for 30 seconds: a cold run
    has LOCAL MISS alone, a warm one LOCAL HIT. It reports all the same, as it ends, and does not repeat the report. So
    the log has, with status 502, events that no cache ever took.
    """
    with stage(world, directory, "cut-off", cache=f"http://127.0.0.1:{free_port()}") as on:
        client = on.client("laptop")
        return on.left(client.run("cold", "build", "lint"), client.run("warm", "build", "lint"))


def refused_once(world: World, directory: Path) -> Scenario:
    """The first hundred events of a run are answered 500 while the run goes on: the client sends them again.

    It does so once, after two seconds, with the identical body, whatever 5xx or 429 it was; the log has both. 55 tasks
    are found remotely, and one, which is not cached and reports nothing, lasts until the client has sent again.
    """
    many = replace(world, repository=monorepo.create(directory / "many", {f"p{number}": () for number in range(55)}))
    stub = Stub(answers=[500], otherwise=(NOTHING, "1500"))
    with serving(stub), stage(many, directory, "twice", cache=stub.url) as on:
        return on.left(on.client("laptop").run("report refused while it runs", "lint", "p0#watch", PAUSE="4"))


def refused_at_the_end(world: World, directory: Path) -> Scenario:
    """A run's last report is answered 500: the client ends without sending again, so the log has it once, refused.

    A run of up to a hundred events has no other report. This cache returns durations: the second run's remote hits have
    them.
    """
    stub = Stub(answers=[500])
    with serving(stub), stage(world, directory, "once", cache=stub.url) as on:
        client = on.client("laptop")
        refused = client.run("report refused as it ends", "lint")
        client.forget()
        return on.left(refused, client.run("local cache wiped", "lint"))


def _empty_artifact() -> bytes:
    """An artifact as turbo packs it, of a task without outputs."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w"):
        pass
    return zstd.compress(packed.getvalue())


NOTHING = _empty_artifact()
