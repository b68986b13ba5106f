"""Hooks of the site: pages link to files of the repository as they do on GitHub, and columns come from the code."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
READMES = ("configs/README.md", "results/README.md")
COLUMNS = "<!-- columns -->"
_LINK = re.compile(r"(?P<open>\]\(|src=\"|srcset=\")(?P<target>[^)#\"\s:]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the READMEs of folders as pages, and every file that a page links to, each at its place in the repository."""
    pages = Path(config.docs_dir)
    linked = {ROOT / readme for readme in READMES}
    for page in [*pages.glob("*.md"), *linked]:
        for match in _LINK.finditer(page.read_text(encoding="utf-8")):
            target = (page.parent / match["target"]).resolve()
            if target.is_file() and target.is_relative_to(ROOT) and pages not in target.parents:
                linked.add(target)
    for file in sorted(linked):
        path = file.relative_to(ROOT).as_posix()
        content = file.read_bytes()
        files.append(File.generated(config, path, content=content.decode() if file.suffix == ".md" else content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Let links of a page start at the site, and put the columns of all tables where they belong."""
    if page.file.src_uri in READMES:
        return markdown.replace("](../.docs/pages/", "](../").replace("<details>", "<details markdown>")
    markdown = markdown.replace("](../../", "](")
    return markdown.replace(COLUMNS, _columns()) if COLUMNS in markdown else markdown


def _columns() -> str:
    """What every table holds, as the code has it."""
    from pathfinder.tables.schema import as_markdown

    return as_markdown()
