"""What mkdocstrings reads differently from our docstrings: prompts in `Example:`, or in no section, are code."""

import re

import griffe


class Examples(griffe.Extension):
    """Name the section as griffe does, `Examples:`, and put fences around prompts that are in no section."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Change the docstring of any object."""
        if obj.docstring:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
            prompts = r"^>>> .*(?:\n(?!\s*$).*)*"
            obj.docstring.value = re.sub(prompts, "```pycon\n\\g<0>\n```", text, flags=re.MULTILINE)
