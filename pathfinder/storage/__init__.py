"""Files, and nothing about what they mean: written whole, read without ever running what they contain."""

from pathfinder.storage.checkpoints import Checkpoint, check_unpacked, load_weights, read_checkpoint
from pathfinder.storage.files import (
    can_be_written,
    existing_file,
    is_scratch,
    not_an_input,
    remove_scratch,
    replaces,
    write,
    write_json,
    write_text,
)
from pathfinder.storage.locks import locked
from pathfinder.storage.stage import NoStage, Stage, StageFile
from pathfinder.storage.tensors import load_header, load_tensors, save_tensors

__all__ = [
    "Checkpoint",
    "NoStage",
    "Stage",
    "StageFile",
    "can_be_written",
    "check_unpacked",
    "existing_file",
    "is_scratch",
    "load_header",
    "load_tensors",
    "load_weights",
    "locked",
    "not_an_input",
    "read_checkpoint",
    "remove_scratch",
    "replaces",
    "save_tensors",
    "write",
    "write_json",
    "write_text",
]
