"""Reads from a run summary what the hashes of tasks are made of: files, variables, the lockfile, and so on.

Turbo computes the hash of a task from its own inputs, from inputs that all tasks of a run share, and from the hashes of
the tasks that it depends on. An input is a kind, a name, and a value that stands for its content. Values are digests,
so that no value of a variable is kept.

Most tasks have inputs that an earlier run has shown: a set of inputs is known by its number, which is a digest of the
text, and is parsed only where that number is new.
"""

import json
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import xxhash

FILE, VARIABLE, LOCKFILE, DEPENDENCY = "file", "variable", "external_dependencies", "dependency"
ARGUMENTS, DEFINITION, TURBO = "arguments", "definition", "turbo_version"
GLOBAL_FILE, GLOBAL_VARIABLE, GLOBAL_SETTING = "global_file", "global_variable", "global_setting"

# What of a task's definition is in its hash. `dependsOn` is not, but says why a task depends on others.
DEFINITION_FIELDS = ("outputs", "env", "passThroughEnv", "dotEnv", "dependsOn")

Input = dict[str, str]
Sets = dict[int, Callable[[], list[Input]]]  # the inputs of each set, by its number

MISSING = msgspec.Raw(b"null")


class RawTask(msgspec.Struct):
    """A task of a run summary, of which what makes its hash is not parsed yet."""

    taskId: Any = None  # noqa: N815  (turbo's names, here and below)
    task: Any = None
    package: Any = None
    hash: Any = None
    directory: Any = None
    cache: dict[str, Any] | None = None
    execution: dict[str, Any] | None = None
    resolvedTaskDefinition: msgspec.Raw = MISSING  # noqa: N815
    inputs: msgspec.Raw = MISSING
    hashOfExternalDependencies: msgspec.Raw = MISSING  # noqa: N815
    environmentVariables: msgspec.Raw = MISSING  # noqa: N815
    dependencies: msgspec.Raw = MISSING
    cliArguments: msgspec.Raw = MISSING  # noqa: N815
    envMode: msgspec.Raw = MISSING  # noqa: N815

    def is_cacheable(self) -> bool:
        """Return whether turbo looks the task up."""
        return _mapping(_parse(self.resolvedTaskDefinition)).get("cache") is not False

    def sets(self, name: str) -> tuple[int, int, Sets]:
        """Return the numbers of the set of the files of this task, and of that of everything else, and both sets."""
        directory = self.directory if isinstance(self.directory, str) else ""
        files = _number(directory.encode("utf-8", "replace"), self.inputs)
        settings = _number(
            name.encode("utf-8", "replace"), self.resolvedTaskDefinition, self.hashOfExternalDependencies,
            self.environmentVariables, self.dependencies, self.cliArguments, self.envMode,
        )  # fmt: skip
        return files, settings, {
            files: lambda: list(_files(FILE, directory, _parse(self.inputs))),
            settings: lambda: list(self._settings(name)),
        }  # fmt: skip

    def _settings(self, name: str) -> Iterator[Input]:
        variables = _mapping(_parse(self.environmentVariables))
        yield from _variables(VARIABLE, variables)
        # Turbo 1.9 shows the global ones here.
        yield from _listed_variables(GLOBAL_VARIABLE, variables, "global")
        yield from _setting(LOCKFILE, "lockfile", _parse(self.hashOfExternalDependencies))
        yield from _definition(name, _mapping(_parse(self.resolvedTaskDefinition)), DEFINITION_FIELDS)
        yield from _setting(GLOBAL_SETTING, "environment mode", _parse(self.envMode))
        yield from _setting(ARGUMENTS, "arguments after --", _parse(self.cliArguments))
        for dependency in _list(_parse(self.dependencies)):
            yield _input(DEPENDENCY, dependency, "")


def global_set(shared: msgspec.Raw) -> tuple[int, Sets]:
    """Return the number of the set of inputs that all tasks of a run share (`globalCacheInputs`), and that set."""
    number = _number(b"", shared)
    return number, {number: lambda: list(_global_inputs(_mapping(_parse(shared))))}


def _global_inputs(shared: Mapping[str, Any]) -> Iterator[Input]:
    # The key is part of every hash; it changes with versions of turbo that compute hashes in another way.
    yield from _setting(TURBO, "rootKey", shared.get("rootKey"))
    yield from _files(GLOBAL_FILE, "", shared.get("files"))
    yield from _setting(LOCKFILE, "lockfile", shared.get("hashOfExternalDependencies"))
    internal = "internal dependencies of the root package"
    yield from _setting(GLOBAL_SETTING, internal, shared.get("hashOfInternalDependencies"))
    yield from _setting(GLOBAL_SETTING, "engines", shared.get("engines"))
    variables = _mapping(shared.get("environmentVariables"))
    yield from _variables(GLOBAL_VARIABLE, variables)
    specified = _mapping(variables.get("specified"))
    yield from _setting(DEFINITION, "globalEnv", specified.get("env"))
    yield from _setting(DEFINITION, "globalPassThroughEnv", specified.get("passThroughEnv"))
    yield from _setting(DEFINITION, "globalDotEnv", shared.get("globalDotEnv"))
    # Turbo 1.9 has the whole pipeline of the root's turbo.json in every hash.
    for task, definition in _mapping(shared.get("rootPipeline")).items():
        yield from _definition(task, _mapping(definition), _mapping(definition))


def _definition(task: str, definition: Mapping[str, Any], fields: Iterable[str]) -> Iterator[Input]:
    for field in fields:
        yield from _setting(DEFINITION, f"{task}.{field}", definition.get(field))


def _files(kind: str, directory: str, files: Any) -> Iterator[Input]:
    """Yield the files of a directory, with paths from the root of the repository."""
    start = directory.replace("\\", "/").strip("/") + "/" if directory else ""
    for path, blob in _mapping(files).items():
        whole = start + path
        name = posixpath.normpath(whole) if ".." in path else whole
        yield _input(kind, name, blob if isinstance(blob, str) else json.dumps(blob))


def _variables(kind: str, variables: Mapping[str, Any]) -> Iterator[Input]:
    for origin in ("configured", "inferred"):
        yield from _listed_variables(kind, variables, origin)


def _listed_variables(kind: str, variables: Mapping[str, Any], origin: str) -> Iterator[Input]:
    for text in _list(variables.get(origin)):
        name, _, value = text.partition("=")
        # Turbo 1.9 lists also variables that are not set.
        if value or "specified" in variables:
            yield _input(kind, name, _digest(value))


def _setting(kind: str, name: str, value: Any) -> Iterator[Input]:
    """Yield a setting, unless there is none: versions of turbo differ in how they write that."""
    if kind == DEFINITION and isinstance(value, list):
        value = sorted(map(str, value))  # of these, the order does not matter
    if value not in (None, "", [], {}):
        yield _input(kind, name, _digest(json.dumps(value, sort_keys=True)))


def _input(kind: str, name: str, value: str) -> Input:
    return {"kind": kind, "name": name, "value": value}


def _digest(text: str) -> str:
    return xxhash.xxh3_64_hexdigest(text.encode("utf-8", "replace"))


def _number(first: bytes, *texts: msgspec.Raw) -> int:
    """Return a number of 64 bits for some texts; none of them can be part of another."""
    digest = xxhash.xxh3_64(first)
    for text in texts:
        digest.update(b"\0")
        digest.update(text)
    return digest.intdigest() - (1 << 63)


def _parse(text: msgspec.Raw) -> Any:
    """Return the value of a JSON text; None if it is none, as a summary is read without a look at it."""
    with suppress(msgspec.MsgspecError, RecursionError):
        return msgspec.json.decode(text)
    with suppress(ValueError, RecursionError):  # it has text that is not valid UTF-8
        return json.loads(bytes(text).decode("utf-8", "replace"))
    return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
