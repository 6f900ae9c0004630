"""Measures sending on loopback against a bare httpx loop, as ratios: `python tests/benchmarks/send.py`."""

import argparse
import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from run import ROOT, measure

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def serve(port: "Synchronized[int]", answer_seconds: float) -> None:
    """Answer every request with 200, parsing as little of it as possible."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            if answer_seconds:
                await asyncio.sleep(answer_seconds)
            writer.write(ANSWER)

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=1 << 24)
        port.value = server.sockets[0].getsockname()[1]
        await server.serve_forever()

    asyncio.run(main())


def start_server(answer_seconds: float) -> str:
    """Start a server in its own process and return its URL."""
    port = multiprocessing.Value("i", 0)
    multiprocessing.Process(target=serve, args=(port, answer_seconds), daemon=True).start()
    while not port.value:
        time.sleep(0.01)
    return f"http://127.0.0.1:{port.value}"


def post_all(url: str, bodies: list[bytes]) -> float:
    """Post bodies in a bare httpx loop and return the seconds it took."""
    began = time.perf_counter()
    with httpx.Client(
        base_url=url, headers={"authorization": "Bearer t", "content-type": "application/json"}
    ) as client:
        for body in bodies:
            client.post("/v8/artifacts/events", content=body)
    return time.perf_counter() - began


def replay(url: str, log: Path, scratch: Path, *options: str) -> dict[str, float]:
    """Replay a log and return its account, with the journal's bytes per event."""
    journal = scratch / "journal.sqlite"
    journal.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "analyzer", "replay", str(log), "--api", url, "--journal", str(journal), "--execute",
        "--requests-per-minute", "0", "--no-preflight", "--format", "json", *options,
    ]  # fmt: skip
    done = subprocess.run(command, env={**os.environ, "TURBO_TOKEN": "t"}, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return {**found, "journal": journal.stat().st_size / found["confirmed"]}


def main() -> None:
    """Measure, and print a line per figure."""
    parser = argparse.ArgumentParser(description="Measure sending against a bare httpx loop, as ratios.")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plan", type=Path, help="an archive of 10 million events, to time its plan")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        log = scratch / "log.ndjson"
        generate = [sys.executable, str(ROOT / "sample_data" / "generate.py"), "--events", str(arguments.events)]
        subprocess.run([*generate, "-o", str(log)], check=True)
        compare(log, scratch, arguments.events, arguments.rounds)
    if arguments.plan:
        plan = [sys.executable, "-m", "analyzer", "replay", str(arguments.plan), "--journal", "none.sqlite"]
        seconds, mebibytes = measure(plan)
        print(f"plan of an archive: {seconds:.2f} s, {mebibytes:.0f} MiB  (at most 6 s, 500 MiB)")


def compare(log: Path, scratch: Path, events: int, rounds: int) -> None:
    """Send a log with both in turn, and print the best of several rounds."""
    archive = scratch / "log.duckdb"
    subprocess.run(
        [sys.executable, "-m", "analyzer", "load", str(log), "--into", str(archive)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    keys = ("sessionId", "source", "event", "hash", "duration")
    items = [json.dumps({k: e[k] for k in keys}, separators=(",", ":")) for e in map(json.loads, log.open())]
    bodies = [f"[{','.join(items[n : n + 1000])}]".encode() for n in range(0, len(items), 1000)]
    url = start_server(0)
    loops = [(post_all(url, bodies), replay(url, archive, scratch, "--chunk-size", "1000")) for _ in range(rounds)]
    loop, ours = min(one for one, _ in loops), min((one for _, one in loops), key=lambda one: one["seconds"])
    print(f"bare loop {events / loop:,.0f} events/s, replay {ours['confirmed'] / ours['seconds']:,.0f} events/s")
    print(f"replay / bare loop: {loop / ours['seconds'] * ours['confirmed'] / events:.2f}  (at least 0.7)")
    print(f"journal: {ours['journal']:.1f} bytes an event  (at most 20)")
    slow = replay(start_server(0.05), archive, scratch, "--chunk-size", "1000", "--concurrency", "8")
    print(f"50 ms a request, 8 at a time: {slow['requests'] / slow['seconds'] / 160:.2f} of the ideal  (at least 0.85)")


if __name__ == "__main__":
    main()
