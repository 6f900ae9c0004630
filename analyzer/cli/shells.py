"""How shells ask what may follow, and what they are answered.

Each hands over the line up to the cursor, and gets a line an answer: its kind (`plain`, or `file` where the shell knows
better), the text, and what it means. The text is data until the shell has it in the line: bash takes it as it is, so
that it is quoted here; zsh and fish quote it themselves. What no line holds, such as a newline, is left out.
"""

import os
import re
import shlex
from typing import TYPE_CHECKING

from click.shell_completion import (
    BashComplete,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

BASH = r"""
%(complete_func)s() {
    local kind text meaning
    COMPREPLY=()
    while IFS=$'\t' read -r kind text meaning; do
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
    local line response; local -a plain told fields
    response=$(COMP_LINE="${words[1,CURRENT-1]} $QIPREFIX$PREFIX" %(complete_var)s=zsh_complete "$words[1]" 2>/dev/null)
    [[ $PREFIX == --*=* ]] && compset -P '*='
    for line in "${(@f)response}"; do
        fields=("${(@ps:\t:)line}")
        case $fields[1] in
            file) _files ;;
            plain) [[ -n $fields[3] ]] && told+=("${fields[2]//:/\\:}:$fields[3]") || plain+=("$fields[2]") ;;
        esac
    done
    (( $#told )) && _describe -V unsorted told
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
    """A shell: `option` is `--name=` where the word at the cursor begins so, `kept` what stays of that word."""

    option = kept = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one at the cursor, and that one."""
        words = _words(os.environ["COMP_LINE"])
        self.option = "".join(re.findall(r"^--[\w-]+=", words[-1]))
        return words[1:-1], words[-1]

    def quoted(self, text: str) -> str:
        """Return a text as the shell takes it."""
        return text

    def format_completion(self, item: "CompletionItem[str]") -> str:
        """Return the line of an answer."""
        plain = item.type == "plain"
        text = self.quoted(f"{self.option}{item.value}".removeprefix(self.kept)) if plain else item.value
        return f"{item.type}\t{text}\t{item.help or ''}"


class Bash(_Shell, BashComplete):
    """Bash replaces what stands behind the last `=`, `:` or open quote, and takes the text without quoting it."""

    source_template = BASH
    quote = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words, and learn what stays of the last."""
        before = os.environ["COMP_LINE"].removesuffix(os.environ["COMP_WORD"])
        self.kept = _words(before)[-1]
        self.quote = before[-1:] if _is_open(before) else ""
        return super().get_completion_args()

    def quoted(self, text: str) -> str:
        """Return a text so that bash takes it as it is, within the quote that is open; where it ends in one, closed."""
        if not self.quote:
            return re.sub(r"[^\w@%+=:,./-]", r"\\\g<0>", text)
        if self.quote == "'":
            found = text.replace("'", "'\\''")
        else:
            found = re.sub(r'[$`"\\]', r"\\\g<0>", text).replace("!", "\"'!'\"")
        return f"{found}{self.quote}" if found.endswith(self.quote) else found


class Zsh(_Shell, ZshComplete):
    """Zsh replaces what stands behind `--name=`."""

    source_template = ZSH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words; of the last, `--name=` stays."""
        words = super().get_completion_args()
        self.kept = self.option
        return words


class Fish(_Shell, FishComplete):
    """Fish replaces the whole word."""

    source_template = FISH


SHELLS: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def register() -> None:
    """Let click answer these shells in this way."""
    for shell in SHELLS.values():
        add_completion_class(shell)


def _words(line: str) -> list[str]:
    """Return the words of a line, without their quotes; the last is the one at its end, and may be empty."""
    *words, last = split_arg_string(f"{line}x")
    return [*words, last.removesuffix("x")]


def _is_open(line: str) -> bool:
    """Tell whether a line ends within quotes."""
    try:
        shlex.split(line)
    except ValueError as error:
        return "quotation" in str(error)
    return False
