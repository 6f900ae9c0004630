"""Zip and tar files of logs and run summaries, and several run summaries in one file."""

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import CASES, RECORDED, Cli, event, ndjson, report_of

from analyzer.readers import containers

SUMMARIES = sorted((RECORDED / "runs").iterdir())[:3]


def contents() -> dict[str, bytes]:
    """A log, a compressed one, a run summary in turbo's directory, and what is no log or hidden."""
    return {
        "logs/a.ndjson": ndjson([event(hash="a")]).encode(),
        "logs/b.ndjson.gz": gzip.compress(ndjson([event(hash="b"), event(hash="c")]).encode()),
        ".turbo/runs/run.json": gzip.decompress(SUMMARIES[0].read_bytes()),
        "README.md": b"# no log",
        ".hidden/d.ndjson": ndjson([event(hash="d")]).encode(),
    }


def zipped(files: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(data := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    with tarfile.open(fileobj=(data := io.BytesIO()), mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


def zstd(data: bytes) -> bytes:
    try:
        from compression.zstd import compress
    except ImportError:
        from backports.zstd import compress
    return compress(data)


PACKERS = {
    "x.zip": zipped, "x.tar": tarred, "x.tar.gz": lambda files: gzip.compress(tarred(files)),
    "x.tar.zst": lambda files: zstd(tarred(files)), "no suffix": zipped,
}  # fmt: skip


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("as_directory", [False, True])
def test_members_are_files_with_names_of_their_own(
    name: str,
    as_directory: bool,  # noqa: FBT001
    cli: Cli,
    tmp_path: Path,
) -> None:
    (tmp_path / "d").mkdir()
    path = tmp_path / "d" / name
    path.write_bytes(PACKERS[name](contents()))
    source = path.parent if as_directory else path
    query = "SELECT file, count(*) AS n FROM events GROUP BY ALL ORDER BY ALL"
    found = report_of(cli, "sql", source, query)
    assert [tuple(row.values()) for row in found.table("result")] == [
        (f"{path}/logs/a.ndjson", 1), (f"{path}/logs/b.ndjson.gz", 2),
    ]  # fmt: skip
    assert f"skipped (not an event log): {path}/README.md" in found.err
    assert report_of(cli, "sql", source, "SELECT count(*) AS n FROM runs").table("result") == [{"n": 1}]


def test_a_bomb_is_refused(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "MIN_LIMIT_BYTES", 1000)
    (tmp_path / "bomb.zip").write_bytes(zipped({"a.ndjson": ndjson([event()]).encode(), "b": b" " * 50_000_000}))
    result = cli("stats", tmp_path / "bomb.zip")
    assert (result.code, "bomb.zip: b unpacks to too much" in result.err) == (3, True)
    assert "events   " in result.out, "what came before counts"


@pytest.mark.parametrize("cut", [0.5, 0.9])
def test_a_damaged_container_costs_no_other_file(cut: float, cli: Cli, log: Any, tmp_path: Path) -> None:
    good = log([event(hash="good")], "good.ndjson")
    data = zipped(contents())
    (tmp_path / "bad.zip").write_bytes(data[: int(len(data) * cut)])
    result = cli("stats", tmp_path / "bad.zip", good, "--format", "json")
    assert (result.code, "bad.zip: cannot be unpacked" in result.err) == (3, True)
    assert result.table("totals")[0]["lookups"] == 1


def test_several_summaries_in_one_file(cli: Cli, log: Any) -> None:
    texts = [gzip.decompress(path.read_bytes()).decode() for path in SUMMARIES]
    compact = [json.dumps(json.loads(text)) for text in texts]
    expected = report_of(cli, "stats", *SUMMARIES).table("totals")
    for name, content in (
        ("lines", "\n".join(compact)), ("array", f"[{','.join(texts)}]"), ("in a row", "\n".join(texts)),
    ):  # fmt: skip
        assert report_of(cli, "stats", log(content, f"{name}.json")).table("totals") == expected, name


def test_a_damaged_summary_costs_no_other(cli: Cli, log: Any) -> None:
    texts = [json.dumps(json.loads(gzip.decompress(path.read_bytes()))) for path in SUMMARIES[:2]]
    result = cli("stats", log(f"{texts[0]}\n{texts[1][:1000]}", "runs.json"), "--format", "json")
    assert (result.code, result.table("totals")[0]["sessions"]) == (3, 1)
    assert "runs.json:1: not a complete JSON document" in result.err


def test_a_summary_of_turbo_1_8_is_said_to_be_one(cli: Cli, log: Any) -> None:
    text = json.dumps({"version": "0", "id": "x", "turboVersion": "1.8.8", "executionSummary": {}, "tasks": []})
    result = cli("stats", log(text, "run.json"))
    assert (result.code, "a run summary of turbo 1.8, which is not read" in result.err) == (3, True)
    assert "dry run" not in result.err


def test_a_summary_that_unpacks_to_too_much_is_refused(cli: Cli, log: Any) -> None:
    content = json.loads((CASES / "red-run-2.11.11.json").read_text()) | {"more": "x" * 70_000_000}
    result = cli("stats", log(gzip.compress(json.dumps(content).encode(), 1), "run.json.gz"))
    assert (result.code, "longer than 64 Mi characters" in result.err) == (3, True)
