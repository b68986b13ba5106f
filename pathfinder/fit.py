"""Fits: train a minimum, or train the bends of a curve. One loop walks downhill for both.

A curve step draws one t per mini-batch and follows dL/dW = outer(C(t), dL/dtheta); the network is not rewritten.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from pathfinder.data import Source, as_source, count, parts
from pathfinder.errors import PathfinderError
from pathfinder.geometry import Curve
from pathfinder.losses import PerExample, cross_entropy, default_metrics, per_example
from pathfinder.precision import autocast, device_named
from pathfinder.progress import Progress, silent
from pathfinder.recipe import CurveRecipe, Recipe
from pathfinder.weights import WeightSpace

Monitor = Callable[[], Mapping[str, float]]
Checkpoint = Callable[[int], None]
Gradient = Callable[[Any, Any, float, float], Tensor]  # (x, y, t, share): adds to gradients, returns sums

_CHECK = 10  # steps between two looks at the losses, which would else hold up an accelerator


def fit_minimum(
    module: nn.Module,
    data: Any,
    *,
    loss: PerExample | None = None,
    monitor: Monitor | None = None,
    checkpoint: Checkpoint | None = None,
    device: str = "cpu",
    precision: str = "fp32",
    progress: Progress = silent,
    stage: Any = None,
    **recipe: Any,
) -> pd.DataFrame:
    """Train a module on data: the only call that changes the user's module.

    Args:
        module: trained in place, and left in the training mode it was in.
        data: a Split, a pair (x, y), or an iterable of batches with a length.
        loss: (output, target) -> a value per example; cross-entropy if not given.
        monitor: called after each epoch; what it returns joins the history, for example scores on test data.
        checkpoint: called with the epoch, 0 before the first step and then after each, to keep the weights as they are.
        device: where to train; the module is moved there and back.
        precision: `fp32`, or `bf16` for autocast.
        progress: called as progress(done, total) with steps.
        stage: a `storage.Stage` that keeps the state, so that an interrupted fit goes on, bit for bit.
        **recipe: the fields of `recipe.Recipe`: epochs, lr, batch_size, optimizer, momentum, nesterov, weight_decay,
            schedule, seed, label_smoothing, micro_batch_size.

    Returns:
        The history, a row per epoch: epoch, step, lr (of the epoch's last step), train_loss and train_error (means
        over the epoch's mini-batches, as they were while the weights moved), norm, and what monitor returned.

    Raises:
        PathfinderError: if a setting is wrong, or the loss stops being finite; the module then holds the last weights
            whose loss was.
    """
    settings = Recipe.parse(recipe)
    source, where = as_source(data), device_named(device)
    functions, objective = _functions(loss, source, settings)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        raise PathfinderError(f"{type(module).__name__} has no trainable parameter; set requires_grad.")

    def gradient(x: Any, y: Any, t: float, share: float) -> Tensor:
        with autocast(where, precision):
            output = module(**x) if isinstance(x, Mapping) else module(*x) if isinstance(x, tuple) else module(x)
        sums, mean = _sums(functions, objective, output, y, count(x))
        (mean * share).backward()
        return sums

    def norm() -> float:
        return float(sum(p.detach().double().square().sum().cpu() for p in parameters)) ** 0.5

    flags = [(layer, layer.training) for layer in module.modules()]
    home = parameters[0].device
    module.to(where).train()
    try:
        descent = _Descent(module, parameters, gradient, norm, list(functions), settings, settings.weight_decay)
        return descent.run(source.to(where), monitor, progress, stage, checkpoint)
    finally:
        module.to(home)
        for parameter in parameters:
            parameter.grad = None
        for layer, flag in flags:
            layer.training = flag


def fit_curve(
    curve: Curve,
    space: WeightSpace,
    data: Any,
    *,
    loss: PerExample | None = None,
    monitor: Monitor | None = None,
    device: str = "cpu",
    precision: str = "fp32",
    progress: Progress = silent,
    stage: Any = None,
    **recipe: Any,
) -> pd.DataFrame:
    """Move the free anchors of a curve so that the loss along it falls (Garipov et al. 2018, equation 2).

    For each mini-batch one t is drawn, and the loss at theta(t) plus weight_decay / 2 |theta(t)|^2 is stepped down.
    BatchNorm layers use the batch's statistics; running ones do not exist on a curve, the Evaluator makes them.

    Args:
        curve: its Parameters are moved in place.
        space: the weight space of the module; the module itself is not changed.
        data: as for `fit_minimum`.
        loss: as for `fit_minimum`.
        monitor: as for `fit_minimum`.
        device: where to train; the curve is moved there and back.
        precision: `fp32`, or `bf16` for autocast.
        progress: called as progress(done, total) with steps.
        stage: a `storage.Stage`, as for `fit_minimum`.
        **recipe: the fields of `recipe.CurveRecipe`: those of `Recipe`, and t (`uniform` or `beta`).

    Returns:
        The history as of `fit_minimum`; train_loss is the mean over the drawn t without penalty, norm that of
        theta(1/2).

    Raises:
        PathfinderError: if nothing can move, a setting is wrong, or the loss stops being finite.
    """
    settings = CurveRecipe.parse(recipe)
    source, where = as_source(data), device_named(device)
    functions, objective = _functions(loss, source, settings)
    if not curve.free():
        raise PathfinderError("the curve has nothing to train: bends is 0 and its ends are fixed; give it a bend.")
    home = curve.start.device
    fixed = space.fixed(device=where)  # scratch: BatchNorm writes its running statistics here, nobody reads them

    def gradient(x: Any, y: Any, t: float, share: float) -> Tensor:
        at = torch.tensor([t], dtype=torch.float64, device=where)
        with torch.no_grad():
            theta = curve(at)[0]
        theta.requires_grad_()
        with autocast(where, precision):
            output = space.call(theta, x, fixed)
        sums, mean = _sums(functions, objective, output, y, count(x))
        (slope,) = torch.autograd.grad(mean * share, theta)
        curve.backward(at, slope.add_(theta.detach(), alpha=settings.weight_decay * share))
        return sums

    def norm() -> float:
        return float(curve.norm(torch.tensor([0.5])))

    curve.to(where)
    try:
        with space.training():
            descent = _Descent(curve, curve.free(), gradient, norm, list(functions), settings, 0.0)
            return descent.run(source.to(where), monitor, progress, stage)
    finally:
        for parameter in curve.parameters():
            parameter.grad = None
        curve.to(home)


class _Descent:
    """The loop: epochs in an order drawn from (seed, epoch), one optimiser step per mini-batch."""

    def __init__(
        self,
        owner: nn.Module,
        parameters: list[nn.Parameter],
        gradient: Gradient,
        norm: Callable[[], float],
        metrics: list[str],
        recipe: Recipe,
        weight_decay: float,
    ) -> None:
        self.owner, self.gradient, self.norm, self.metrics, self.recipe = (
            owner,
            gradient,
            norm,
            metrics,
            recipe,
        )
        self.device = parameters[0].device
        self.optimizer = _optimizer(parameters, recipe, weight_decay)
        self.done = 0  # steps
        self.sums = torch.zeros(len(metrics) + 1, dtype=torch.float64, device=self.device)  # over the epoch so far
        self.history: list[dict[str, Any]] = []
        self.recent: list[Tensor] = []  # losses since the last look at them
        self.good = _copied(owner)

    def run(
        self,
        source: Source,
        monitor: Monitor | None,
        progress: Progress,
        stage: Any,
        checkpoint: Checkpoint | None = None,
    ) -> pd.DataFrame:
        """All epochs, from where the stage left off."""
        steps, epochs = source.steps(self.recipe.batch_size), self.recipe.epochs
        if stage and (state := stage.load()):
            self._resume(state)
        progress(self.done, steps * epochs)
        if checkpoint and self.done == 0:
            checkpoint(0)
        with torch.random.fork_rng([self.device.index or 0] if self.device.type == "cuda" else []):
            for epoch in range(self.done // steps, epochs):
                for _ in self._steps(source, epoch, steps, stage):
                    progress(self.done, steps * epochs)
                self._look(whole=True)
                self.history.append(self._row(epoch, steps, monitor))
                self.sums.zero_()
                if checkpoint:
                    checkpoint(epoch + 1)
        if stage:
            stage.save(self._state())
        return pd.DataFrame(self.history)

    def _steps(self, source: Source, epoch: int, steps: int, stage: Any) -> Iterator[None]:
        rng = np.random.default_rng([self.recipe.seed, epoch])
        seeds = rng.integers(2**62, size=steps)
        times = rng.beta(2, 2, steps) if getattr(self.recipe, "t", "") == "beta" else rng.random(steps)
        first = self.done - epoch * steps
        _seed(int(seeds[0]), self.device)  # what a shuffling loader draws
        for k, (x, y) in enumerate(source.epoch(self.recipe.batch_size, rng, first), start=first):
            if stage and stage.due():
                self._look(whole=True)
                stage.save(self._state())
            for group in self.optimizer.param_groups:
                group["lr"] = self.recipe.learning_rate(self.done, steps)
            _seed(int(seeds[k]), self.device)
            self.optimizer.zero_grad()
            self.recent.append(self._step(x, y, float(times[k])))
            self.done += 1
            if self.done % _CHECK == 1:
                self._look()
                self.good = _copied(self.owner)
            self.optimizer.step()
            yield

    def _step(self, x: Any, y: Any, t: float) -> Tensor:
        """The gradient of a batch, in one piece or in micro-batches; gives its summed loss."""
        examples, before = count(x), self.sums[1].clone()
        for part, target in parts((x, y), self.recipe.micro_batch_size):
            self.sums += self.gradient(part, target, t, count(part) / examples)
        return self.sums[1] - before

    def _look(self, whole: bool = False) -> None:
        """Stop at the first loss (or, in a whole look, weight) that is not finite, back at the last good weights."""
        bad = [i for i, loss in enumerate(self.recent) if not torch.isfinite(loss)]
        if bad:
            self._stop(f"the loss is {float(self.recent[bad[0]])}", self.done - len(self.recent) + bad[0] + 1)
        if whole and not all(parameter.isfinite().all() for parameter in self.owner.parameters()):
            self._stop("weights are not finite", self.done)
        self.recent.clear()

    def _stop(self, what: str, step: int) -> None:
        self.owner.load_state_dict(self.good)
        raise DivergedError(f"training diverged: {what} at step {step}; lower the learning rate, {self.recipe.lr}.")

    def _row(self, epoch: int, steps: int, monitor: Monitor | None) -> dict[str, Any]:
        examples, *sums = self.sums.tolist()
        row = {"epoch": epoch + 1, "step": self.done, "lr": self.recipe.learning_rate(self.done - 1, steps)}
        row |= {f"train_{metric}": total / examples for metric, total in zip(self.metrics, sums, strict=True)}
        return {**row, "norm": self.norm(), **(monitor() if monitor else {})}

    def _state(self) -> dict[str, Any]:
        return {
            "owner": self.owner.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
            "sums": self.sums,
            "history": self.history,
        }

    def _resume(self, state: Mapping[str, Any]) -> None:
        self.owner.load_state_dict(state["owner"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done, self.history = state["done"], list(state["history"])
        self.sums.copy_(state["sums"])
        self.good = _copied(self.owner)


class DivergedError(PathfinderError):
    """The loss stopped being finite; what was trained holds its last good weights."""


def _functions(
    loss: PerExample | None, source: Source, recipe: Recipe
) -> tuple[dict[str, PerExample], PerExample | None]:
    """What the history shows; and what is stepped down, where that is not the loss itself."""
    functions = {"loss": loss or cross_entropy, **default_metrics(loss, source.classes)}
    if not recipe.label_smoothing:
        return functions, None
    if loss is not None:
        raise PathfinderError("label_smoothing belongs to the cross-entropy; drop it, or smooth in your own loss.")
    return functions, partial(cross_entropy, label_smoothing=recipe.label_smoothing)


def _sums(
    functions: Mapping[str, PerExample], objective: PerExample | None, output: Any, y: Any, examples: int
) -> tuple[Tensor, Tensor]:
    """The number of examples and the sum of each metric over them; and the mean loss, to be differentiated."""
    values = {metric: per_example(function(output, y), examples) for metric, function in functions.items()}
    sums = torch.stack([value.detach().sum(dtype=torch.float64) for value in values.values()])
    stepped = values["loss"] if objective is None else per_example(objective(output, y), examples)
    return torch.cat([sums.new_full((1,), examples), sums]), stepped.mean()


def _optimizer(parameters: list[nn.Parameter], recipe: Recipe, weight_decay: float) -> torch.optim.Optimizer:
    common = {"lr": recipe.lr, "weight_decay": weight_decay}
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=recipe.momentum, nesterov=recipe.nesterov, **common)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer](parameters, **common)


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def _seed(seed: int, device: torch.device) -> None:
    """Seed what a module draws in a forward pass; torch.manual_seed would cost more than a small step."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
