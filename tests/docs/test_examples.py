"""Every Python example of the documentation runs, from the top of its page to the bottom."""

import re
import sys
from pathlib import Path

import pytest

from pathfinder.geometry import base

PAGES = Path(__file__).parents[2] / ".docs" / "pages"
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
EXAMPLES = {path.name: PYTHON.findall(path.read_text(encoding="utf-8")) for path in sorted(PAGES.glob("*.md"))}


@pytest.mark.parametrize("page", [name for name, blocks in EXAMPLES.items() if blocks])
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    own = {kind: cls for kind, cls in base._KINDS.items() if cls.__module__.startswith("pathfinder.")}
    monkeypatch.setattr(base, "_KINDS", own)  # a page may use the name of another test's curve
    names = {"__name__": "__main__"}
    for i, block in enumerate(EXAMPLES[page]):
        exec(compile(block, f"{page}, example {i + 1}", "exec"), names)


def test_the_settings_are_those_of_the_code(monkeypatch):
    monkeypatch.syspath_prepend(str(PAGES.parent))
    settings = __import__("settings")
    assert settings.PAGE.read_text("utf-8") == settings.page(), "run `python .docs/settings.py`"
    undescribed = re.findall(r"^\| `\w+` .*\|  \|$", settings.page(), re.MULTILINE)
    assert not undescribed, "say what these keys mean in the docstring of their class"
