"""Commands as a user meets them: sources, exit codes, errors in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, event, ndjson

from analyzer.render import OUTPUTS


def read(cli: Cli, *arguments: object, stdin: bytes = b"") -> dict[str, Any]:
    result = cli("stats", *arguments, "--format", "json", stdin=stdin)
    assert result.code == 0, result.err
    return dict(result.json["input"])


def test_sources_mix(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for number, name in enumerate(["a/1.log", "a/b/2.log", "3.log", "4.txt", "a/.hidden"]):
        (tmp_path / name).write_text(ndjson([event(hash=str(number))]))
    (tmp_path / "a" / "README.md").write_text("# no log\n")
    monkeypatch.chdir(tmp_path)
    stdin = ndjson([event(hash="stdin")]).encode()
    assert read(cli, "a", "*.log", "4.txt", "-", stdin=stdin)["read"] == 5
    assert "skipped (not an event log): a/README.md\n" in cli("stats", "a").err
    (tmp_path / "with[brackets]").write_text(ndjson([event(hash="odd")]))
    assert read(cli, "with[brackets]")["read"] == 1


def test_a_file_that_is_no_log(cli: Cli, log: Any, tmp_path: Path) -> None:
    good = log([event()])
    (bad := tmp_path / "notes.txt").write_text("hello\n")
    result = cli("stats", bad, good, tmp_path / "missing", tmp_path / "*.none", "--format", "json")
    assert result.code == 3
    assert result.json["input"]["kept"] == 1
    assert f"error: {bad}: not an event log: it starts with 'hello'" in result.err
    assert f"error: {tmp_path / 'missing'}: no such file" in result.err
    assert "no file matches" in result.err


def test_nonsense_arguments_are_explained(cli: Cli, log: Any) -> None:
    path = log([event(timestamp="1999-12-31")])
    assert "the earliest event is dated 1999-12-31" in cli("stats", path).err
    assert "no created_at in its first lines" in cli("stats", path, "--map", "timestamp=created_at").err
    assert "1 events read = 0 kept + 0 rejected + 1 filtered + 0 duplicate" in cli("stats", path, "--ci", "X").err


def test_nothing_to_read_is_an_error(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\x7fELF\r\0\r" * 900)
    for sources in ([tmp_path], [tmp_path / "binary"], [tmp_path / "missing"]):
        result = cli("stats", *sources, "--format", "csv")
        assert (result.code, result.out, result.err.count("error: ")) == (3, "", 1)
    missing = cli("load", tmp_path / "missing", "--into", tmp_path / "new.duckdb")
    assert (missing.code, missing.out, (tmp_path / "new.duckdb").exists()) == (3, "", False)


def test_filters_that_leave_nothing_say_what_there_is(cli: Cli, log: Any) -> None:
    result = cli("stats", log([event(slug="web", timestamp="2026-03-02T10:00:00Z")]), "--team", "WEB")
    assert "the filters match none of 1 events; the log covers 2026-03-02 10:00:00" in result.err
    assert "teams: web" in result.err
    assert "no event of the log has a time" in cli("stats", log([event()]), "--team", "web").err


def test_a_log_that_has_grown_is_noted(cli: Cli, log: Any, tmp_path: Path) -> None:
    cli("load", log([event()]), "--into", tmp_path / "a.duckdb")
    grown = cli("load", log([event(), event(hash="h2")]), "--into", tmp_path / "a.duckdb")
    assert "loaded before with other content" in grown.err


def test_other_names_for_columns(cli: Cli, log: Any) -> None:
    rows = [{"sid": "s", "source": "LOCAL", "event": "HIT", "key": "h", "duration": 5, "at": "2026-03-02T10:00:00Z"}]
    names = ["--map", "sessionId=sid", "--map", "hash=key", "--map", "timestamp=at"]
    for path in (log(rows), log("sid,source,event,key,duration,at\ns,LOCAL,HIT,h,5,2026-03-02T10:00:00Z\n", "csv")):
        result = cli("stats", path, *names, "--by", "day", "--format", "json")
        assert result.err == ""
        assert [(row["day"], row["time_saved_ms"]) for row in result.table("by_day")] == [("2026-03-02", 5)]
    assert cli("stats", path, "--map", "nonsense").code == 2
    assert "a column is given twice" in cli("stats", path, "--map", "hash=a", "--map", "hash=b").err


def test_a_forced_format(cli: Cli, log: Any) -> None:
    path = log("hello\n" + ndjson([event()]))
    assert read(cli, path, "--from", "ndjson")["rejected"] == 1
    assert cli("stats", path, "--from", "yaml").code == 2


def test_unknown_keys_are_ignored_and_counted(cli: Cli, log: Any) -> None:
    result = cli("stats", log([event(version="2.1"), event(version="2.2", os="linux"), event()]))
    assert "unknown keys ignored: os (1), version (2)" in result.err


def test_an_empty_file(cli: Cli, log: Any) -> None:
    result = cli("stats", log(""), "--format", "json")
    assert (result.code, result.json["input"]["read"]) == (0, 0)
    assert "it contains no events" in result.err


def test_an_archive_is_read_alone(cli: Cli, log: Any, tmp_path: Path) -> None:
    path = log([event()])
    cli("load", path, "--into", tmp_path / "a.duckdb")
    assert cli("stats", tmp_path / "a.duckdb", path).code == 2
    assert cli("load", tmp_path / "a.duckdb", "--into", tmp_path / "b.duckdb").code == 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["stats"], "no SOURCE"),
        (["sql", "{log}"], "SQL"),
        (["load", "{log}"], "--into"),
        (["load", "--into", "x.duckdb"], "no LOG"),
        (["stast", "{log}"], "Did you mean 'stats'?"),
        (["stats", "{log}", "--by", "dya"], "did you mean day?"),
        (["stats", "{log}", "--by", "day", "--sort", "hitrate"], "did you mean hit_rate?"),
        (["stats", "{log}", "--sort", "hits"], "--by"),
        (["stats", "{log}", "--by", "day,day"], "a dimension is repeated"),
        (["stats", "{log}", "-o", "/nowhere/x.csv"], "no directory"),
        (["load", "{log}", "--into", "/nowhere/x.duckdb"], "no directory"),
        (["stats", "{log}", "--since", "30m"], "'30m' is not a time"),
        (["stats", "{log}", "--since", "7dd"], "'7dd' is not a time"),
        (["stats", "{log}", "--by", "day", "--tz", "Mars/Base"], "Mars/Base"),
        (["misses", "{log}", "--by", "source"], "--by source: `misses` needs both events of a lookup"),
        (["sessions", "{log}", "--by", "wek"], "did you mean week?"),
        (["misses", "{log}", "--sort", "misses"], "--sort applies to groups: add --by"),
        (["stats", "{log}", "--since", "2026-11-10", "--until", "2026-11-01"], "--since is not before --until"),
        (["compare", "{log}", "september", "october"], "september: no such file, and no side of a comparison"),
        (["stats", "{log}", "--colour"], "No such option"),
        (["misses", "{log}", "--limit", "9" * 20], "--limit 99999999999999999999: a whole number from 1 to"),
        (["stats", "{log}", "--by", "day", "--limit", "0"], "--limit 0: a whole number from 1 to"),
        (["sessions", "{log}", "--limit", "x"], "'x' is not a valid integer"),
        (["replay", "{log}", "--concurrency", "65"], "--concurrency 65: a whole number from 1 to 64"),
    ],
)
def test_usage_errors(cli: Cli, log: Any, arguments: list[str], word: str) -> None:
    path = str(log([event()]))
    result = cli(*(argument.replace("{log}", path) for argument in arguments))
    assert (result.code, result.out) == (2, "")
    assert word in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("name", OUTPUTS)
def test_explain_without_a_log_gives_the_definitions_alone(name: str, cli: Cli, log: Any, tmp_path: Path) -> None:
    result = cli("stats", "--explain", "--format", name, "-o", tmp_path / "out")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert (tmp_path / "out").stat().st_size > 0
    alone = cli("stats", "--explain", "--format", "json")
    assert [table["name"] for table in alone.json["tables"]] == ["definitions"]
    with_log = cli("stats", log([event()]), "--explain", "--format", "json")
    assert alone.table("definitions") == with_log.table("definitions")


def test_sql_reads_and_nothing_else(cli: Cli, log: Any, tmp_path: Path) -> None:
    path = log([event()])
    (secret := tmp_path / "secret.csv").write_text("a\n1\n")
    out = cli("sql", path, "SELECT outcome, duration_ms FROM lookups", "--format", "csv").out
    assert out == "outcome,duration_ms\nlocal_hit,10\n"
    for query in (
        f"FROM read_csv('{secret}')",
        f"SELECT * FROM '{secret}'",
        f"COPY events TO '{tmp_path / 'x.csv'}'",
        "CREATE TABLE x (i INTEGER)",
        "DELETE FROM store.event",
        "SET enable_external_access = true",
        f"ATTACH '{tmp_path / 'x.db'}'",
        "INSTALL httpfs",
        "SELECT 1; SELECT 2",
        "SELECT nothing FROM events",
        "SELEC",
        "",
    ):
        result = cli("sql", path, query)
        assert (result.code, result.out) == (1, ""), query
        assert result.err.startswith("error: ")
        assert "Traceback" not in result.err
    assert not (tmp_path / "x.csv").exists()
    assert cli("stats", path, "--where", f"(SELECT count(*) FROM read_csv('{secret}')) > 0").code == 1


@pytest.mark.parametrize("condition", ["hash = 'zz') OR (true", "true /* and", "true; SELECT 1", "true ORDER BY 1", ""])
def test_a_condition_stands_by_itself(cli: Cli, log: Any, condition: str) -> None:
    result = cli("stats", log([event()]), "--where", condition)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"error: --where {condition}: Parser Error")


def test_sql_on_an_archive_changes_nothing(cli: Cli, log: Any, tmp_path: Path) -> None:
    archive = tmp_path / "a.duckdb"
    cli("load", log([event()]), "--into", archive)
    before = archive.read_bytes()
    assert cli("sql", archive, "SELECT count(*) AS n FROM events", "--format", "csv").out == "n\n1\n"
    assert archive.read_bytes() == before


def process(*arguments: object, **more: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "analyzer", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


def test_a_whole_process_says_nothing_on_stderr(log: Any, tmp_path: Path) -> None:
    out = process("stats", log([event()]), "-o", tmp_path / "out.parquet")
    assert (out.returncode, out.stdout, out.stderr) == (0, "", "")


@pytest.mark.parametrize("format_name", ["csv", "json", "table"])
def test_a_closed_pipe_is_no_error(log: Any, format_name: str) -> None:
    path = log([event(hash=f"{n}") for n in range(20_000)])
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "analyzer", "sql", str(path), "FROM events", "--format", format_name],
        stdout=write_end, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from analyzer.cli import run; run(['--help']); run(['stats', '--help']);"
        "print([m for m in ('duckdb', 'polars', 'rich', 'httpx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


def test_every_command_has_help_with_an_example(cli: Cli) -> None:
    from analyzer.cli import COMMANDS

    for name in COMMANDS:
        result = cli(name, "--help")
        assert result.code == 0
        assert f"analyzer {name}" in result.out.split("Options:")[0]
        assert "Exit codes: 0 ok" in " ".join(result.out.split())
    assert cli("--version").out.startswith("analyzer, version ")


def test_json_is_the_same_from_logs_and_archive(cli: Cli, log: Any, tmp_path: Path) -> None:
    path = log([event(hash=str(n), duration=n / 3) for n in range(100)])
    cli("load", path, "--into", tmp_path / "a.duckdb")
    direct, stored = (cli("stats", source, "--format", "json").out for source in (path, tmp_path / "a.duckdb"))
    assert json.loads(direct) == json.loads(stored)


def test_pipes_are_read_whole(log: Any) -> None:
    path = log([event(hash=f"{n}") for n in range(2000)])
    for command in (f"stats <(cat {path})", f"stats /dev/stdin < <(cat {path})", f"stats - < {path}"):
        shell = f"{sys.executable} -m analyzer {command} --format csv"
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[1].startswith("2000,2000,2000"), command


def test_directories_hold_odd_things(cli: Cli, log: Any, tmp_path: Path) -> None:
    here = tmp_path / "slug=other" / "duration=7"
    here.mkdir(parents=True)
    (here / "good.ndjson").write_text(ndjson([event(slug="mine", duration=5)]))
    (here / "dangling").symlink_to("nowhere")
    (here / "loop").symlink_to("loop")
    os.mkfifo(here / "fifo")
    os.link(log([event(hash="bytes")]), os.fsencode(here) + b"/\xff")
    (here / "~tilde.ndjson").write_text(ndjson([event(hash="tilde", slug="mine")]))
    cli("load", log([event()], "other"), "--into", here / "archive.duckdb")
    (here / "long line.txt").write_text("x" * 200_000 + "\rb\n")
    rows = cli("stats", here, "--by", "team", "--format", "json").table("by_team")
    assert [(row["team"], row["lookups"], row["time_saved_ms"]) for row in rows] == [("mine", 2, 15), (None, 1, 10)]


@pytest.mark.parametrize(
    "text",
    [
        '{"path": "http://[::1", "body": []}',
        '{"path": "/artifacts/events", "query": {"slug": "\\ud800"}, "body": [' + json.dumps(event()) + "]}",
        '{"path": "/artifacts/events", "body": "[{\\"sessionId\\": \\"\\\\ud800\\"}]"}',
        '{"body": [' + json.dumps(event()) + '], "body": []}',
        '{"status": "' + "9" * 5000 + '", "body": [' + json.dumps(event()) + "]}",
        'sessionId,hash,source,event,"a"b\ns,h,LOCAL,HIT,1',
        "[" + json.dumps(event()) + " " + json.dumps(event()) + ",,]",
        ndjson([event(timestamp=1e15), event(timestamp="0000-01-01T00:00:00Z"), event(timestamp="2026-08-01 (BC)")]),
        ndjson([event(timestamp="2026-08-01T00:00:00+99:99"), event(status=200.7), event(timestamp="2026-8-1")]),
    ],
)
def test_odd_input_is_rejected_and_never_a_traceback(cli: Cli, log: Any, text: str) -> None:
    path = log(text + "\n")
    forced = ["--from", "requests"] if text.startswith('{"path": "http') else []
    for command in (["stats", path], ["stats", path, "--by", "day"], ["stats", path, "--by", "ci"]):
        result = cli(*command, *forced, "--format", "json")
        assert result.code in (0, 3), result.err
        if result.code == 0:
            assert result.json["input"]["rejected"] >= 1


def test_sql_gives_times_and_any_type(cli: Cli, log: Any, tmp_path: Path) -> None:
    path = log([event()])
    out = cli("sql", path, "SELECT TIMESTAMPTZ '2026-03-02 10:00:00+02' AS at, 1 AS one", "--format", "csv").out
    assert out == "at,one\n2026-03-02T08:00:00.000Z,1\n"
    assert cli("sql", path, "SELECT uuid() AS u, [1, NULL] AS l", "-o", tmp_path / "x.parquet").code == 0
    assert cli("sql", path, "SELECT ['nan'::DOUBLE] AS x", "--format", "ndjson").out == '{"x":[null]}\n'
    assert cli("sql", path, "SELECT 1 AS a, 2 AS a").code == 1
    for query in ("EXPLAIN ANALYZE DELETE FROM store.event", f"EXPLAIN ANALYZE COPY (SELECT 1) TO '{tmp_path}/y'"):
        assert cli("sql", path, query).code == 1
    assert not (tmp_path / "y").exists()


@pytest.mark.parametrize("command", ["stats", "load", "report"])
def test_an_empty_name_is_not_this_directory(
    command: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log.ndjson").write_text(ndjson([event()]))
    monkeypatch.chdir(tmp_path)
    result = cli(command, "", *(("--into", "a.duckdb") if command == "load" else ()))
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: SOURCE is empty")
