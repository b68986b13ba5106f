"""The command line in this process."""

import sys

import pytest

from pathfinder import cli


def called(*arguments):
    """Runs the command line in this process: its exit code."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stop:
        patch.setattr(sys, "argv", ["pathfinder", *map(str, arguments)])
        cli.main()
    return stop.value.code or 0


def train_arguments(out, widths="[8, 8]"):
    return ["train", "mlp", "--data", "digits", "-o", str(out), "--set", "epochs=2", "--model-arg", f"widths={widths}"]
