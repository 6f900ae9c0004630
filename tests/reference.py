"""Writes the parts of REFERENCE.md that the code knows: `python tests/reference.py`.

Prose stands in REFERENCE.md itself. Only what is between `<!-- generated: NAME -->` and `<!-- end -->` is replaced, by
what the function of that name in `BLOCKS` returns.
"""

import ast
import importlib
import inspect
import io
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click

import analyzer
from analyzer import errors
from analyzer.archive.database import open_archive
from analyzer.archive.export import CONTEXT_NAMES, export_sql
from analyzer.archive.lake import RELATIONS as LAKE
from analyzer.archive.open_log import LoadObserver, open_log
from analyzer.archive.relation_columns import RELATIONS
from analyzer.archive.selection import Selection
from analyzer.archive.staging import ReadOptions
from analyzer.cli import cli
from analyzer.cli.console import Exit, spell_options
from analyzer.cli.options import OWN_TITLE, TITLES
from analyzer.errors import Message
from analyzer.event import API_FIELDS, FIELDS
from analyzer.questions import causes, check, compare, export, forget, load, misses, retention, run_changes, sessions
from analyzer.questions import options as question_options
from analyzer.questions.dimensions import DIMENSIONS
from analyzer.questions.doctor import report as doctor
from analyzer.questions.hash_changes import KINDS
from analyzer.questions.measures import MEASURES, NET_SAVED
from analyzer.questions.miss_classes import CLASSES
from analyzer.questions.report import Report
from analyzer.questions.stats import DEFINITION_COLUMNS
from analyzer.questions.verdicts import with_verdict
from analyzer.readers import access, requests
from analyzer.readers.formats import FORMATS
from analyzer.render import OUTPUTS
from analyzer.render.data import write_json
from analyzer.replayer import tables as replay_tables
from analyzer.replayer.options import DEFAULTS
from analyzer.replayer.outcome import REMEDIES, Kind, classify_status
from analyzer.table import HASH, NAME, TEXT, Column

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "REFERENCE.md"
BLOCK = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
HEADING = re.compile(r"^(##+) (.+)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
MAX_CHARS = 110  # of a signature in one line

Rows = Iterable[Sequence[object]]


def table(titles: str, rows: Rows) -> str:
    """Return a table; `titles` are separated by commas."""
    names = titles.split(",")
    lines = [names, ["---"] * len(names), *([str(cell).replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(re.sub(r"\|  (?=\|)", "| ", f"| {' | '.join(line)} |") for line in lines)


def code(text: object) -> str:
    return f"`{text}`" if text else ""


def plain(text: str) -> str:
    """Return text in which names of columns and values of other languages stay as they are."""
    return text.replace("*", "\\*").replace("<", "&lt;")


def codes(names: Iterable[str]) -> str:
    return ", ".join(map(code, names))


def columns_table(columns: Iterable[Column]) -> str:
    rows = ((code(c.name), "text" if c.unit in {TEXT, HASH, NAME} else c.unit, plain(c.description)) for c in columns)
    return table("column,unit,meaning", rows)


def measures() -> str:
    rows = ((code(m.name), m.unit, plain(m.description), plain(m.caveat)) for m in (*MEASURES, NET_SAVED))
    return table("measure,unit,definition,to consider", rows)


def classes() -> str:
    rows = (
        (code(one.name), plain(one.definition), plain(one.cause), "yes" if one.avoidable else "") for one in CLASSES
    )
    return table("class,definition,likely causes,avoidable", rows)


def causes_kinds() -> str:
    return table("kind,what changed", ((code(name), text) for name, text in KINDS.items()))


def dimensions() -> str:
    return table("name,groups by", ((code(name), one.description) for name, one in DIMENSIONS.items()))


# --- commands ---


@cache
def command(*names: str) -> tuple[click.Command, click.Context]:
    """Return a command by its path, such as `journal` and `status`, and its context."""
    found: Any = cli
    context = click.Context(cli, info_name="analyzer")
    for name in names:
        found = found.get_command(context, name)
        context = click.Context(found, info_name=name, parent=context)
    return found, context


def all_commands() -> Iterator[tuple[str, ...]]:
    for name in cli.list_commands(command()[1]):
        found, _ = command(name)
        yield (name,)
        if isinstance(found, click.Group):
            yield from ((name, inner) for inner in found.commands)


def options_of(*names: str) -> dict[str, dict[str, str]]:
    """Return the help of the options of a command by title, and by how they are written."""
    found, context = command(*names)
    titled: dict[str, dict[str, str]] = {title: {} for title in TITLES}
    for param in found.get_params(context):
        record = None if isinstance(param, click.Argument) else param.get_help_record(context)
        if record and "--help" not in param.opts:
            titled[getattr(param, "title", OWN_TITLE)][record[0]] = " ".join(record[1].split())
    return titled


def options_table(options: Mapping[str, str]) -> str:
    return table("option,meaning", ((code(name), plain(text)) for name, text in options.items()))


def shared_options(title: str) -> Callable[[], str]:
    return lambda: options_table(options_of("stats")[title])


def shared_sentence(titled: Mapping[str, Mapping[str, str]]) -> str:
    """Return which options of `SHARED` a command takes, and which of these not."""
    parts = []
    for title, anchor in SHARED.items():
        missing = [
            name for name in options_of("stats")[title] if first_word(name) not in map(first_word, titled[title])
        ]
        if titled[title]:
            without = f" without {codes(map(first_word, missing))}" if missing else ""
            parts.append(f"[{anchor.replace('-', ' ')}](#{anchor}){without}")
    return f"Also takes the {', the '.join(parts)}." if parts else ""


def first_word(text: str) -> str:
    return text.split(maxsplit=1)[0].rstrip(",")


SHARED = {"Input": "input-options", "Filters": "filters", "Output": "output-options"}


def commands() -> str:
    return "\n\n".join(map(_command_text, all_commands()))


def _command_text(names: tuple[str, ...]) -> str:
    found, context = command(*names)
    about, _, examples = inspect.cleandoc(found.help or "").partition("\b\n")
    titled = options_of(*names)
    own = {title: options for title, options in titled.items() if options and title not in SHARED}
    usage = " ".join([context.command_path, *found.collect_usage_pieces(context)])
    parts = [f"### `analyzer {' '.join(names)}`", f"```text\n{usage}\n```"]
    parts += [plain(" ".join(paragraph.split())) for paragraph in about.split("\n\n") if paragraph.strip()]
    title, _, lines = examples.partition("\n")
    parts += [f"{title}\n\n```sh\n{inspect.cleandoc(lines)}\n```"] if lines.strip() else []
    for title, options in own.items():
        parts += [f"{title}:" if len(own) > 1 else "", options_table(options)]
    exits = re.findall(r"(?:: |, )(\d+) ", (found.epilog or "").partition("Exit codes")[2])
    also = shared_sentence(titled)
    if isinstance(found, click.Group):
        also, exits = f"Its commands are {codes(found.commands)}.", []
    parts += [f"{also} [Exit codes](#exit-codes): {', '.join(exits)}." if exits else also]
    return "\n\n".join(filter(None, parts))


def exit_codes() -> str:
    return table("code,meaning", ((one.value, one.meaning) for one in Exit))


# --- output ---


def output_formats() -> str:
    rows = (
        (code(one.name), codes(one.suffixes), "`report`" if one.packages else "")
        for one in OUTPUTS.values()
    )  # fmt: skip
    return table("format,suffixes of `-o`,needs the extra", rows)


@cache
def answers() -> dict[str, Report]:
    """Return the answer of each question about the sample data."""
    selection, o = Selection(), question_options
    with open_log([str(ROOT / "sample_data")], ReadOptions(), LoadObserver()) as log:
        ((run, session),) = log.connection.execute("SELECT min(id), min(session) FROM runs").fetchall()
        return {
            "misses": misses.misses(log, selection, o.MissesOptions()),
            "misses --by team": misses.misses(log, selection, o.MissesOptions(groups=o.GroupOptions(("team",)))),
            "causes": causes.causes(log, selection, o.CausesOptions()),
            "causes SOURCE RUN": run_changes.one_run(log, selection, (run,), o.CausesOptions()),
            "doctor": doctor.doctor(log, selection),
            "retention": retention.retention(log, selection, o.RetentionOptions()),
            "sessions": sessions.sessions(log, selection, o.SessionsOptions()),
            "sessions --by week": sessions.sessions(
                log, selection, o.SessionsOptions(groups=o.GroupOptions(("week",)))
            ),
            "sessions SOURCE ID": sessions.one_session(log, selection, session, o.SessionsOptions()),
            "compare": compare.compare([log], selection, None, o.CompareOptions()),
            "check": check.check(log, selection, o.CheckOptions(min_hit_rate=0.8)),
        }


def answer_columns() -> str:
    tables = {
        "stats --explain": [("definitions", DEFINITION_COLUMNS)],
        **{
            name: [(one.name, one.columns) for one in ([report.primary] if "--by" in name else report.tables)]
            for name, report in answers().items()
        },
        "load": [("files", load.FILE_COLUMNS)],
        "export": [("relations", export.COLUMNS)],
        "forget": [("forgotten", forget.COLUMNS)],
        "replay": [("plan", replay_tables.PLAN), ("by_team", replay_tables.BY_TEAM)],
        "replay --execute": [("replay", replay_tables.ACCOUNT)],
        "journal status": [
            ("destinations", replay_tables.DESTINATIONS), ("uncertain", replay_tables.UNCERTAIN_CHUNKS),
        ],
    }  # fmt: skip
    parts = list[str]()
    for name, found in tables.items():
        parts.append(f"#### `{name}`")
        primary = answers()[name].primary.name if name in answers() else ""
        seen = dict[Sequence[Column], str]()
        for title, columns in found:
            main = " (the table of CSV, NDJSON and Parquet)" if title == primary and len(found) > 1 else ""
            _, *others = columns
            if same := seen.get(tuple(others)):
                parts.append(f"`{title}`{main}: as `{same}`, of each {columns[0].name}.")
            else:
                seen[tuple(others)] = title
                parts += [f"`{title}`{main}:", columns_table(columns)]
    return "\n\n".join(parts)


def json_document() -> str:
    report, stream = with_verdict(answers()["check"]), io.BytesIO()
    write_json(report, stream)
    text = json.dumps(json.loads(stream.getvalue()), indent=2, ensure_ascii=False)
    # Each column and row in one line.
    text = re.sub(r"{\s+([^{}]*?)\s+}", lambda one: f"{{{' '.join(one[1].split())}}}", text)
    return f"```json\n{text}\n```"


# --- input ---


def input_formats() -> str:
    return table("name,a line or document is", ((code(name), one.content) for name, one in FORMATS.items()))


def fields() -> str:
    rows = (
        (code(one.name), one.type, one.unit, "required" if one in API_FIELDS[:4] else "", one.description)
        for one in FIELDS
    )
    return table("field,type,unit,,meaning", rows)


def places() -> str:
    found = {
        **requests.PLACES, "request line": requests.REQUEST_LINES, "client": access.CLIENT_PLACES,
        "size of a download": access.SIZE_PLACES["GET"], "size of an upload": access.SIZE_PLACES["PUT"],
        "id that joins a request and its answer": access.REQUEST_ID_PLACES,
    }  # fmt: skip
    return table("part of a request,keys", ((part, codes(names)) for part, names in found.items()))


# --- archives and lakes ---


def _described(sql: str) -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as scratch, open_archive(None, Path(scratch), read_only=True) as connection:
        return [row[:2] for row in connection.execute(f"DESCRIBE {sql}").fetchall()]


def relations() -> str:
    parts = []
    for name, relation in RELATIONS.items():
        rows = ((code(column), kind, plain(relation.columns[column])) for column, kind in _described(name))
        parts += [f"### `{name}`", f"A row is {relation.row}.", table("column,type,meaning", rows)]
    return "\n\n".join(parts)


# What a row of each relation of a lake is.
LAKE_ROWS = {
    "events": "an event", "lookups": "a lookup", "sessions": "a session",
    "session_quarters": "the counts of a session in a quarter of an hour",
    "hash_durations": "the longest known duration of a hash in a part of the log",
    "session_names": "the name of a session", "hash_names": "a hash",
    "contexts": "what requests say about their client; `context` stands for the others",
    "files": "a log file", "rejects": "a reject", "runs": "a run, from its summary",
    "tasks": "a task of a run; `run_id` is `id` of `runs`",
    "unlisted_tasks": "a task that a run attempted and its summary does not list",
    "input_sets": "a member of a set of inputs; runs and tasks name their sets", "inputs": "an input of a hash",
    "artifacts": "the metadata of an artifact", "transfers": "an upload, or a download with its size",
    "matches": "a run and the session that matches it", "task_names": "the name of the task of a hash",
}  # fmt: skip


def lake() -> str:
    rows = []
    with tempfile.TemporaryDirectory() as scratch, open_archive(None, Path(scratch), read_only=True) as connection:
        connection.execute(CONTEXT_NAMES)
        for one, (directory, time) in LAKE.items():
            found = connection.execute(f"DESCRIBE {export_sql(connection, one, 1)}").fetchall()
            names = [row[0] for row in found if row[0] not in {"day", "bucket"}]
            rows.append((code(f"{directory}/{'*/*/' if time else ''}*.parquet"), LAKE_ROWS[directory], codes(names)))
    return table("files,a row is,columns", rows)


# --- replay ---


def statuses() -> str:
    kinds: dict[Kind, list[int]] = {}
    for status in range(200, 600):
        kinds.setdefault(classify_status(status), []).append(status)
    special = {Kind.AMBIGUOUS: "no answer after the request began", Kind.NOT_SENT: "no connection could be made"}
    rows = []
    for kind in Kind:
        text = ", ".join(filter(None, [_ranges(kinds.get(kind, [])), special.get(kind, "")]))
        rows.append((f"**{kind.value}**", text))
    return table("class,answers", rows)


def _ranges(numbers: Sequence[int]) -> str:
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    pairs = [(str(a), f"{a}–{b}")[b > a] for a, b in zip(starts, ends, strict=True)]
    return ", ".join(pairs) if len(pairs) < 5 else f"{pairs[0]}, all others from 401 to 499"


def remedies() -> str:
    rows = (
        (f"`{key}`" if isinstance(key, str) else "a redirect" if key == 301 else key, spell_options(text))
        for key, text in REMEDIES.items()
    )
    return table("status or code,what to do", rows)


def findings() -> str:
    rows = []
    for severity, found in doctor.FINDINGS.items():
        for one in found:
            options = [part for option in one.options for part in (", ", option)][1:]
            remedy = spell_options(Message(one.remedy, *((" (", *options, ")") if options else ())))
            rows.append((code(one.name), severity, plain(one.definition), remedy))
    return table("finding,severity,what is checked,remedy", rows)


# --- Python ---


def python_api() -> str:
    parts = [_function("load"), _function("replay"), "`Log` has these methods; each question also takes the filters:"]
    methods = _definitions("analyzer.api.log", "Log")
    parts.append(table("method,answer", (
        (code(f"{node.name}{_signature(node, short=True)}"), _summary(node)) for node in methods
        if not node.name.startswith("_")
    )))  # fmt: skip
    return "\n\n".join(parts)


def _function(name: str) -> str:
    (node,) = [one for one in _definitions(f"analyzer.api.{name}") if one.name == name]
    return f"```python\nanalyzer.{name}{_signature(node)}\n```\n\n{_summary(node)}"


def _definitions(module: str, inside: str = "") -> list[ast.FunctionDef]:
    tree: Any = ast.parse(inspect.getsource(importlib.import_module(module)))
    if inside:
        (tree,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == inside]
    return [node for node in tree.body if isinstance(node, ast.FunctionDef)]


def _signature(node: ast.FunctionDef, *, short: bool = False) -> str:
    """Return the signature of a function; if `short`, the names and defaults of its parameters."""
    arguments = node.args
    arguments.kw_defaults = [_default(one) for one in arguments.kw_defaults]
    for one in (*arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if one and short:
            one.annotation = None
    arguments.args = [one for one in arguments.args if one.arg != "self"]
    text = ast.unparse(arguments)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and not short else ""
    if short or len(text) < MAX_CHARS:
        return f"({text}){returns}"
    # Again parameter by parameter, a line each.
    lines = (one.replace("=", " = ", 1) if ": " in one else one for one in _split(text))
    return "(\n" + "".join(f"    {line},\n" for line in lines) + f"){returns}"


def _default(node: ast.expr | None) -> ast.expr | None:
    """Return a default; of a constant of `ReplayOptions`, its value."""
    if isinstance(node, ast.Attribute):
        return ast.Constant(getattr(DEFAULTS, node.attr))
    return node


def _split(text: str) -> Iterator[str]:
    """Yield the parameters of a signature, which are separated by commas outside of brackets."""
    depth, start = 0, 0
    for place, mark in enumerate(text):
        depth += (mark in "([{") - (mark in ")]}")
        if mark == "," and not depth:
            yield text[start:place].strip()
            start = place + 1
    yield text[start:].strip()


def _summary(node: ast.FunctionDef) -> str:
    return " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())


def error_classes() -> str:
    exported = [name for name in analyzer.__all__ if name.endswith("Error")]
    found = sorted((getattr(errors, name) for name in {*exported, "EngineError"}), key=lambda one: one.__name__)
    rows = ((code(one.__name__), code(one.__base__.__name__), (one.__doc__ or "").split("\n")[0]) for one in found)
    return table("error,is an,meaning", rows)


def contents() -> str:
    text = FENCED.sub("", REFERENCE.read_text())
    found = [(len(marks), title) for marks, title in HEADING.findall(text) if len(marks) == 2 and title != "Contents"]
    return "\n".join(f"- [{title}](#{anchor(title)})" for _, title in found)


def anchor(title: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


BLOCKS: dict[str, Callable[[], str]] = {
    "contents": contents, "measures": measures, "classes": classes, "causes": causes_kinds,
    "dimensions": dimensions, "filters": shared_options("Filters"), "input-options": shared_options("Input"),
    "output-options": shared_options("Output"), "commands": commands, "exit-codes": exit_codes,
    "output-formats": output_formats, "answers": answer_columns, "json": json_document,
    "input-formats": input_formats, "fields": fields, "places": places, "relations": relations, "lake": lake,
    "statuses": statuses, "remedies": remedies, "findings": findings, "python": python_api, "errors": error_classes,
}  # fmt: skip


def generated(text: str) -> str:
    """Return REFERENCE.md with its generated parts made anew."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]]()}\n\n{found[3]}", text)


if __name__ == "__main__":
    REFERENCE.write_text(generated(REFERENCE.read_text()))
