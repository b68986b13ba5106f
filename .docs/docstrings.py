"""What mkdocstrings reads differently from our docstrings: a section `Example:` holds prompts, not prose."""

import re

import griffe


class Examples(griffe.Extension):
    """Let `Example:` be the section that griffe calls `Examples:`, so that its prompts are shown as code."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Rename the section in the docstring of any object."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
