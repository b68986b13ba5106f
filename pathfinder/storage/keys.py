"""Keys, of what a piece of work depends on; digests, of contents; and the maker, what a piece was made with.

A key covers what the user decides: settings, data, weights, and the source of the user's own network and data code.
The maker (this package's source, torch's version, the number of threads) is not in the key, but saved with the work.
"""

import ast
import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

_NO_CODE = ("torchvision:", "npz:", "folder:")  # prefixes of names that are not import paths


def key_of(*parts: Any) -> str:
    """A short key of what a piece of work depends on: equal parts give equal keys."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def digest_of(value: Any) -> str:
    """A digest of contents: nested dicts and lists of tensors, numbers and strings."""
    total = hashlib.sha256()

    def add(part: Any) -> None:
        if isinstance(part, Tensor):
            total.update(f"{part.dtype} {tuple(part.shape)} {part.requires_grad}".encode())
            for piece in _bytes_of(part.detach().cpu()):
                total.update(piece)
        elif isinstance(part, Mapping):
            total.update(f"dict {len(part)}".encode())
            for key, inner in part.items():
                total.update(f"{type(key).__name__} {key!r}".encode())
                add(inner)
        elif isinstance(part, list | tuple):
            total.update(f"{type(part).__name__} {len(part)}".encode())
            for inner in part:
                add(inner)
        else:
            total.update(f"{type(part).__name__} {part!r}".encode())

    add(value)
    return total.hexdigest()


def _bytes_of(tensor: Tensor) -> Iterator[memoryview]:
    """The bytes of a tensor on the CPU; of one that repeats its memory, how it does so and the memory once."""
    storage = tensor.untyped_storage()
    if tensor.nbytes > storage.nbytes():  # a copy could be any number of times larger than the file it came from
        yield memoryview(f"{tensor.stride()} {tensor.storage_offset()}".encode())
        tensor = torch.empty(0, dtype=torch.uint8).set_(storage)
    yield memoryview(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())


def maker(threads: int | None = None) -> dict[str, Any]:
    """What work is made with now: the package's source, torch's version, the number of threads, now if not given."""
    return {**versions(), "threads": torch.get_num_threads() if threads is None else threads}


def versions() -> dict[str, str]:
    """This package's source and torch's version."""
    return {"pathfinder": _package_digest(), "torch": str(torch.__version__)}


def is_import_path(name: str) -> bool:
    """Whether the name of a network or a data set is `package.module:name`, which is the user's own code."""
    return ":" in name and not name.startswith(_NO_CODE)


def code_of(name: str) -> str | None:
    """A digest of the source behind an import path, None for any other name.

    It covers the module that was imported and all that it imports from its own package (or, for a single file, from
    files next to it). Code in other packages counts as installed software.
    """
    if not is_import_path(name):
        return None
    module = sys.modules.get(name.partition(":")[0])
    files = sorted(_sources(module)) if module is not None else []
    total = hashlib.sha256()
    for path in files:
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:16] if files else None


@cache
def _package_digest() -> str:
    home, total = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        total.update(path.relative_to(home).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:16]


def _sources(module: ModuleType) -> set[Path]:
    """The source files of a module and of what it imports from its own folder tree, found by following imports."""
    root = _root(module)
    found: set[Path] = set()
    waiting = [(module.__name__, _source(getattr(module, "__file__", None)))]
    while waiting:
        name, path = waiting.pop()
        if path is None or path in found or root is None or not path.is_relative_to(root):
            continue
        if "site-packages" in path.relative_to(root).parts:
            continue
        found.add(path)
        package = name if path.stem == "__init__" else name.rpartition(".")[0]
        waiting += [(other, _source_of(other)) for other in _imports(path, package)]
    return found


def _root(module: ModuleType) -> Path | None:
    """The folder of the module's outermost package, or the one its single file lies in."""
    path = _source(getattr(module, "__file__", None))
    depth = module.__name__.count(".") + (path is not None and path.stem == "__init__")
    return None if path is None else path.parents[max(depth - 1, 0)]


def _source(file: str | None) -> Path | None:
    path = Path(file).resolve() if file else None
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


def _source_of(name: str) -> Path | None:
    """The source file of a module that is imported or could be."""
    if name in sys.modules:
        return _source(getattr(sys.modules[name], "__file__", None))
    if name.rpartition(".")[0] not in ("", *sys.modules):
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    return _source(spec.origin) if spec is not None else None


def _imports(path: Path, package: str) -> Iterator[str]:
    """The full names of all modules that a source file may import."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - max(node.level - 1, 0)] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
