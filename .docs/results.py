"""Write README.md and results/README.md from the texts in .docs/texts, their numbers from the tables of committed runs.

python .docs/results.py
"""

import re
import textwrap
import tomllib
import traceback
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from quantities import CLOSE, FORMATS, OPEN, QUANTITIES, Run

ROOT = Path(__file__).parents[1]
TEXTS = ROOT / ".docs" / "texts"
REFERENCE = ROOT / "results" / "reference"
PAGES = ("README.md", "results/README.md")
WIDTH = 126  # letters in a line of a paragraph

_FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_COMPUTED = re.compile(f"{OPEN}[^{CLOSE}]*{CLOSE}")
_CODE = re.compile(r"```.*?```|`[^`]*[A-Za-z][^`]*`")
_LINK = re.compile(r"\]\([^)]*\)|\b(?:srcset|src|media)=\"[^\"]*\"")
_SOURCE = re.compile(r"et al\. \(?\d{4}|(?:figures?|tables?|section) \d+(?:(?:, | and | to )\d+)*")
_NAME = re.compile(r"\b[A-Za-z][\w-]*?-?\d[\w.-]*")  # ResNet-20, mlp-2x128, k0.5


def page(name: str) -> str:
    """A page, its numbers as the tables have them."""
    return _wrap(re.sub(f"[{OPEN}{CLOSE}]", "", _render(name)))


def typed_numbers(name: str) -> list[str]:
    """The numbers of a page that are neither computed nor facts, each with the words around it."""
    text = _typed(name)
    for fact in sorted(facts(), key=len, reverse=True):
        text = text.replace(fact, "_")
    text = _NAME.sub("_", _SOURCE.sub("_", text))
    return [text[max(0, found.start() - 40) : found.end() + 20] for found in re.finditer(r"\d[\d.,]*", text)]


def unused_facts() -> list[str]:
    """The facts that no page states."""
    texts = [_typed(name) for name in PAGES]
    return [fact for fact in facts() if not any(fact in text for text in texts)]


def facts() -> list[str]:
    """Words with numbers that no table holds."""
    kinds: dict[str, dict[str, Iterable[str]]] = tomllib.loads((TEXTS / "facts.toml").read_text("utf-8"))
    return [fact for sources in kinds.values() for found in sources.values() for fact in found]


def _typed(name: str) -> str:
    """A page without what is computed, without code and links, in one line."""
    text = " ".join(_COMPUTED.sub("_", _render(name)).replace("**", "").split())
    return _LINK.sub("_", _CODE.sub("_", text))


@cache
def _render(name: str) -> str:
    """A page with marks around what is computed."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {function.__name__: function for function in FORMATS}
    environment.globals |= {function.__name__: function for function in QUANTITIES}
    environment.globals |= {run.name.replace("-", "_"): Run(run) for run in REFERENCE.iterdir() if run.is_dir()}
    environment.globals["benchmarks"] = Run(REFERENCE)
    try:
        return environment.from_string((TEXTS / name).read_text("utf-8")).render()
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
        error.add_note(f"in .docs/texts/{name}, in or after line {lines[-1] if lines else '?'}")
        raise


def _wrap(text: str) -> str:
    """Paragraphs in lines of one width: expressions are longer than what they print."""
    parts = _FENCE.split(text)
    parts[::2] = ["\n\n".join(map(_wrap_paragraph, re.split(r"\n{2,}", part))) for part in parts[::2]]
    return "".join(parts)


def _wrap_paragraph(text: str) -> str:
    if not re.match(r"\n*[\w*|]", text) or re.search(r"^\| .* \|$", text, re.MULTILINE):
        return text  # a heading, a list, a figure, a table
    body = text.strip("\n")
    lines = textwrap.fill(" ".join(body.split()), WIDTH, break_long_words=False, break_on_hyphens=False)
    return text.replace(body, lines)


if __name__ == "__main__":
    for name in PAGES:
        (ROOT / name).write_text(page(name), encoding="utf-8")
