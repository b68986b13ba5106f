"""Write the settings of an experiment into configs/README.md, from the classes that check them.

python .docs/settings.py
"""

import inspect
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pathfinder.data import load_data
from pathfinder.data.settings import Data
from pathfinder.experiment.config import Config, Pairs, SingleMinimum
from pathfinder.landscape.settings import Curvature, Surface
from pathfinder.models.settings import Model
from pathfinder.scoring.settings import Planes, Scoring
from pathfinder.symmetry.settings import Align
from pathfinder.training.recipe import Until
from pathfinder.training.settings import CurveSettings, Minimum, Race

PAGE = Path(__file__).parents[1] / "configs" / "README.md"
BEGIN, END = "<!-- settings: written by .docs/settings.py -->", "<!-- end of the settings -->"
TABLES: dict[str, type[BaseModel]] = {
    "Top level": Config,
    "[data]": Data,
    "[model]": Model,
    "[minimum]": Minimum,
    "[[minima]]": SingleMinimum,
    "[[pairs]]": Pairs,
    "[curve] and [[curves]]": CurveSettings,
    "[curve.until]": Until,
    "[score]": Scoring,
    "[planes]": Planes,
    "[[surfaces]]": Surface,
    "[[curvature]]": Curvature,
    "[align]": Align,
    "[race]": Race,
}
INTRODUCTIONS = {
    "Top level": "The tables below, and these keys before the first of them.",
    "[data]": "The data set, and how its training examples are split and augmented.",
    "[model]": "The network. Further keys go to whatever builds it: `widths = [64, 64]`, `depth = 32`, `width = 0.5`.",
    "[minimum]": "How both minima are trained. A pair can change any of these keys for both ends or for one.",
    "[[minima]]": "A minimum without a pair, to look at what is around it; one entry for each, with this key "
    "besides those of `[minimum]`. There are no pairs then, unless `[[pairs]]` names some.",
    "[[pairs]]": "One entry for each group of pairs of minima; a single pair without it.",
    "[curve] and [[curves]]": "`[curve]` holds what all curves share; each `[[curves]]` adds one between every pair.",
    "[curve.until]": "Ends the training of a curve early, as in `until = { loss = 0.1 }`.",
    "[score]": "What is measured along the line and the curves.",
    "[planes]": "The plane through both minima and the bend of a curve. An empty `[planes]` draws one for each curve.",
    "[[surfaces]]": "A profile or surface around the minima of each pair; one entry for each.",
    "[[curvature]]": "Ends and trace of the Hessian's spectrum, along a path or over a surface; one entry for each.",
    "[align]": "Permutes b's hidden units to match a's; every path is then scored once more, to the aligned b.",
    "[race]": "Trains every curve with several budgets, to see which is flat enough first: `pathfinder race CONFIG`.",
}
MEANINGS = {  # of keys whose class says nothing about them
    Config: {
        "name": "of the run and its folder, `results/NAME`; the file's name if not given",
        "seed": "draws everything: a of the first pair is trained with it, b with the next one, and so on",
        "device": "where to compute: `cpu`, `cuda` or `mps`",
        "precision": "`bf16` computes under autocast, with losses in float32; `score.precision` sets scores alone",
        "precision_check": "whether `bf16` scores are compared with `fp32` on 1,000 examples of each split; the run "
        "stops where errors differ by more than a point, or losses by 2 %",
    },
    Data: {"name": "`digits`, `cifar10`, ..., `folder:PATH`, `npz:PATH` or `package.module:function`"},
    Model: {"name": "as in `pathfinder list models`, `torchvision:NAME` or `package.module:name`"},
}
LONGEST = 10**6  # bounds beyond are there to refuse mistakes, and tell a reader nothing


def page() -> str:
    """The page with its settings as the code has them."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n\n{settings()}\n{END}{rest.partition(END)[2]}"


def settings() -> str:
    """A heading and a table of keys for each table of a config."""
    return "\n".join(_section(title, model) for title, model in TABLES.items())


def _section(title: str, model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    meanings = _meanings(model)
    lines = [f"### {title if title[0] != '[' else f'`{title}`'.replace(' and ', '` and `')}", ""]
    lines += [INTRODUCTIONS[title], "", "| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for key, field in schema["properties"].items():
        kind = _kind(field, schema.get("$defs", {}))
        again = model is SingleMinimum and key in Minimum.model_fields
        if kind is None or again or (model is Config and _is_table(field)):
            continue
        default = "required" if key in schema.get("required", ()) else _default(field)
        lines.append(f"| `{key}` | {kind} | {default} | {meanings.get(key, '')} |")
    return "\n".join([*lines, ""])


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """What each key means, from the docstrings of a class and its bases."""
    found = dict(_described(inspect.getdoc(load_data), "Args")) if model is Data else {}
    for cls in reversed(model.__mro__):
        if issubclass(cls, BaseModel):
            found |= _described(cls.__doc__ and inspect.cleandoc(cls.__doc__), "Attributes")
    return MEANINGS.get(model, {}) | found | ({"name": MEANINGS[Data]["name"]} if model is Data else {})


def _described(docstring: str | None, section: str) -> dict[str, str]:
    """Names and their descriptions in a section of a docstring."""
    body = re.search(rf"^{section}:\n((?:    .*\n?|\n)+)", docstring or "", re.MULTILINE)
    found: dict[str, str] = {}
    for entry in re.split(r"^    (?=\S)", body[1] if body else "", flags=re.MULTILINE):
        names, colon, meaning = entry.partition(":")
        if colon:
            text = " ".join(meaning.split()).rstrip(".").replace("|", r"\|")
            found |= dict.fromkeys(names.split(", "), text)
    return found


def _kind(field: dict[str, Any], classes: dict[str, Any]) -> str | None:
    """What a value may be, in words; None if it may only be left out."""
    if "$ref" in field:
        return "a table"
    if "anyOf" in field:
        kinds = [_kind(part, classes) for part in field["anyOf"]]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind))
    if "enum" in field or "const" in field:
        choices = field.get("enum", [field.get("const")])
        return ", ".join(f"`{choice}`" for choice in choices)
    if field.get("type") == "array":
        if "prefixItems" in field:
            return f"[{', '.join(str(_kind(part, classes)) for part in field['prefixItems'])}]"
        return f"list of {_plural(_kind(field['items'], classes))}"
    names = {"boolean": "true or false", "string": "text", "object": "a table", "null": None}
    if field.get("type") in ("integer", "number"):
        return ("whole number" if field["type"] == "integer" else "number") + _bounds(field)
    return names.get(field.get("type", "object"), "a value")


def _plural(kind: str | None) -> str:
    return {"text": "texts", "number": "numbers", "a table": "tables", None: "values"}.get(kind, str(kind))


def _bounds(field: dict[str, Any]) -> str:
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    given = [f" {sign} {field[key]:g}" for key, sign in words.items() if abs(field.get(key, LONGEST)) < LONGEST]
    return ",".join(given)


def _is_table(field: dict[str, Any]) -> bool:
    return "$ref" in str(field)


def _default(field: dict[str, Any]) -> str:
    value = field.get("default")
    if value is None or isinstance(value, dict):
        return "-"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    return f"`{list(value)}`".replace("'", '"') if isinstance(value, list | tuple) else f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
