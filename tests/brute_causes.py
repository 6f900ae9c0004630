"""Brute-force oracle of `causes`: compares tasks of run summaries input by input, as the definitions say.

It knows the inputs that `summaries.Repository` writes.
"""

from collections import defaultdict
from fractions import Fraction
from functools import cache
from typing import Any

Summary = dict[str, Any]
Cause = tuple[str, str]


def inputs(summary: Summary, task: dict[str, Any]) -> dict[Cause, object]:
    """Return the value of each input of a task, but for the hashes of its dependencies, by kind and name."""
    shared = summary["globalCacheInputs"]
    found: dict[Cause, object] = {
        ("file", f"{task['directory']}/{path}"): blob for path, blob in task["inputs"].items()
    }
    found |= {("global_file", path): blob for path, blob in shared["files"].items()}
    for kind, variables in (("variable", task), ("global_variable", shared)):
        for text in variables["environmentVariables"]["configured"]:
            name, _, value = text.partition("=")
            found[kind, name] = value
    found["external_dependencies", "lockfile"] = task["hashOfExternalDependencies"]
    if task["cliArguments"]:
        found["arguments", "arguments after --"] = task["cliArguments"]
    definition = task["resolvedTaskDefinition"]
    found["definition", "build.outputs"] = definition["outputs"]
    if names := definition["env"]:
        found["definition", "build.env"] = names
    if names := shared["environmentVariables"]["specified"]["env"]:
        found["definition", "globalEnv"] = names
    return found


class Oracle:
    def __init__(self, summaries: list[Summary]) -> None:
        self.summaries = sorted(summaries, key=lambda one: (one["execution"]["startTime"], one["id"]))
        self.tasks = [{task["taskId"]: task for task in one["tasks"]} for one in self.summaries]
        self.roots = cache(self._roots)

    def baseline(self, run: int, name: str) -> int | None:
        """Return the latest earlier run with the task, on the same branch, else on any."""
        earlier = [one for one in range(run) if name in self.tasks[one]]
        branch = self.summaries[run]["scm"]["branch"]
        same = [one for one in earlier if branch and self.summaries[one]["scm"]["branch"] == branch]
        return max(same, default=max(earlier, default=None))

    def _roots(self, run: int, base: int, name: str) -> frozenset[Cause]:
        """Return the root causes of a task whose hash differs between two runs."""
        new, old = self.tasks[run][name], self.tasks[base][name]
        version, old_version = (self.summaries[one]["turboVersion"] for one in (run, base))
        keys = [self.summaries[one]["globalCacheInputs"]["rootKey"] for one in (run, base)]
        if keys[0] != keys[1]:
            return frozenset({("turbo_version", f"{old_version} → {version}")})
        now, then = inputs(self.summaries[run], new), inputs(self.summaries[base], old)
        found = {cause for cause in now.keys() | then.keys() if now.get(cause) != then.get(cause)}
        # A variable that turbo.json begins or ceases to name: the edit of turbo.json is the cause.
        for kind, names in (("variable", "build.env"), ("global_variable", "globalEnv")):
            if ("definition", names) in found:
                found -= {cause for cause in found if cause[0] == kind and not (cause in now and cause in then)}
        inherited = False
        for dependency in new["dependencies"]:
            if dependency not in self.tasks[run] or dependency not in old["dependencies"]:
                continue
            other = base if dependency in self.tasks[base] else self.baseline(run, dependency)
            if other is not None and self.tasks[other][dependency]["hash"] != self.tasks[run][dependency]["hash"]:
                inherited = True
                found |= self.roots(run, other, dependency)
        if not found and not inherited:
            changed = set(new["dependencies"]) ^ set(old["dependencies"])
            found = {("dependency", dependency) for dependency in changed}
        if not found and version != old_version:
            found = {("turbo_version", f"{old_version} → {version}")}
        return frozenset(found or {("unknown", "")})

    def misses(self) -> dict[tuple[int, str], frozenset[Cause] | None]:
        """Return the causes of each miss; None if its hash did not change, the empty set if it has no baseline."""
        found: dict[tuple[int, str], frozenset[Cause] | None] = {}
        for run, tasks in enumerate(self.tasks):
            for name, task in tasks.items():
                if task["cache"]["status"] == "MISS":
                    base = self.baseline(run, name)
                    if base is None:
                        found[run, name] = frozenset()
                    elif self.tasks[base][name]["hash"] == task["hash"]:
                        found[run, name] = None
                    else:
                        found[run, name] = self.roots(run, base, name)
        return found

    def parts(self) -> dict[Cause, Fraction]:
        """Return the part of all misses that each cause has."""
        parts = defaultdict[Cause, Fraction](Fraction)
        for causes in self.misses().values():
            for cause in causes or ():
                parts[cause] += Fraction(1, len(causes or ()))
        return dict(parts)
