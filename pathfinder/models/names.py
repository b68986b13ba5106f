"""Names of tensors in files of earlier versions, in this one place."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn


class Staged(nn.Module):
    """A residual network of three stages, `layer1` to `layer3`, as in the published code.

    In files of earlier versions one `blocks` holds the blocks of all stages; `current_name` is the name of today.
    """

    _renamed: ClassVar[dict[str, str]] = {}  # patterns of other earlier names, after `blocks` has become stages
    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential

    def set_stages(self, blocks: list[nn.Module]) -> None:
        """Cut the blocks, in their order, into three stages of the same length."""
        each = len(blocks) // 3
        self.layer1, self.layer2, self.layer3 = (nn.Sequential(*blocks[i * each :][:each]) for i in range(3))

    def current_name(self, name: str) -> str:
        """The name that a tensor has now; names that have not changed stay."""
        if found := re.fullmatch(r"blocks\.(\d+)\.(.+)", name):
            stage, block = divmod(int(found[1]), len(self.layer1))
            name = f"layer{stage + 1}.{block}.{found[2]}"
        for pattern, now in self._renamed.items():
            name = re.sub(pattern, now, name)
        return name

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Let torch's own `load_state_dict` take files of earlier versions too."""
        renamed = current_names(self, state_dict, prefix)
        state_dict.clear()
        state_dict.update(renamed)
        faults = (missing_keys, unexpected_keys, error_msgs)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, *faults)


def current_names(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """Tensors by the names they have now, where the module is or contains a network whose names have changed.

    Args:
        module: the module; the names of all other modules stay.
        tensors: tensors of its state dict, in names of any version.
        prefix: what all names of the module start with.
    """
    found = dict(tensors)
    for path, part in module.named_modules(prefix=prefix.removesuffix(".")):
        if isinstance(part, Staged):
            start = f"{path}." if path else ""
            now = {old: start + part.current_name(old.removeprefix(start)) for old in found if old.startswith(start)}
            found = {name if (name := now.get(old, old)) not in found else old: tensor for old, tensor in found.items()}
    return found
