"""The public names, as users rely on them."""

import re
from pathlib import Path

import signatures

import pathfinder

ROOT = Path(__file__).parents[1]


def test_signatures_are_those_of_the_committed_file():
    written = signatures.FILE.read_text(encoding="utf-8")
    assert signatures.signatures() == written, "if this is meant, run `python tests/signatures.py` and say so"


def test_every_public_name_is_on_the_reference_page():
    page = (ROOT / ".docs" / "pages" / "api.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^::: pathfinder\.(\w+)$", page, re.MULTILINE)) == pathfinder.__all__
