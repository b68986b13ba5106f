"""Files, and nothing about what they mean: written whole, read without ever running what they contain."""

from pathfinder.storage.checkpoints import Checkpoint, check_unpacked, load_weights, read_checkpoint
from pathfinder.storage.files import (
    check_not_input,
    check_writable,
    existing_file,
    is_scratch,
    remove_scratch,
    replacement_error,
    write,
    write_json,
    write_text,
)
from pathfinder.storage.locks import hold_lock
from pathfinder.storage.resume import NoStage, Stage, StageFile
from pathfinder.storage.tensors import load_header, load_tensors, save_tensors

__all__ = [
    "Checkpoint",
    "NoStage",
    "Stage",
    "StageFile",
    "check_not_input",
    "check_unpacked",
    "check_writable",
    "existing_file",
    "hold_lock",
    "is_scratch",
    "load_header",
    "load_tensors",
    "load_weights",
    "read_checkpoint",
    "remove_scratch",
    "replacement_error",
    "save_tensors",
    "write",
    "write_json",
    "write_text",
]
