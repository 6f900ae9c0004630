"""`analyzer completion`: prints a shell's completion script, and answers the shell with files, dimensions and names.

click's own scripts are not used: the bash one splits an answer at spaces and inserts it unquoted, so that a team called
`$(command)` would run when the line is entered. Here the shell passes the line up to the cursor and gets one line per
answer: its kind (`plain`, or `file` where the shell itself completes), the text, and its help. bash inserts the text
unchanged, so it is quoted here; zsh and fish quote it themselves.
"""

import os
import re
import shlex
from pathlib import Path

import click
from click import shell_completion
from click.shell_completion import CompletionItem, ShellComplete, split_arg_string

from analyzer.cli.console import exit_help
from analyzer.cli.options import Command

SHELL_NAMES = ("bash", "zsh", "fish")
MAX_NAMES = 100


@click.command("completion", cls=Command, epilog=exit_help())
@click.argument("shell", type=click.Choice(SHELL_NAMES))
def command(shell: str) -> None:
    """Print a script that completes commands, options, files and values in your shell.

    Values are formats, dimensions of --by, and the teams and CI vendors of an archive that is named on the line.

    \b
    Examples:
      eval "$(analyzer completion bash)"
      analyzer completion zsh > ~/.analyzer-completion
      analyzer completion fish > ~/.config/fish/completions/analyzer.fish
    """
    from analyzer.cli import COMPLETE_VARIABLE, cli  # noqa: PLC0415  (this command is one of its own)

    click.echo(SHELLS[shell](cli, {}, "analyzer", COMPLETE_VARIABLE).source())


def complete_files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return an item that lets the shell complete a path."""
    return [CompletionItem(incomplete, type="file")]


def complete_dimensions(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the dimensions that complete the last name of a comma-separated list."""
    from analyzer.questions.dimensions import DIMENSIONS  # noqa: PLC0415

    before, comma, last = incomplete.rpartition(",")
    return _items([f"{before}{comma}{name}" for name in DIMENSIONS if name.startswith(last)])


def complete_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the teams, or CI vendors, of the archive on the command line; plain logs are too slow to read for this."""
    from analyzer.archive.database import open_archive  # noqa: PLC0415
    from analyzer.archive.leftovers import temp_directory  # noqa: PLC0415
    from analyzer.errors import AnalyzerError  # noqa: PLC0415
    from analyzer.readers.source import is_archive  # noqa: PLC0415

    words = [*(ctx.params.get("sources") or ()), *ctx.args]
    archive = next((Path(word) for word in words if is_archive(Path(word))), None)
    if not archive:
        return []
    column = param.name
    query = (
        f"SELECT DISTINCT {column} FROM store.context WHERE starts_with({column}, $start) ORDER BY 1 LIMIT {MAX_NAMES}"
    )
    try:
        with temp_directory() as scratch, open_archive(archive, scratch, read_only=True) as connection:
            rows = connection.execute(query, {"start": incomplete}).fetchall()
    except AnalyzerError:
        return []
    # A name with a line break cannot be typed on a line.
    return _items([name for (name,) in rows if name and name.isprintable()])


def _items(values: list[str]) -> list[CompletionItem[str]]:
    return [CompletionItem(value) for value in values]


BASH = r"""
%(complete_func)s() {
    local kind text help
    COMPREPLY=()
    while IFS=$'\t' read -r kind text help; do
        case $kind in
            file) compopt -o default ;;
            plain) COMPREPLY+=("$text") ;;
        esac
    done <<< "$(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORD="$2" %(complete_var)s=bash_complete "$1" 2>/dev/null)"
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

ZSH = r"""#compdef %(prog_name)s
%(complete_func)s() {
    local line response; local -a plain described fields
    response=$(COMP_LINE="${words[1,CURRENT-1]} $QIPREFIX$PREFIX" %(complete_var)s=zsh_complete "$words[1]" 2>/dev/null)
    [[ $PREFIX == --*=* ]] && compset -P '*='
    for line in "${(@f)response}"; do
        fields=("${(@ps:\t:)line}")
        case $fields[1] in
            file) _files ;;
            plain) [[ -n $fields[3] ]] && described+=("${fields[2]//:/\\:}:$fields[3]") || plain+=("$fields[2]") ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described
    (( $#plain )) && compadd -V unsorted -a plain
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

FISH = r"""
function %(complete_func)s
    set -l line (commandline -cp | string collect)
    for answer in (COMP_LINE=$line %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null)
        set -l fields (string split \t -- $answer)
        switch $fields[1]
            case file
                set -l option (string match -r -- '^--[\w-]+=' (commandline -ct))
                printf "$option%%s\n" (__fish_complete_path $fields[2])
            case plain
                printf '%%s\t%%s\n' $fields[2] "$fields[3]"
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class _Shell(ShellComplete):
    """What the shells share.

    `option` is `--name=` where the word at the cursor starts so; `prefix` is the part of that word that the shell keeps
    and that an answer must therefore leave out.
    """

    option = prefix = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor, and the word at the cursor."""
        words = _split(os.environ["COMP_LINE"])
        self.option = "".join(re.findall(r"^--[\w-]+=", words[-1]))
        return words[1:-1], words[-1]

    def quote(self, text: str) -> str:
        """Return `text` as the shell is to insert it."""
        return text

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Return the line of one answer: kind, text and help, separated by tabs."""
        is_plain = item.type == "plain"
        text = self.quote(f"{self.option}{item.value}".removeprefix(self.prefix)) if is_plain else item.value
        return f"{item.type}\t{text}\t{item.help or ''}"


class Bash(_Shell, shell_completion.BashComplete):
    """bash replaces what follows the last `=`, `:` or open quote, and inserts the text without quoting it."""

    source_template = BASH
    open_quote = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words; notes the part of the last word that bash keeps."""
        before = os.environ["COMP_LINE"].removesuffix(os.environ["COMP_WORD"])
        self.prefix = _split(before)[-1]
        self.open_quote = before[-1:] if _ends_in_quotes(before) else ""
        return super().get_completion_args()

    def quote(self, text: str) -> str:
        """Return `text` quoted for bash, within the quote that is open; closed where the text ends in one."""
        if not self.open_quote:
            return re.sub(r"[^\w@%+=:,./-]", r"\\\g<0>", text)
        if self.open_quote == "'":
            quoted = text.replace("'", "'\\''")
        else:
            # `!` expands even in double quotes: it goes into single quotes of its own.
            quoted = re.sub(r'[$`"\\]', r"\\\g<0>", text).replace("!", "\"'!'\"")
        return f"{quoted}{self.open_quote}" if quoted.endswith(self.open_quote) else quoted


class Zsh(_Shell, shell_completion.ZshComplete):
    """zsh replaces what follows `--name=`."""

    source_template = ZSH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words; zsh keeps `--name=` of the last."""
        words = super().get_completion_args()
        self.prefix = self.option
        return words


class Fish(_Shell, shell_completion.FishComplete):
    """fish replaces the whole word."""

    source_template = FISH


SHELLS: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def register_shells() -> None:
    """Replace click's completion classes by these."""
    for shell in SHELLS.values():
        shell_completion.add_completion_class(shell)


def _split(line: str) -> list[str]:
    """Return the words of a line without their quotes; the last is the one at its end, and may be empty."""
    *words, last = split_arg_string(f"{line}x")
    return [*words, last.removesuffix("x")]


def _ends_in_quotes(line: str) -> bool:
    try:
        shlex.split(line)
    except ValueError as error:
        return "quotation" in str(error)
    return False
