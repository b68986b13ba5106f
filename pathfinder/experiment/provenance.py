"""What a run was made with: versions, commit, device, threads and settings of torch."""

import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from pathfinder.compute import compute_settings, find_device


def provenance(device: str, threads: Sequence[int] = ()) -> dict[str, Any]:
    """What someone needs to repeat a run.

    Args:
        device: where it computes.
        threads: the numbers of threads that it takes, more than one if its networks differ in size; torch's own now if
            not given.
    """
    numbers = list(threads) or [torch.get_num_threads()]
    packages = ("torch", "torchvision", "numpy", "pandas", "scikit-learn")
    versions = {"pathfinder": version("pathfinder-landscapes"), "python": platform.python_version()}
    return {
        "versions": versions | {package: version(package) for package in packages},
        "commit": commit_of(Path(__file__).parents[1]),
        "device": _device(find_device(device)),
        "threads": numbers if len(numbers) > 1 else numbers[0],
        "compute": compute_settings(),
    }


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    if device.type == "mps":
        return "mps"
    return f"cpu: {_processor()}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit_of(folder: Path) -> str | None:
    """The commit of the package in a folder, if it is a checkout; `+` marks uncommitted changes."""
    try:
        _git(folder, "ls-files", "--error-unmatch", "__init__.py")  # else it lies in somebody else's repository
        name = _git(folder, "rev-parse", "--short=12", "HEAD")
        return name + ("+" if _git(folder, "status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
