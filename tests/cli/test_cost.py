"""Money beside time, and what is saved net of restoring."""

import json
from typing import Any

import pytest
from conftest import RECORDED, Cli, Result, event, report_of

HOUR = 3_600_000


def hit(session: str, name: str, source: str = "LOCAL", **more: Any) -> dict[str, Any]:
    return event(sessionId=session, hash=name, source=source, event="HIT", **more)


def miss(session: str, name: str, source: str = "REMOTE", **more: Any) -> dict[str, Any]:
    return event(sessionId=session, hash=name, source=source, event="MISS", **{"duration": 0, **more})


DAYS = ["2026-03-02T09:00:00Z", "2026-03-05T09:00:00Z", "2026-03-12T09:00:00Z"]
# Hits of an hour, of a third of one and of unknown duration; h4 is missed twice, and takes a quarter of an hour.
EVENTS = [
    hit("a", "h1", duration=HOUR, timestamp=DAYS[0], slug="web"),
    hit("a", "h2", "REMOTE", duration=HOUR / 3, timestamp=DAYS[0], slug="web"),
    hit("a", "h3", "REMOTE", duration=0, timestamp=DAYS[0], slug="web"),
    miss("a", "h4", timestamp=DAYS[0], slug="web"),
    miss("b", "h4", timestamp=DAYS[1], slug="web"),
    hit("b", "h1", "REMOTE", duration=777, timestamp=DAYS[1], slug="web"),
    miss("c", "h1", timestamp=DAYS[2], slug="data"),
    hit("c", "h4", duration=HOUR / 4, timestamp=DAYS[2], slug="data"),
    miss("c", "h5", timestamp=DAYS[2], slug="data"),
]

COMMANDS = [
    (["stats"], {"totals": ["time_saved"]}),
    (["stats", "--by", "team"], {"totals": ["time_saved"], "by_team": ["time_saved"]}),
    (["stats", "--by", "day,ci", "--restore-cost", "local=40,remote=600.5"],
     {"totals": ["time_saved", "net_saved"], "by_day_ci": ["time_saved", "net_saved"]}),
    (["misses"], {"misses": ["time_lost", "avoidable_time", "time_saved"], "classes": ["time_lost"],
                  "changed_hashes": ["time_lost"],
                  "top": ["avoidable_time"]}),
    (["retention"], {"observed": [], "curve": ["time_saved", "time_saved_a_week"], "steps": ["saved_a_week_change"]}),
    (["sessions"], {"low_hit_rate": ["time_lost", "time_saved"], "time_lost": ["time_lost", "time_saved"],
                    "percentiles": ["time_saved", "time_lost"]}),
    (["compare"], {"change": ["time_saved_change", "time_lost_change"], "sides": ["time_saved", "time_lost"],
                   "effects": [], "by_team": []}),
]  # fmt: skip


def without_money(result: Result) -> dict[str, Any]:
    document = result.json
    for table in document["tables"]:
        money = [column["name"] for column in table["columns"] if column["unit"].startswith("money")]
        table["columns"] = [column for column in table["columns"] if column["name"] not in money]
        table["rows"] = [{key: value for key, value in row.items() if key not in money} for row in table["rows"]]
    return document


@pytest.mark.parametrize(
    ("command", "expected"), COMMANDS, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_money_is_time_by_the_cost_of_a_minute(
    cli: Cli, log: Any, command: list[str], expected: dict[str, list[str]]
) -> None:
    """Behind each column of time stands its money, and nothing else changes."""
    (name, *options), cost = command, 0.008
    path = log(EVENTS)
    plain, priced = (
        report_of(cli, name, path, *options),
        report_of(cli, name, path, *options, "--cost-per-minute", cost),
    )
    assert without_money(priced) == plain.json
    amounts = []
    for table in priced.json["tables"]:
        names = [column["name"] for column in table["columns"]]
        assert [one.removesuffix("_cost") for one in names if one.endswith("_cost")] == expected[table["name"]]
        for column in expected[table["name"]]:
            assert names.index(f"{column}_cost") == names.index(f"{column}_ms") + 1
            for row in table["rows"]:
                time, money = row[f"{column}_ms"], row[f"{column}_cost"]
                assert money == (None if time is None else time / 60_000 * cost), (table["name"], column)
                amounts.append(money)
    assert any(amounts)


def test_money_by_hand(cli: Cli, log: Any) -> None:
    """h1, twice, h2 and h4: 60 minutes, 777 ms, 20 and 15 minutes, at 2 a minute."""
    (totals,) = report_of(cli, "stats", log(EVENTS), "--cost-per-minute", 2).table("totals")
    assert totals["time_saved_cost"] == pytest.approx(2 * (95 + 777 / 60_000))
    rows = report_of(cli, "stats", log(EVENTS), "--by", "team", "--cost-per-minute", 2).table("by_team")
    assert {row["team"]: row["time_saved_cost"] for row in rows} == {
        "web": pytest.approx(160 + 2 * 777 / 60_000), "data": 30,
    }  # fmt: skip


def test_money_of_one_session(cli: Cli, log: Any) -> None:
    """What is not known costs null, not 0."""
    result = report_of(cli, "sessions", log(EVENTS), "c", "--cost-per-minute", 3)
    (told,) = result.table("session")
    assert (told["time_saved_cost"], told["time_lost_cost"], told["warm_cache_saves_cost"]) == (45, 180, 225)
    assert {row["hash"]: (row["duration_ms"], row["duration_cost"]) for row in result.table("lookups")} == {
        "h1": (HOUR, 180), "h4": (HOUR / 4, 45), "h5": (None, None),
    }  # fmt: skip


def test_what_costs_nothing(cli: Cli, log: Any) -> None:
    (totals,) = report_of(cli, "stats", log(EVENTS), "--cost-per-minute", 0).table("totals")
    assert totals["time_saved_cost"] == 0


def test_null_stays_null(cli: Cli, log: Any) -> None:
    """The log has one moment, and so no weeks."""
    path = log([miss("a", "h1", timestamp=DAYS[0]), hit("b", "h1", "REMOTE", duration=5, timestamp=DAYS[0])])
    rows = report_of(cli, "retention", path, "--cost-per-minute", 1).table("curve")
    assert {(row["time_saved_a_week_ms"], row["time_saved_a_week_cost"]) for row in rows} == {(None, None)}


def test_money_for_people(cli: Cli, log: Any) -> None:
    table = cli("stats", log(EVENTS), "--cost-per-minute", "20", "--format", "markdown").out
    assert "| time saved cost | 1,900.26 |" in table
    csv = cli("stats", log(EVENTS), "--cost-per-minute", "20", "--format", "csv").out.splitlines()
    assert "time_saved_ms,time_saved_cost," in csv[0]
    saved = [miss("a", "h1", timestamp=DAYS[0]), hit("b", "h1", duration=60_000, timestamp=DAYS[2])]
    change = cli("compare", log(saved), "--cost-per-minute", "2.5", "--format", "markdown").out
    assert "| time saved change cost | +2.50 |" in change
    assert "| time lost change cost | -2.50 |" in change


def test_groups_are_sorted_by_money(cli: Cli, log: Any) -> None:
    """A column that is shown is one to sort by."""
    result = report_of(cli, "stats", log(EVENTS), "--by", "team", "--cost-per-minute", 2, "--sort", "time_saved_cost")
    assert [row["team"] for row in result.table("by_team")] == ["data", "web"]


@pytest.mark.parametrize(
    ("command", "cost"),
    [
        ("stats", "-1"),
        ("stats", "nan"),
        ("misses", "inf"),
        ("retention", "-0.1"),
        ("sessions", "much"),
        ("compare", ""),
    ],
)
def test_an_invalid_cost(cli: Cli, log: Any, command: str, cost: str) -> None:
    result = cli(command, log(EVENTS), "--cost-per-minute", cost)
    assert (result.code, result.out) == (2, "")
    assert "--cost-per-minute" in result.err


# --- net savings -----------------------------------------------------------------------------------------------------


def net(cli: Cli, path: Any, cost: str, *options: str) -> float:
    return report_of(cli, "stats", path, "--restore-cost", cost, *options).table("totals")[0]["net_saved_ms"]


@pytest.mark.parametrize(
    ("cost", "restoring"),
    [
        ("local=40,remote=600", 2 * 40 + 2 * 600),
        ("remote=600,local=40", 2 * 40 + 2 * 600),
        ("local=40", 2 * 40),
        ("remote=600", 2 * 600),
        ("local=0.5,remote=0.25", 1.5),
        ("local=0", 0),
    ],
)
def test_net_savings_by_hand(cli: Cli, log: Any, cost: str, restoring: float) -> None:
    """Two local and two remote hits have a duration; of the third remote one, h3, nothing is known, nor subtracted."""
    assert net(cli, log(EVENTS), cost) == 95 * 60_000 + 777 - restoring


def test_net_savings_may_be_a_loss(cli: Cli, log: Any) -> None:
    assert net(cli, log(EVENTS), "remote=600", "--session", "b") == 177
    assert net(cli, log(EVENTS), "remote=900", "--session", "b") == -123
    table = cli(
        "stats", log(EVENTS), "--session", "b", "--restore-cost", "remote=5400777", "--cost-per-minute", "2"
    ).out
    assert "-1 h 30 min" in table, "a long loss is written as a long gain is"
    assert "-180.00" in table


def test_a_lookup_found_in_both_caches_is_restored_locally(cli: Cli, log: Any) -> None:
    path = log([hit("a", "h", "LOCAL", duration=1000), hit("a", "h", "REMOTE", duration=1000)])
    assert net(cli, path, "local=1,remote=10") == 999


def test_nothing_known_is_an_unknown_saving(cli: Cli, log: Any) -> None:
    """As time saved is unknown there, with a coverage of 0."""
    (totals,) = report_of(cli, "stats", log([hit("a", "h", duration=0)]), "--restore-cost", "local=40").table("totals")
    assert (totals["time_saved_ms"], totals["net_saved_ms"], totals["duration_coverage"]) == (None, None, 0)


def test_net_savings_of_groups_add_up(cli: Cli, log: Any) -> None:
    options = ["--restore-cost", "local=40,remote=600", "--cost-per-minute", "0.5"]
    for by in ("team", "session", "hash", "day", "source"):
        result = report_of(cli, "stats", log(EVENTS), "--by", by, *options)
        (totals,) = result.table("totals")
        rows = result.table(f"by_{by}")
        assert sum(row["net_saved_ms"] or 0 for row in rows) == pytest.approx(totals["net_saved_ms"])
        assert sum(row["net_saved_cost"] or 0 for row in rows) == pytest.approx(totals["net_saved_cost"])
    by_source = {row["source"]: row["net_saved_ms"] for row in rows}
    assert by_source == {"LOCAL": HOUR * 5 / 4 - 80, "REMOTE": HOUR / 3 + 777 - 1200}
    ordered = report_of(cli, "stats", log(EVENTS), "--by", "hash", *options, "--sort", "-net_saved_ms").table("by_hash")
    assert [row["hash"] for row in ordered][:3] == ["h1", "h2", "h4"]


def test_net_savings_of_recordings(cli: Cli) -> None:
    (totals,) = report_of(cli, "stats", RECORDED / "requests.ndjson", "--restore-cost", "local=1,remote=100").table(
        "totals"
    )
    rows = report_of(cli, "stats", RECORDED / "requests.ndjson", "--by", "hash").table("by_hash")
    assert totals["time_saved_ms"] == pytest.approx(sum(row["time_saved_ms"] or 0 for row in rows))
    known = totals["duration_coverage"] * totals["hits"]
    least, most = totals["time_saved_ms"] - 100 * known, totals["time_saved_ms"] - known
    assert least < totals["net_saved_ms"] < most


def test_without_the_option_there_are_no_net_savings(cli: Cli, log: Any) -> None:
    assert "net_saved" not in json.dumps(report_of(cli, "stats", log(EVENTS), "--by", "team").json)


def test_the_definition_of_net_savings_runs_as_printed(cli: Cli, log: Any, tmp_path: Any) -> None:
    archive = tmp_path / "a.duckdb"
    cli("load", log(EVENTS), "--into", archive)
    result = report_of(cli, "stats", archive, "--restore-cost", "local=40,remote=600", "--explain")
    told = next(row for row in result.table("definitions") if row["name"] == "net_saved_ms")
    answer = report_of(cli, "sql", archive, told["sql"]).table("result")[0]
    assert list(answer.values()) == [result.table("totals")[0]["net_saved_ms"]]


@pytest.mark.parametrize(
    "cost", ["", "40", "local", "local=", "local=-1", "local=1,local=2", "local=1,", "disk=3", "local=nan"]
)
def test_an_invalid_restore_cost(cli: Cli, log: Any, cost: str) -> None:
    result = cli("stats", log(EVENTS), "--restore-cost", cost)
    assert (result.code, result.out) == (2, "")
    assert "local=40,remote=600" in result.err


def test_restore_cost_is_of_stats_alone(cli: Cli, log: Any) -> None:
    result = cli("misses", log(EVENTS), "--restore-cost", "local=1")
    assert (result.code, "--restore-cost" in result.err) == (2, True)
