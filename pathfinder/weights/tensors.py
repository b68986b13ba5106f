"""Tensors of a module by name, and how those of a state dict or another module match them."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils.weight_norm import WeightNorm

from pathfinder.errors import PathfinderError, brief, list_names
from pathfinder.models.names import current_names

NetworkState = nn.Module | Mapping[str, Tensor]


def check_module(module: Any) -> None:
    """Raise a PathfinderError unless this is a module."""
    if not isinstance(module, nn.Module):
        own = isinstance(module, type)
        came = f"the class {module.__name__}; make one, {module.__name__}(...)" if own else type(module).__name__
        raise PathfinderError(f"the network must be a torch.nn.Module, got {came}.")


def load_state(module: nn.Module, source: NetworkState) -> None:
    """Copy the tensors of a state dict or another module into a module.

    Raises:
        PathfinderError: if they are another network's; the error names the first tensors that differ.
    """
    own = tensors_of(module)
    with torch.no_grad():
        for name, tensor in match_tensors(module, source).items():
            own[name].copy_(tensor)


def copy_module(module: nn.Module) -> nn.Module:
    """A deep copy of a module, even if a hook (`nn.utils.weight_norm`, `spectral_norm`) holds a computed tensor.

    Such a tensor has a history, which deepcopy refuses to copy, so only its values are copied.
    """
    made: dict[int, Any] = {}
    for layer in module.modules():
        for value in vars(layer).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                made[id(value)] = torch.empty_like(value, requires_grad=False).copy_(value.detach())
    return copy.deepcopy(module, made)


def refresh_weight_norm(module: nn.Module) -> None:
    """Recompute the weights of old-style weight normalisation from its parameters, as the next forward pass would."""
    for layer in module.modules():
        for hook in layer._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm):
                setattr(layer, hook.name, hook.compute_weight(layer).detach())


def check_same_network(module: nn.Module, other: nn.Module) -> None:
    """Raise a PathfinderError if two modules differ in the names or shapes of their tensors."""
    match_tensors(module, other)


def match_tensors(module: nn.Module, source: NetworkState) -> dict[str, Tensor]:
    """The source's tensors by the module's names; tensors that a state dict may lack are the module's own.

    Names that earlier versions gave to the tensors of pathfinder's own networks are those of today.

    Raises:
        PathfinderError: if they are another network's; the error names the first tensors that differ.
    """
    given = tensors_of(source, every_name=True) if isinstance(source, nn.Module) else _state(source)
    given = current_names(module, given)
    aliases, saved, counters = aliases_of(module), set(module.state_dict()), running_of(module)[1]
    found: dict[str, Tensor] = {}
    missing, misshapen, untied = [], [], []
    for name, own in tensors_of(module).items():
        copies = [given.pop(alias) for alias in aliases[name] if alias in given]
        if not copies and (name not in saved or name in counters):
            found[name] = own.detach()
        elif not copies:
            missing.append(f"`{name}` {tuple(own.shape)}")
        elif copies[0].shape != own.shape:
            misshapen.append(f"`{name}` is {brief(tuple(copies[0].shape), 80)}, not {tuple(own.shape)}")
        elif _other_numbers(copies[0], own):
            misshapen.append(f"`{name}` is {copies[0].dtype}, not {own.dtype}")
        elif any(not torch.equal(copies[0], other) for other in copies[1:]):
            untied.append(f"`{name}` differs from {list_names(aliases[name][1:])}, to which it is tied")
        else:
            found[name] = copies[0].detach()
    unexpected = [f"`{brief(name, 80)}` {brief(tuple(tensor.shape), 80)}" for name, tensor in given.items()]
    faults = [_first(missing, "missing: "), _first(unexpected, "unexpected: "), _first(misshapen), _first(untied)]
    if any(faults):
        raise PathfinderError(
            f"the weights do not fit this {type(module).__name__}: {'; '.join(filter(None, faults))}; "
            "both need the same architecture."
        )
    return found


def _state(source: Any) -> dict[str, Tensor]:
    """A state dict, checked to hold only tensors."""
    if not isinstance(source, Mapping):
        raise PathfinderError(f"weights are read from a module or a state dict, got {type(source).__name__}.")
    other = [name for name, value in source.items() if not isinstance(value, Tensor)]
    if other:
        hint = '; pass its "state_dict"' if "state_dict" in source else ""
        kind = type(source[other[0]]).__name__
        raise PathfinderError(
            f"a state dict must hold tensors, got {kind} for {list_names(map(str, other[:1]))}{hint}."
        )
    return dict(source)


def _other_numbers(tensor: Tensor, own: Tensor) -> bool:
    """Whether a tensor is complex and the module's own is not, or holds integers for weights, or the reverse."""
    whole = isinstance(own, nn.Parameter) and own.is_floating_point() != tensor.is_floating_point()
    return whole or tensor.is_complex() != own.is_complex()


def _first(faults: list[str], kind: str = "") -> str:
    """The first three faults of a kind, and how many more there are."""
    more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
    return f"{kind}{', '.join(faults[:3])}{more}" if faults else ""


def tensors_of(module: nn.Module, every_name: bool = False) -> dict[str, Tensor]:
    """The parameters and buffers of a module, by the first of their names, or by every name."""
    once = not every_name
    return dict([*module.named_parameters(remove_duplicate=once), *module.named_buffers(remove_duplicate=once)])


def aliases_of(module: nn.Module) -> dict[str, list[str]]:
    """All names of each parameter and buffer, by its first name."""
    first: dict[int, str] = {}
    names: dict[str, list[str]] = {}
    for name, tensor in tensors_of(module, every_name=True).items():
        names.setdefault(first.setdefault(id(tensor), name), []).append(name)
    return names


def has_running(layer: nn.Module) -> bool:
    """Whether a layer keeps running statistics of its inputs (BatchNorm)."""
    return isinstance(layer, _NormBase) and layer.running_mean is not None


def running_of(module: nn.Module) -> tuple[list[str], list[str]]:
    """The names of the running statistics, and of the batch counters that go with them."""
    statistics, counters = [], []
    for path, layer in module.named_modules():
        if has_running(layer):
            prefix = f"{path}." if path else ""
            statistics += [f"{prefix}running_mean", f"{prefix}running_var"]
            counters.append(f"{prefix}num_batches_tracked")
    return statistics, counters
