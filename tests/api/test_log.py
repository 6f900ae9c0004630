"""The Python API answers what the command line answers, prints nothing, and raises errors of its own."""

import gzip
import inspect
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import RECORDED, Cli, event, ndjson

import analyzer
from analyzer.api.filters import Filters
from analyzer.api.lifetime import LogHandle
from analyzer.cli.console import spell_options
from analyzer.errors import Message, Option

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sample_data"

NAMES = {
    "AccountingError", "AnalyzerError", "ArchiveError", "Filters", "InputError", "JournalError", "Log", "NotALogError",
    "Outcome", "QueryError", "RejectedError", "UnreadableError", "UsageError", "load", "replay",
}  # fmt: skip


@pytest.fixture(scope="module")
def archive(sample_archive: Path) -> Path:
    return sample_archive


def test_the_exported_names() -> None:
    assert set(analyzer.__all__) == NAMES
    # Completion offers what is called or caught.
    assert set(dir(analyzer)) == NAMES - {"Filters", "Log", "Outcome"}
    assert all(getattr(analyzer, name) is not None for name in NAMES)
    errors = [getattr(analyzer, name) for name in NAMES if name.endswith("Error")]
    assert all(issubclass(error, analyzer.AnalyzerError) for error in errors)
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        analyzer.laod  # type: ignore[attr-defined]  # noqa: B018


QUESTIONS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "stats": ({"by": "day", "since": "2026-10-01", "team": ["web", "mobile"]},
              ["--by", "day", "--since", "2026-10-01", "--team", "web", "--team", "mobile"]),
    "misses": ({"ci": "GITHUB_ACTIONS", "table": "top", "limit": 4}, ["--ci", "GITHUB_ACTIONS", "--limit", "4"]),
    "causes": ({"table": "kinds", "team": "web", "limit": 3}, ["--team", "web", "--limit", "3"]),
    "retention": ({"retention": 14, "cost_per_minute": 0.1}, ["--retention", "14", "--cost-per-minute", "0.1"]),
    "sessions": ({"table": "percentiles", "until": datetime(2026, 11, 1, tzinfo=UTC)}, ["--until", "2026-11-01"]),
    "compare": ({"a": "team=web", "b": "team=platform", "table": "by_ci"}, ["team=web", "team=platform"]),
    "doctor": ({"since": "2026-09-15T00:00Z"}, ["--since", "2026-09-15"]),
}  # fmt: skip


@pytest.mark.parametrize("name", QUESTIONS)
def test_it_answers_what_the_command_line_answers(name: str, archive: Path, cli: Cli) -> None:
    asked, arguments = QUESTIONS[name]
    told = cli(name, archive, *arguments, "--format", "json").json
    with analyzer.load(archive) as log:
        frame = getattr(log, name)(**asked)
        assert log.accounting.read == told["input"]["read"]
        assert log.accounting.kept == told["input"]["kept"]
    tables = {table["name"]: table["rows"] for table in told["tables"]}
    primary = {"stats": "by_day", "retention": "curve", "doctor": "findings"}
    rows = tables[asked.get("table", primary.get(name))]
    assert rows
    if name == "doctor":  # its remedies name options, each front end in its own spelling
        frame, rows = frame.drop("remedy"), [{key: row[key] for key in row if key != "remedy"} for row in rows]
    times = [name for name, kind in frame.schema.items() if kind == pl.Datetime]
    read = [{**row, **{time: row[time] and datetime.fromisoformat(row[time]) for time in times}} for row in rows]
    utc = frame.with_columns(pl.col(times).dt.replace_time_zone("UTC"), pl.col(pl.Date).cast(pl.String))
    assert utc.to_dicts() == read


def test_columns_have_the_type_of_their_unit(archive: Path) -> None:
    with analyzer.load(archive) as log:
        empty = log.stats(by="team", until="2001-01-01")
        totals = log.stats()
        assert empty.height == 0
        assert "the filters match none" in " ".join([*log.notes, *_notes(log)])
    types = {"lookups": pl.Int64, "hit_rate": pl.Float64, "time_saved_ms": pl.Float64, "first_at": pl.Datetime("us")}
    assert {name: totals.schema[name] for name in types} == types
    assert {name: empty.schema[name] for name in types} == types
    assert empty.schema["team"] == pl.String


BERLIN = ["2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-11-03T08:15Z", ...]
"""Times in two hours of one name, as summer time ends, one in another month, and none."""


def test_buckets_of_time_are_times(tmp_path: Path) -> None:
    events = [event(hash=str(number), timestamp=at) for number, at in enumerate(BERLIN)]
    (tmp_path / "log").write_text(ndjson(events))
    with analyzer.load(tmp_path / "log") as log:
        found = {by: log.stats(by=by, tz="Europe/Berlin")[by] for by in ("hour", "day", "week", "month")}
        assert log.stats(by="hour", until="2001-01-01").schema["hour"] == pl.Datetime("us", "UTC")
        with pytest.raises(analyzer.UsageError, match="tz='PST': not a time zone of Polars"):
            log.stats(by="hour", tz="PST")
    assert found["hour"].dtype == pl.Datetime("us", "Europe/Berlin")
    written = found["hour"].dt.to_string("%Y-%m-%dT%H:%M%:z").to_list()
    assert written == ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-11-03T09:00+01:00", None]
    assert found["day"].to_list() == [date(2026, 10, 25), date(2026, 11, 3), None]
    assert found["week"].to_list() == [date(2026, 10, 19), date(2026, 11, 2), None]
    assert found["month"].to_list() == [date(2026, 10, 1), date(2026, 11, 1), None]


def _notes(log: analyzer.Log) -> list[str]:
    log.stats(until="2001-01-01")
    return list(log.notes)


def test_lazy_frames_stream_the_whole_log(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analyzer.api.log.ROWS_PER_BATCH", 1000)
    with analyzer.load(archive) as log:
        for name, lazy in (("events", log.events()), ("lookups", log.lookups())):
            whole = log.sql(f"FROM {name}")
            columns = lazy.collect_schema().names()
            found = lazy.collect(engine="streaming")
            assert found.height == whole.height > 1000
            assert found.sort(columns).equals(whole.select(columns).sort(columns))
        rate = log.lookups().select((pl.col("outcome") != "miss").mean()).collect().item()
        assert rate == pytest.approx(log.stats()["hit_rate"].item())
        assert log.events().filter(pl.col("team") == "web").select("hash").head(5).collect().shape == (5, 1)
        assert log.events().head(3).collect().height == 3


def test_lazy_frames_read_no_more_than_is_asked(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[int] = []
    real = LogHandle.read

    def read(handle: LogHandle, sql: str, params: dict[str, Any]) -> pl.DataFrame:
        if params:
            starts.append(params["start"])
        return real(handle, sql, params)

    monkeypatch.setattr("analyzer.api.log.ROWS_PER_BATCH", 1000)
    monkeypatch.setattr(LogHandle, "read", read)
    with analyzer.load(archive) as log:
        lazy = log.events()
        starts.clear()  # that of the schema
        assert lazy.head(3).collect().height == 3
    assert starts == [0]


def test_a_log_closes_while_a_lazy_frame_is_read(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analyzer.api.log.ROWS_PER_BATCH", 100)
    for _ in range(3):
        with analyzer.load(archive) as log:
            batches = log.events().collect_batches(chunk_size=100)
            assert next(iter(batches)).height > 0


def test_a_lazy_frame_outlives_its_log_but_not_its_closing(tmp_path: Path) -> None:
    (path := tmp_path / "log.ndjson").write_text(ndjson([event(hash=str(number)) for number in range(9)]))
    assert analyzer.load(path).events().collect().height == 9
    log = analyzer.load(path)
    lazy = log.events()
    log.close()
    with pytest.raises(analyzer.UsageError, match="the log is closed"):
        log.stats()
    with pytest.raises(Exception, match="the log is closed"):
        lazy.collect()


def test_nothing_is_printed_not_even_at_the_end() -> None:
    code = (
        "import analyzer\nlog = analyzer.load('sample_data')\nlazy = log.lookups()\nframe = log.stats(by='day')\n"
        "found = lazy.collect()\nlog.misses(); log.retention(); log.sessions(); log.compare(); log.doctor()\n"
        "log.causes()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_costs_nothing() -> None:
    code = "import sys, analyzer; assert not {'duckdb', 'polars', 'httpx', 'click'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_reads_no_environment(monkeypatch: pytest.MonkeyPatch, archive: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("TURBO_TEAM", "elsewhere")
    outcome = analyzer.replay(archive, api="https://cache.example.com", journal=tmp_path / "j.sqlite", team="web")
    assert outcome.plan
    assert set(outcome.plan.requests_by_team) == {"web"}


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no such filter": ({"tema": "web"}, analyzer.UsageError, "tema: no such filter; did you mean team?"),
    "no time": ({"since": "30m"}, analyzer.UsageError, "since='30m' is not a time"),
    "no choice": ({"source": "REMOT"}, analyzer.UsageError, "source='REMOT': 'LOCAL' or 'REMOTE'"),
    "no text": ({"team": 5}, analyzer.UsageError, "team=5: a text is expected"),
    "no text in a list": ({"by": ["day", 5]}, analyzer.UsageError, "by=5: a text is expected"),
    "no text to sort by": ({"by": "day", "sort": 5}, analyzer.UsageError, "sort=5: a text is expected"),
    "None as a time zone": ({"by": "day", "tz": None}, analyzer.UsageError, "tz: a text is expected"),
    "no table": ({"table": "classes"}, analyzer.UsageError, "table='classes': stats has totals"),
    "no dimension": ({"by": "tem"}, analyzer.UsageError, "by='tem': did you mean team?"),
    "no time zone": ({"by": "day", "tz": "Foo"}, analyzer.UsageError, "tz='Foo': no such time zone"),
    "no column": ({"by": "day", "sort": "hitrate"}, analyzer.UsageError, "sort='hitrate': did you mean hit_rate?"),
    "no groups": ({"limit": 3}, analyzer.UsageError, "limit applies to groups: add by"),
    "no SQL": ({"where": "foo=1"}, analyzer.QueryError, "where='foo=1': Binder Error"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_of_arguments(name: str, archive: Path) -> None:
    arguments, kind, words = WRONG[name]
    with analyzer.load(archive) as log, pytest.raises(kind) as raised:
        log.stats(**arguments)
    assert words in str(raised.value)
    assert "--" not in str(raised.value)


def test_other_errors_and_notes_name_parameters(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    told = []
    for failing in (
        lambda: analyzer.load(archive).sessions("nothing-so"),
        lambda: analyzer.load(archive).misses(event="HIT"),
        lambda: analyzer.load(archive).compare("team=web", "team=data", team="web"),
        lambda: analyzer.load(tmp_path / "notes.txt"),
        lambda: analyzer.load(archive, SAMPLE),
        lambda: analyzer.load(SAMPLE / "acme" / "until-10-15.parquet", view="runs"),
    ):
        with pytest.raises(analyzer.AnalyzerError) as raised:
            failing()
        told.append(str(raised.value))
    with analyzer.load(archive) as log:
        log.stats(by="day", limit=2)
        told += log.notes
        log.stats(source="REMOTE")
        told += log.notes
        log.compare(limit=1)
        told += log.notes
    assert "id='nothing-so': no session or run has such an id" in told[0]
    assert told[2] == "A: team=web: team is also given for both sides; give it only once"
    assert "view='runs': the input has no run summary" in told[5]
    assert any(note.endswith("groups shown (limit)") for note in told)
    assert (
        "source, event, status and where select single events, not whole lookups: rates are of the selected events"
        in told
    )
    assert not [one for one in told if re.search(r"--(?!summarize)|analyzer [a-z]", one)]


def named_options() -> set[str]:
    """Options that the library speaks of."""
    texts = [path.read_text() for path in (ROOT / "analyzer").rglob("*.py") if path.parts[-2] != "cli"]
    return {name for text in texts for name in re.findall(r'\bOption\("(\w+)"', text)}


def test_what_messages_name_is_a_parameter_and_an_option(cli: Cli) -> None:
    questions = [getattr(analyzer.Log, name) for name in QUESTIONS] + [analyzer.load, analyzer.replay]
    parameters = {name for one in questions for name in inspect.signature(one).parameters} | {*Filters.__annotations__}
    relations = {"rejects"}  # a relation of SQL, where the command line has an option
    assert named_options() - parameters == relations
    commands = ("stats", "misses", "causes", "load", "replay", "journal resolve")
    options = " ".join(cli(*command.split(), "--help").out for command in commands)
    only_in_python = {"a", "id", "run", "baseline", "token", "table"}
    for name in named_options() - only_in_python:
        assert f"{spell_options(Message(Option(name)))} " in options.replace("\n", " ").replace("/", " "), name


def test_errors_of_sources(tmp_path: Path, archive: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    (tmp_path / "bad.ndjson").write_text(ndjson([event(), event(duration="12")]))
    with pytest.raises(analyzer.UsageError, match="no source"):
        analyzer.load()
    with pytest.raises(analyzer.UnreadableError, match="no such file"):
        analyzer.load(tmp_path / "missing")
    with pytest.raises(analyzer.NotALogError):
        analyzer.load(tmp_path / "notes.txt")
    with pytest.raises(analyzer.RejectedError):
        analyzer.load(tmp_path / "bad.ndjson", strict=True)
    with pytest.raises(analyzer.QueryError):
        analyzer.load(archive).sql("DROP TABLE events")
    with analyzer.load(tmp_path / "bad.ndjson") as log:
        assert (log.accounting.kept, log.accounting.rejected) == (1, 1)
        assert log.sql("SELECT reason FROM rejects").height == 1


@pytest.mark.parametrize(
    "since",
    [
        "2026-09-01", date(2026, 9, 1), datetime(2026, 9, 1), datetime(2026, 9, 1, tzinfo=UTC),  # noqa: DTZ001
        datetime(2026, 9, 1, 2, tzinfo=timezone(timedelta(hours=2))), pl.Series([date(2026, 9, 1)]).item(),
    ],
)  # fmt: skip
def test_times_are_dates_or_datetimes(since: Any, tmp_path: Path) -> None:
    times = ("2026-08-31T23:59:59Z", "2026-09-01T00:00:00Z", "2026-09-01T01:00:00Z")
    events = [event(hash=at, timestamp=at) for at in times]
    (tmp_path / "log").write_text(ndjson(events))
    with analyzer.load(tmp_path / "log") as log:
        assert log.stats(since=since)["lookups"].item() == 2
        assert log.stats(until=since)["lookups"].item() == 1


@pytest.mark.parametrize("sources", [([SAMPLE, "b"],), ((SAMPLE,),), (iter(["b"]),), (5,), (SAMPLE, ["b"])])
def test_sources_are_given_apart(sources: tuple[Any, ...], tmp_path: Path) -> None:
    with pytest.raises(analyzer.UsageError, match=r"is not a path; unpack a list of sources: load\(\*paths\)"):
        analyzer.load(*sources)
    with pytest.raises(analyzer.UsageError, match=r"is not a path; unpack a list of sources: replay\(\*paths, …\)"):
        analyzer.replay(*sources, api="https://cache.example.com", journal=tmp_path / "j")


def test_two_logs_are_compared(tmp_path: Path) -> None:
    for name, hits in (("a", 3), ("b", 1)):
        events = [event(hash=str(n), event="HIT" if n < hits else "MISS", sessionId=f"{name}{n}") for n in range(4)]
        (tmp_path / name).write_text(ndjson(events))
    with analyzer.load(tmp_path / "a") as a, analyzer.load(tmp_path / "b") as b:
        assert a.compare(b=b, table="sides")["hit_rate"].to_list() == [0.75, 0.25]
        assert a.compare(b=b, hash=["1", "3"], table="sides")["hit_rate"].to_list() == [0.5, 0.0]
        with pytest.raises(analyzer.UsageError, match="a='hash=0': leave it out to compare two logs"):
            a.compare("hash=0", b)


def test_every_public_thing_says_what_it_is() -> None:
    methods = [one for name, one in inspect.getmembers(analyzer.Log, inspect.isfunction) if not name.startswith("_")]
    assert len(methods) >= 10
    for one in [analyzer.load, analyzer.replay, analyzer.Log, analyzer.Outcome, *methods]:
        assert inspect.getdoc(one), one


TABLES = {
    "stats": ["totals"], "misses": ["classes", "misses", "changed_hashes", "top"],
    "retention": ["curve", "steps", "observed"],
    "sessions": ["low_hit_rate", "time_lost", "percentiles"],
    "compare": ["change", "sides", "effects", "by_team", "by_ci", "by_task", "by_package"],
}  # fmt: skip


def test_docstrings_name_every_column(archive: Path) -> None:
    with analyzer.load(archive) as log:
        frames = {name: [getattr(log, name)(table=table) for table in tables] for name, tables in TABLES.items()}
        frames["stats"] += [log.stats(by=["day", "team"]), log.stats(by="hash", limit=1)]
        frames["misses"] += [log.misses(by="task", table="top")]
        frames["sessions"] += [log.sessions("3LxjHboe", table=table) for table in ("lookups", "session")]
        frames["causes"] = [
            log.causes(table=table) for table in ("causes", "kinds", "totals", "suspects", "same_commit")
        ]
        frames["causes"] += [log.causes("3LxjHboe", table=table) for table in ("tasks", "causes", "changes", "run")]
        frames |= {"doctor": [log.doctor()], "events": [log.events().collect()], "lookups": [log.lookups().collect()]}
        for name, found in frames.items():
            told = set(re.findall(r"`(\w+)`", inspect.getdoc(getattr(log, name)) or ""))
            columns = {re.sub("_(low|high)$", "", column) for frame in found for column in frame.columns}
            groups = {"task", "package"} if name == "compare" else set()
            assert columns - groups - told - {"team", "ci"} == set(), name
            assert "Raises:" in (inspect.getdoc(getattr(log, name)) or ""), name


def test_repr_names_the_open_sources(archive: Path) -> None:
    log = analyzer.load(archive)
    assert repr(log) == f"<analyzer.Log {str(archive)!r}, view='events', 120,426 events>"
    log.close()
    assert repr(log).endswith("120,426 events, closed>")
    many = analyzer.load(*sorted((RECORDED / "runs").iterdir())[:5])
    assert re.fullmatch(r"<analyzer.Log '.*' and 4 more, view='runs', \d+ events>", repr(many))


BAD: dict[str, dict[str, Any]] = {
    "stats": {"limit": 0, "restore_cost": (1,), "cost_per_minute": float("nan"), "tz": "Mars", "since": 5},
    "misses": {"by": "foo", "limit": -1, "retention": -1, "table": "top classes"},
    "retention": {"retention": float("inf"), "cost_per_minute": -1},
    "sessions": {"id": "zzz", "limit": True, "retention": "7"},
    "compare": {"a": "team=web", "limit": 0, "interactive": "yes"},
}


@pytest.mark.parametrize(("name", "argument"), [(name, one) for name, bad in BAD.items() for one in bad])
def test_nonsense_arguments_are_usage_errors(name: str, argument: str, archive: Path) -> None:
    with analyzer.load(archive) as log, pytest.raises(analyzer.UsageError):
        getattr(log, name)(**{argument: BAD[name][argument]})


@pytest.mark.parametrize(
    "bad", [{"format": "foo"}, {"columns": {"x": "y"}}, {"view": "bad"}, {"into": "/nope/a.duckdb"}]
)
def test_what_cannot_be_loaded_so(bad: dict[str, Any]) -> None:
    with pytest.raises(analyzer.UsageError):
        analyzer.load(SAMPLE, **bad)


@pytest.mark.parametrize(
    "sql",
    ["SELECT 1 AS a, 2 AS a", "SELECT TIMETZ '10:00+02' AS t", "SELECT 1; SELECT 2", "SELECT error('late') AS a"],
)
def test_a_failing_query_is_a_query_error(sql: str, archive: Path) -> None:
    with analyzer.load(archive) as log:
        with pytest.raises(analyzer.QueryError):
            log.sql(sql)
        assert log.sql("SELECT 1 AS a").height == 1


def test_the_accounting_of_the_input_is_printed(tmp_path: Path) -> None:
    text = ndjson([{**event(), "extra": 1}, event(hash="h2")]) + "broken\n"
    (tmp_path / "cut.ndjson.gz").write_bytes(gzip.compress(text.encode())[:-4])
    (tmp_path / "same.ndjson").write_text(text)
    (tmp_path / "README.md").write_text("# no log\n")
    told = (
        "its gzip data is cut off",
        "unknown keys ignored: extra (1)",
        "its 3 events count once",
        "skipped (not an event log)",
        "1 of 6 events rejected; rejects lists all",
    )
    with analyzer.load(tmp_path) as log:
        of_input = log.notes
        log.stats(team="web")
        assert log.notes[: len(of_input)] == of_input
        assert "match none" in log.notes[-1]
    with analyzer.load(tmp_path, into=tmp_path / "a.duckdb") as log:
        assert log.notes == of_input
    for words in told:
        assert words in "\n".join(of_input)


def test_a_question_leaves_no_partial_lookups(archive: Path) -> None:
    with analyzer.load(archive) as log:
        for size in (100, 200):
            assert log.stats(where=[f"duration > {size}"], by="source").height > 0
        partial = "SELECT table_name FROM duckdb_tables() WHERE temporary AND table_name LIKE 'selection%'"
        assert log.sql(partial).height == 0


def test_a_log_keeps_durations_and_drops_the_tables_of_selections(archive: Path) -> None:
    with analyzer.load(archive) as log:
        for team in ("web", "data"):
            for retention in (1, 7):
                assert log.misses(team=team, retention=retention).height > 0
            assert log.sessions(team=team).height > 0
        derived = "SELECT table_name FROM duckdb_tables() WHERE temporary AND table_name LIKE 'derived%'"
        # Durations of tasks and of hashes, and eight of hashes that changed: none for each selection.
        assert len(log._handle.log().connection.execute(derived).fetchall()) == 10  # noqa: SLF001


def test_groups_are_sorted_by_money_where_there_is_some(archive: Path) -> None:
    with analyzer.load(archive) as log:
        found = log.stats(by="team", sort="-time_saved_cost", cost_per_minute=2)["time_saved_cost"]
        known = found.drop_nulls()
        assert found.to_list() == [*sorted(known, reverse=True), *[None] * found.null_count()]
        assert 0 < found.null_count() < found.len()
        with pytest.raises(analyzer.UsageError, match="sort='time_saved_cost': did you mean time_saved_ms"):
            log.stats(by="team", sort="-time_saved_cost")
