"""`causes`: examples worked by hand, and the brute-force oracle on generated repositories and changes."""

import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brute_causes as slow
import pytest
from conftest import RECORDED, Cli, report_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from summaries import Package, Repository

from analyzer.archive.open_log import LoadObserver, OpenLog, open_log
from analyzer.archive.selection import Selection
from analyzer.archive.staging import ReadOptions
from analyzer.questions.causes import causes
from analyzer.questions.hash_changes import explain_changes, listed_tasks
from analyzer.questions.options import CausesOptions


def chain() -> Repository:
    """`app` depends on `ui`, which depends on `config`; `docs` depends on nothing."""
    return Repository({
        "config": Package(), "ui": Package(["config"]), "app": Package(["ui"]), "docs": Package(),
    })  # fmt: skip


def causes_of(cli: Cli, log: Callable[..., Path], repository: Repository, *options: str) -> Any:
    return report_of(cli, "causes", log(repository.text(), "runs.json"), *options)


def test_by_hand(cli: Cli, log: Callable[..., Path]) -> None:
    # Run 0 is the first of all four tasks. Then one file of `config` changes, which invalidates `ui` and `app` as well;
    # then the lockfile of `app` and, at the same time, a file of `ui`; then nothing.
    repository = chain()
    repository.run()
    repository.packages["config"].files["index.js"] = "2"
    repository.run(duration_ms=2000)
    repository.packages["app"].lockfile = "2"
    repository.packages["ui"].files["more/new.js"] = "1"
    last = repository.run(duration_ms=4000)
    repository.run()
    found = causes_of(cli, log, repository)
    (totals,) = found.table("totals")
    # 4 misses in run 0, 3 in run 1, 2 in run 2.
    counts = [totals[name] for name in ("misses", "changed", "new_tasks", "same_hash", "unlisted")]
    assert counts == [9, 5, 4, 0, 0]
    # 3 tasks of 2 s, and 2 of 4 s. The hit of the last run says that each takes 1 s, which a HIT knows better.
    rows = {row["cause"]: row for row in found.table("causes")}
    assert rows.keys() == {"packages/config/index.js", "packages/ui/more/new.js", "lockfile"}
    config, new, lockfile = (rows[name] for name in ("packages/config/index.js", "packages/ui/more/new.js", "lockfile"))
    assert [config[name] for name in ("misses", "shared", "part", "tasks", "runs")] == [3, 0, 3, 3, 1]
    # `app` has two causes in run 2: each gets a half.
    assert [new[name] for name in ("misses", "shared", "part", "tasks", "runs")] == [2, 1, 1.5, 2, 1]
    assert [lockfile[name] for name in ("misses", "shared", "part", "tasks", "runs")] == [1, 1, 0.5, 1, 1]
    assert (lockfile["kind"], lockfile["name"], lockfile["example"]) == ("external_dependencies", "lockfile", last)
    assert sum(row["part"] for row in rows.values()) == totals["changed"]
    assert sum(row["time_lost_ms"] for row in rows.values()) == totals["time_lost_ms"]
    assert [row["share"] for row in rows.values()] == [0.6, 0.3, 0.1]
    kinds = {row["kind"]: (row["misses"], row["part"], row["causes"]) for row in found.table("kinds")}
    assert kinds == {"file": (5, 4.5, 2), "external_dependencies": (1, 0.5, 1)}


def test_one_run_by_hand(cli: Cli, log: Callable[..., Path]) -> None:
    repository = chain()
    first = repository.run()
    repository.packages["config"].files |= {"index.js": "2", "new.js": "1"}
    repository.packages["new"] = Package(["config"])
    second = repository.run()
    path = log(repository.text(), "runs.json")
    found = report_of(cli, "causes", path, second)
    (run,) = found.table("run")
    assert [run[name] for name in ("run", "baseline", "tasks", "misses", "changed", "same_hash", "new_tasks")] == [
        second, first, 5, 4, 3, 1, 1,
    ]  # fmt: skip
    tasks = {row["task"]: (row["hash_is"], row["changes"], row["causes"]) for row in found.table("tasks")}
    files = "packages/config/index.js, packages/config/new.js"
    assert tasks == {
        "config#build": ("changed", files, files),
        "ui#build": ("changed", "dependency config#build", files),
        "app#build": ("changed", "dependency ui#build", files),
        "new#build": ("new", None, "no earlier run of the task"),
    }
    changes = [tuple(row.values()) for row in found.table("changes")]
    assert changes == [
        ("changed", "file", "packages/config/index.js", 1, "config#build"),
        ("added", "file", "packages/config/new.js", 1, "config#build"),
        ("changed", "dependency", "config#build", 1, "ui#build"),
        ("changed", "dependency", "ui#build", 1, "app#build"),
    ]
    assert {row["cause"]: row["tasks"] for row in found.table("causes")} == dict.fromkeys(files.split(", "), 3)
    # Against itself, nothing changed; the other way round, the new file was removed.
    assert report_of(cli, "causes", path, second, second).table("changes") == []
    back = report_of(cli, "causes", path, first, second).table("changes")
    assert ("removed", "packages/config/new.js") in {(row["change"], row["input"]) for row in back}
    (docs,) = report_of(cli, "causes", path, second, "--task", "docs#build").table("tasks")
    assert (docs["hash_is"], docs["outcome"]) == ("same", "remote_hit")


def test_the_baseline_is_the_last_run_of_the_branch(cli: Cli, log: Callable[..., Path]) -> None:
    repository = chain()
    repository.run()  # main
    repository.packages["docs"].files["index.js"] = "2"
    repository.branch = "feature"
    repository.run()  # the first run of a branch is compared with the last of any branch
    repository.packages["docs"].files["index.js"] = "1"
    repository.global_files["tsconfig.json"] = "2"
    repository.branch = "main"
    last = repository.run()  # with the first run, not with that of the other branch
    found = {row["cause"]: row["misses"] for row in causes_of(cli, log, repository).table("causes")}
    assert found == {"packages/docs/index.js": 1, "tsconfig.json": 4}
    (run,) = causes_of(cli, log, repository, last).table("run")
    assert run["baseline"] == "run0000"


def test_an_unchanged_hash_and_a_changed_key(cli: Cli, log: Callable[..., Path]) -> None:
    repository = chain()
    repository.run()
    repository.cached.clear()
    repository.run()
    repository.version, repository.key = "3.0.0", "key 2"
    repository.packages["docs"].files["index.js"] = "2"  # every hash changes: whether this one would have is unknown
    repository.run()
    found = causes_of(cli, log, repository)
    assert {name: found.table("totals")[0][name] for name in ("changed", "same_hash")} == {"changed": 4, "same_hash": 4}
    ((cause, misses),) = {(row["cause"], row["misses"]) for row in found.table("causes")}
    assert (cause, misses) == ("turbo 2.11.11 → 3.0.0", 4)


def test_suspects_and_what_to_write(cli: Cli, log: Callable[..., Path]) -> None:
    repository = chain()
    repository.packages["ui"].variables["MODE"] = "production"
    for number in range(8):
        repository.packages["ui"].files["src/version.ts"] = f"{number}"
        repository.global_variables["CI_COMMIT"] = f"{number}"
        repository.packages["docs"].files["index.js"] = f"{number // 3}"
        repository.run()
    suspects = {row["cause"]: row for row in causes_of(cli, log, repository).table("suspects")}
    assert suspects.keys() == {"packages/ui/src/version.ts", "global variable CI_COMMIT"}
    file, variable = suspects["packages/ui/src/version.ts"], suspects["global variable CI_COMMIT"]
    # The first run of a task has no baseline: 7 changes, in 7 runs since the first of them.
    assert [file[name] for name in ("tasks", "runs", "changed_share")] == [2, 7, 1]
    assert [variable[name] for name in ("tasks", "runs", "changed_share")] == [4, 7, 1]
    assert file["advice"] == 'if no output depends on it, in "build": "inputs": ["$TURBO_DEFAULT$", "!**/version.ts"]'
    assert 'move it from "globalEnv" to "globalPassThroughEnv"' in variable["advice"]


def test_one_commit_and_two_hashes(cli: Cli, log: Callable[..., Path]) -> None:
    repository = chain()
    repository.sha = "c" * 40
    repository.run()
    repository.packages["docs"].variables["NOW"] = "1"
    repository.run()
    repository.packages["docs"].variables["NOW"] = "2"
    last = repository.run()
    repository.sha = "d" * 40
    repository.packages["app"].files["index.js"] = "2"
    repository.run()
    path = log(repository.text(), "runs.json")
    rows = report_of(cli, "causes", path).table("same_commit")
    found = [(row["cause"], row["tasks"], row["commits"], row["runs"], row["commit"], row["example"]) for row in rows]
    # Between the first two runs, turbo.json changed: it begins to name the variable.
    assert ("variable NOW", 1, 1, 1, "c" * 40, last) in found
    assert {row[0] for row in found} == {"variable NOW", "build.env in turbo.json"}
    findings = {row["finding"]: row["what"] for row in report_of(cli, "doctor", path).table("findings")}
    assert "same commit: 1 (commits: 1); such as docs#build" in findings["unreproducible_hashes"]


Edit = Callable[[dict[str, Any]], object]


def task_of(summary: dict[str, Any]) -> dict[str, Any]:
    return next(task for task in summary["tasks"] if task["package"] == "docs")


# Edits of a summary and of that of the next run, and the causes of `docs#build` in the latter.
ONE_EDIT: dict[str, tuple[Edit, Edit, set[str]]] = {
    "a file of a single-package repository, which is a global file too": (
        lambda _: None,
        lambda one: (task_of(one)["inputs"].update({"../../package-lock.json": "2"}),
                     one["globalCacheInputs"]["files"].update({"package-lock.json": "2"})),
        {"package-lock.json"},
    ),
    "a variable of the task and of all": (
        lambda one: (task_of(one)["environmentVariables"].update(configured=["A=1"]),
                     one["globalCacheInputs"]["environmentVariables"].update(configured=["A=1"])),
        lambda one: (task_of(one)["environmentVariables"].update(configured=["A=2"]),
                     one["globalCacheInputs"]["environmentVariables"].update(configured=["A=2"])),
        {"global variable A"},
    ),
    "turbo.json of a package": (
        lambda one: task_of(one)["inputs"].update({"turbo.json": "1"}),
        lambda one: (task_of(one)["inputs"].update({"turbo.json": "2"}),
                     task_of(one)["resolvedTaskDefinition"].update(outputs=["other/**"])),
        {"packages/docs/turbo.json"},
    ),
    "passThroughEnv, which sets the mode in turbo 1": (
        lambda one: task_of(one).update(envMode="loose"),
        lambda one: (task_of(one).update(envMode="strict"),
                     task_of(one)["resolvedTaskDefinition"].update(passThroughEnv=["A"])),
        {"build.passThroughEnv in turbo.json"},
    ),
    "the mode alone": (
        lambda one: task_of(one).update(envMode="loose"), lambda one: task_of(one).update(envMode="strict"),
        {"environment mode"},
    ),
    "the order of names": (
        lambda one: task_of(one)["resolvedTaskDefinition"].update(outputs=["a", "b"]),
        lambda one: task_of(one)["resolvedTaskDefinition"].update(outputs=["b", "a"]), {"nothing that a summary shows"},
    ),
    "a variable that turbo infers from the framework": (
        lambda one: task_of(one)["environmentVariables"].update(inferred=["NEXT_PUBLIC_A=1"]),
        lambda one: task_of(one)["environmentVariables"].update(inferred=["NEXT_PUBLIC_A=2"]),
        {"variable NEXT_PUBLIC_A"},
    ),
    "engines": (
        lambda _: None, lambda one: one["globalCacheInputs"].update(engines={"node": "22"}), {"engines"},
    ),
    "an older way to write it": (
        lambda one: task_of(one)["environmentVariables"].update(inferred=[]),
        lambda one: (task_of(one)["environmentVariables"].pop("inferred"), one["globalCacheInputs"].pop("engines")),
        {"nothing that a summary shows"},
    ),
    "another version that computes the same": (
        lambda _: None, lambda one: one.update(turboVersion="2.12.0"), {"turbo 2.11.11 → 2.12.0"},
    ),
    "no inputs at all": (
        lambda one: task_of(one).pop("inputs"), lambda one: task_of(one).update(inputs=None, dependencies="none"),
        {"nothing that a summary shows"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_EDIT)
def test_one_edit_is_one_cause(name: str, cli: Cli, log: Callable[..., Path]) -> None:
    before, after, expected = ONE_EDIT[name]
    repository = chain()
    repository.run()
    repository.run()
    before(repository.runs[0])
    after(repository.runs[1])
    task_of(repository.runs[1])["hash"] = "another"
    (task,) = causes_of(cli, log, repository, "run0001", "--task", "docs#build").table("tasks")
    assert set(task["causes"].split(", ")) == expected


def test_a_new_dependency_that_changed_at_the_same_time(cli: Cli, log: Callable[..., Path]) -> None:
    """Its edit is no cause: without it, the hash would have changed as well."""
    repository = chain()
    repository.run()
    repository.packages["docs"].depends = ["config"]
    repository.packages["config"].files["index.js"] = "2"
    found = causes_of(cli, log, repository, repository.run(["docs"]))
    assert {row["task"]: row["causes"] for row in found.table("tasks")} == {
        "config#build": "packages/config/index.js", "docs#build": "dependency config#build",
    }  # fmt: skip
    assert ("added", "config#build") in {(row["change"], row["input"]) for row in found.table("changes")}


def test_the_turbo_json_of_a_package_hides_no_definition_of_all(cli: Cli, log: Callable[..., Path]) -> None:
    repository = chain()
    repository.packages["docs"].files["turbo.json"] = "1"
    repository.run()
    repository.packages["docs"].files["turbo.json"] = "2"
    repository.global_variables["G"] = "1"
    found = causes_of(cli, log, repository, repository.run(), "--task", "docs#build")
    assert {row["cause"] for row in found.table("causes")} == {"packages/docs/turbo.json", "globalEnv in turbo.json"}


def test_tasks_that_depend_on_each_other(cli: Cli, log: Callable[..., Path]) -> None:
    """Turbo refuses them; a summary that has them is answered all the same."""
    repository = chain()
    repository.run()
    repository.run()
    for run in repository.runs:
        for task, needed in (("config", "app#build"), ("app", "config#build")):
            next(one for one in run["tasks"] if one["package"] == task)["dependencies"] = [needed]
    for task in repository.runs[1]["tasks"]:
        task["hash"] += "x"
    found = causes_of(cli, log, repository, "run0001")
    assert {row["causes"] for row in found.table("tasks")} == {"nothing that a summary shows"}


def test_no_value_is_kept(cli: Cli, log: Callable[..., Path], tmp_path: Path) -> None:
    # A client could show values as they are, and arguments are such values.
    repository = chain()
    repository.run()
    repository.arguments = ("--token", "hunter2")
    repository.run()
    text = repository.text().replace('"configured": []', '"configured": ["PASSWORD=hunter2"]')
    path = log(text, "runs.json")
    assert cli("load", path, "--into", tmp_path / "a.duckdb").code == 0
    for name in ("causes", "sql"):
        out = cli(name, tmp_path / "a.duckdb", *(["FROM inputs"] if name == "sql" else []), "--format", "json")
        assert out.code == 0
        assert "hunter2" not in out.out + out.err
    assert b"hunter2" not in (tmp_path / "a.duckdb").read_bytes()


@pytest.mark.parametrize(("options", "message"), [
    (["nothing"], "no run summary has such an id, or such a session"), (["run"], "several runs match"),
    (["run0001", "--task", "ui#biuld"], "the run has no such task; did you mean ui#build?"),
    (["--view", "events"], "only run summaries show what changed a hash"),
    (["--event", "MISS"], "needs both events of a lookup"),
])  # fmt: skip
def test_what_cannot_be_answered(cli: Cli, log: Callable[..., Path], options: list[str], message: str) -> None:
    repository = chain()
    repository.run()
    repository.run()
    result = cli("causes", log(repository.text(), "runs.json"), *options)
    assert (result.code, message in result.err) == (2, True), result.err


def test_without_run_summaries(cli: Cli, log: Callable[..., Path]) -> None:
    result = cli("causes", log('{"sessionId":"s","source":"LOCAL","event":"HIT","hash":"h","duration":1}\n'))
    assert (result.code, "no run summary; `turbo run … --summarize`" in result.err) == (2, True)


# What the recordings say was edited, and in which package.
RECORDED_EDITS = {
    "one leaf package edited (apps/web)": "apps/web", "a root library edited (packages/types)": "packages/types",
    "docs edited": "apps/docs", "after edit of ui": "packages/ui", "api edited": "apps/api",
}  # fmt: skip


def test_recorded_edits(cli: Cli, oracle: list[dict[str, Any]], tmp_path: Path) -> None:
    """Of real runs, what was edited is the cause of all misses that turbo printed, and of nothing more."""
    archive, checked = tmp_path / "runs.duckdb", 0
    assert cli("load", RECORDED / "runs", "--into", archive).code == 0
    for run in oracle:
        edited = [package for text, package in RECORDED_EDITS.items() if text in run["desc"]]
        if not edited or not run["summary_file"]:
            continue
        missed = run["printed"]["total"] - run["printed"]["cached"]
        found = report_of(cli, "causes", archive, run["summary_file"].partition("-")[2].partition(".")[0])
        causes = [(row["cause"], row["misses"]) for row in found.table("causes") if row["misses"]]
        assert causes == ([(f"{edited[0]}/src/index.js", missed)] if missed else []), run["desc"]
        checked += 1
    assert checked >= 12


def some(repository: Repository, rng: random.Random) -> Package:
    return repository.packages[rng.choice(list(repository.packages))]


def change_dependencies(repository: Repository, rng: random.Random) -> None:
    number = rng.randrange(len(repository.packages))
    names = list(repository.packages)
    repository.packages[names[number]].depends = [name for name in names[:number] if rng.random() < 0.4]


CHANGES: dict[str, Callable[[Repository, random.Random], None]] = {
    "file": lambda repo, rng: some(repo, rng).files.__setitem__(f"f{rng.randrange(3)}", f"{rng.randrange(3)}"),
    "removed": lambda repo, rng: some(repo, rng).files.pop(f"f{rng.randrange(3)}", None) and None,
    "variable": lambda repo, rng: some(repo, rng).variables.__setitem__("V", f"{rng.randrange(3)}"),
    "lockfile": lambda repo, rng: setattr(some(repo, rng), "lockfile", f"{rng.randrange(3)}"),
    "outputs": lambda repo, rng: setattr(some(repo, rng), "outputs", [f"{rng.randrange(2)}/**"]),
    "global file": lambda repo, rng: repo.global_files.__setitem__("g", f"{rng.randrange(3)}"),
    "global variable": lambda repo, rng: repo.global_variables.__setitem__("G", f"{rng.randrange(3)}"),
    "arguments": lambda repo, rng: setattr(repo, "arguments", rng.choice([(), ("--x",)])),
    "version": lambda repo, rng: setattr(repo, "version", f"2.{rng.randrange(3)}"),
    "key": lambda repo, rng: rng.random() < 0.2 and setattr(repo, "key", f"{rng.randrange(2)}"),
    "dependency": change_dependencies,
    "branch": lambda repo, rng: setattr(repo, "branch", rng.choice(["main", "x", None])),
    "purge": lambda repo, _: repo.cached.clear(),
}


def random_repository(seed: int) -> Repository:
    rng = random.Random(seed)  # noqa: S311
    names = [f"p{number}" for number in range(rng.randint(1, 7))]
    repository = Repository({name: Package([one for one in names[:number] if rng.random() < 0.4])
                             for number, name in enumerate(names)})  # fmt: skip
    for _ in range(rng.randint(1, 12)):
        for _ in range(rng.randint(0, 3)):
            CHANGES[rng.choice(list(CHANGES))](repository, rng)
        repository.run(rng.sample(names, rng.randint(1, len(names))) if rng.random() < 0.4 else ())
    return repository


def opened(directory: Path, repository: Repository) -> Any:
    path = directory / "runs.json"
    path.write_text(repository.text())
    return open_log([str(path)], ReadOptions(), LoadObserver())


def found_roots(log: OpenLog) -> dict[tuple[str, str], set[slow.Cause]]:
    """The root causes of each pair of a task and its baseline, by run and task."""
    changes, listed = explain_changes(log), listed_tasks(log)
    rows = log.connection.execute(
        f"SELECT run, t.name, kind, r.name FROM {changes.roots} r JOIN {changes.changed} USING (id, base)"
        f" JOIN {listed} t USING (id) JOIN store.run n ON n.id = t.run_id"
    ).fetchall()
    roots = defaultdict[tuple[str, str], set[slow.Cause]](set)
    for run, task, kind, name in rows:
        roots[run, task].add((kind, name))
    return roots


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**9))
def test_against_brute_force(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    repository = random_repository(seed)
    oracle = slow.Oracle(repository.runs)
    with opened(tmp_path_factory.mktemp("runs"), repository) as log:
        roots = found_roots(log)
        for (run, name), expected in oracle.misses().items():
            assert roots.get((f"run{run:04}", name), set()) == set(expected or ()), (run, name)
        report = causes(log, Selection(), CausesOptions(limit=1_000_000))
    tables = {table.name: list(table.records()) for table in report.tables}
    (totals,) = tables["totals"]
    misses = oracle.misses().values()
    assert totals["misses"] == len(misses)
    assert totals["changed"] == sum(bool(one) for one in misses)
    assert totals["new_tasks"] == sum(one == frozenset() for one in misses)
    assert totals["same_hash"] == sum(one is None for one in misses)
    parts = {(row["kind"], row["name"] or ""): row["part"] for row in tables["causes"]}
    assert parts == pytest.approx({cause: float(part) for cause, part in oracle.parts().items()})
    for name in ("kinds", "causes"):
        assert sum(row["part"] for row in tables[name]) == pytest.approx(totals["changed"])
        if totals["changed"]:
            assert sum(row["time_lost_ms"] for row in tables[name]) == pytest.approx(totals["time_lost_ms"])


def closure(summary: dict[str, Any], name: str) -> set[str]:
    tasks = {task["taskId"]: task for task in summary["tasks"]}
    if name not in tasks:
        return set()
    return {name}.union(*(closure(summary, one) for one in tasks[name]["dependencies"]))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**9))
def test_every_root_is_a_real_change(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    repository = random_repository(seed)
    with opened(tmp_path_factory.mktemp("runs"), repository) as log:
        roots = found_roots(log)
    runs = {summary["id"]: summary for summary in repository.runs}
    for (run, name), found in roots.items():
        for kind, cause in found - {("unknown", "")}:
            if kind in ("turbo_version", "dependency"):
                continue
            # Some task that it depends on has another value of this input in some earlier run.
            values = {
                str(slow.inputs(summary, task).get((kind, cause)))
                for summary in repository.runs if summary["id"] <= run
                for task in summary["tasks"] if task["taskId"] in closure(runs[run], name)
            }  # fmt: skip
            assert len(values) > 1, (run, name, kind, cause)


def test_a_run_is_found_by_the_id_of_its_session(cli: Cli, sample_archive: Path) -> None:
    """`sessions` lists the sessions that lost most: their ids explain them."""
    by_session = report_of(cli, "causes", sample_archive, "438acb7f").table("run")
    assert by_session == report_of(cli, "causes", sample_archive, "3KMfq97GUthvIQH84dcbWioURb9").table("run")


def test_how_many_lookups_have_a_package(cli: Cli, sample_archive: Path) -> None:
    note = "note: only run summaries name the package: they do so for 14,395 of 63,280 lookups"
    for question in ("stats", "misses"):
        assert note in cli(question, sample_archive, "--by", "team,package", "--limit", "1").err
    assert "run summaries name" not in cli("stats", sample_archive, "--by", "package", "--team", "none").err
