"""Commands that are words: options may come before the word, and a misspelt one is answered with the nearest."""

from typing import Any

from typer.core import TyperGroup

from pathfinder.errors import PathfinderError, unknown

_ORDER = ("run", "train", "connect", "align", "score", "curvature", "export", "plot", "compare", "vtk", "list")


class Words(TyperGroup):
    """A group of commands. Without a word it shows its help."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The words in the order of help: what one does first comes first."""
        return sorted(self.commands, key=lambda word: _ORDER.index(word) if word in _ORDER else 0)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move the word to the front; `pathfinder score -o DIR line A B` works as well."""
        if args and args[0].startswith("-"):
            words = [i for i, arg in enumerate(args) if arg in self.commands and _is_word(args, i)]
            if not words and ctx.parent is not None and "--help" not in args:
                raise PathfinderError(f"`{self.name}` needs one of {', '.join(self.commands)}; see --help.")
            args = [args[words[0]], *args[: words[0]], *args[words[0] + 1 :]] if words else args
        return super().parse_args(ctx, args or ["--help"])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of the first word."""
        if args[0] not in self.commands and not ctx.resilient_parsing:
            raise unknown(f"`{self.name}` command" if ctx.parent else "command", args[0], self.commands)
        return super().resolve_command(ctx, args)


def _is_word(args: list[str], i: int) -> bool:
    """Whether an argument is not the value of the option before it."""
    return i == 0 or not args[i - 1].startswith("-") or "=" in args[i - 1]
