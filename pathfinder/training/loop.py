"""The training loop, shared by minima and curves; an interrupted one resumes bit for bit."""

import math
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from pathfinder.compute import accumulator, all_finite, own_draws
from pathfinder.data.batching import count, parts
from pathfinder.data.sources import Source
from pathfinder.errors import FailedWorkError, PathfinderError
from pathfinder.progress import Progress
from pathfinder.scoring.weighted import correct
from pathfinder.storage.resume import Stage
from pathfinder.training.goal import Goal
from pathfinder.training.recipe import Recipe

Monitor = Callable[[], Mapping[str, float | str]]
Checkpoint = Callable[[int], None]
_CHECK = 10  # steps between two checks of the losses, each of which waits for an accelerator


class Sums(NamedTuple):
    """Sums over the examples of a part of a batch.

    Attributes:
        plain: (1 + metrics,), the number of examples and the sum of each metric.
        weights: (metrics, 4), what `Reduced.sums` gives of each; None if none can have weights.
    """

    plain: Tensor
    weights: Tensor | None


Gradient = Callable[[Any, Any, Tensor, float], Sums]  # (x, y, t, share): adds to gradients, returns sums
Rescale = Callable[[Tensor, Tensor], None]  # (t, factor): multiplies the gradients of the loss by a factor


class DivergedError(PathfinderError):
    """The loss or a weight is no longer finite; the trained module or curve holds its last good weights."""


class TrainingLoop:
    """Epochs in an order drawn from (seed, epoch), with one optimiser step per mini-batch.

    Args:
        owner: the module or curve that is trained.
        parameters: its parameters that are trained.
        buffers: returns the tensors, by name, that a forward pass changes besides the parameters.
        gradient: adds the gradient of a part of a batch to the parameters, and returns sums over its examples; and
            what multiplies the gradients of all parts, where they have weights.
        norm: returns the norm of the weights.
        metrics: the names of the sums.
        recipe: the settings.
        weight_decay: the weight decay of the optimiser.
        goal: ends the training before the last epoch.
    """

    def __init__(
        self,
        owner: nn.Module,
        parameters: list[nn.Parameter],
        buffers: Callable[[], Mapping[str, Tensor]],
        gradient: tuple[Gradient, Rescale],
        norm: Callable[[], float],
        metrics: list[str],
        recipe: Recipe,
        weight_decay: float,
        goal: Goal | None = None,
    ) -> None:
        self.owner, self.parameters, self.buffers = owner, parameters, buffers
        self.gradient, self.rescale = gradient
        self.norm, self.metrics, self.recipe, self.goal = norm, metrics, recipe, goal
        self.device = parameters[0].device
        self.optimizer = _optimizer(parameters, recipe, weight_decay)
        self.done = 0  # steps
        self.sums = torch.zeros(len(metrics) + 1, dtype=accumulator(self.device), device=self.device)  # over the epoch
        self.weights = self.sums.new_zeros(len(metrics), 4)  # `Sums.weights` over the epoch
        self.history: list[dict[str, Any]] = []
        self.recent: list[Tensor] = []  # losses since the last check
        self.good: dict[str, Tensor] = {}  # what training changes, as of the last check
        self._save_good()

    def run(
        self,
        source: Source,
        monitor: Monitor | None,
        progress: Progress,
        stage: Stage,
        checkpoint: Checkpoint | None = None,
    ) -> pd.DataFrame:
        """Run all epochs that the stage has not done yet, and leave no gradient behind."""
        try:
            return self._run(source, monitor, progress, stage, checkpoint)
        finally:
            self.optimizer.zero_grad()

    def _run(
        self, source: Source, monitor: Monitor | None, progress: Progress, stage: Stage, checkpoint: Checkpoint | None
    ) -> pd.DataFrame:
        steps, epochs = source.steps(self.recipe.batch_size), self.recipe.epochs
        state = stage.load()
        if state:
            self._resume(state)
        progress(self.done, steps * epochs)
        if checkpoint and self.done == 0:
            checkpoint(0)
        with own_draws(self.device) as draw:
            for epoch in range(self.done // steps, epochs):
                if self.goal and self.goal.reached:
                    break
                for _ in self._steps(source, epoch, steps, stage, draw):
                    progress(self.done, steps * epochs)
                    if self.goal and self.goal.look(self.done, last=self.done == steps * epochs):
                        progress(self.done, self.done)
                        break
                self._check_finite(whole=True)
                self.history.append(self._row(epoch, steps, monitor))
                self.sums.zero_()
                self.weights.zero_()
                if checkpoint:
                    checkpoint(epoch + 1)
        if not (state and state.get("finished")):  # kept work still says what made it
            stage.save(self._state())
        return pd.DataFrame(self.history)

    def _steps(
        self, source: Source, epoch: int, steps: int, stage: Stage, draw: Callable[[int], None]
    ) -> Iterator[None]:
        rng = np.random.default_rng([self.recipe.seed, epoch])
        seeds = rng.integers(2**62, size=steps)
        t = torch.from_numpy(self.recipe.draw_t(rng, steps)).to(accumulator(self.device))
        t = t.to(self.device)  # once for all steps, as each copy waits for the device
        first = self.done - epoch * steps
        draw(int(seeds[0]))  # what a shuffling loader draws
        of_loader = lambda k: draw(int(seeds[k % steps]) + 1)  # noqa: E731 so that a resumed fit reads the same batch
        k = first - 1
        for k, (x, y) in enumerate(source.epoch(self.recipe.batch_size, rng, first, of_loader), start=first):
            if k == steps:
                break
            if stage.due():
                self._check_finite(whole=True)
                stage.save(self._state())
            for group in self.optimizer.param_groups:
                group["lr"] = self.recipe.learning_rate(self.done, steps)
            draw(int(seeds[k]))
            self.optimizer.zero_grad()
            self.recent.append(self._step(x, y, t[k : k + 1]))
            self.done += 1
            if self.done % _CHECK == 1:
                self._check_finite()
                self._save_good()
            self.optimizer.step()
            yield
        if k + 1 != steps:
            gave = f"{k + 1} batches" if k < steps else "more batches"
            raise PathfinderError(
                f"a stream gave {gave} in an epoch, but its length says {steps}; make the length exact, or pass a list."
            )

    def _step(self, x: Any, y: Any, t: Tensor) -> Tensor:
        """Add the gradient of a batch, whole or in micro-batches, and return its summed loss."""
        examples, before = count(x), self.sums[1].clone()
        weights: list[Tensor] = []
        for part, target in parts((x, y), self.recipe.micro_batch_size):
            sums = self.gradient(part, target, t, count(part) / examples)
            self.sums += sums.plain
            if sums.weights is not None:
                self.weights += sums.weights
                weights.append(sums.weights[0])
        if len(weights) > 1:
            _, weight, size, _ = torch.stack(weights).sum(0)
            self.rescale(t, correct(size, weight))  # a factor of 1 if nothing is left out
        return self.sums[1] - before

    def _check_finite(self, whole: bool = False) -> None:
        """Stop at the first loss (or weight, if `whole`) that is not finite, and restore the last good weights."""
        fine = all_finite([*self.recent, *(self.owner.parameters() if whole else [])])
        if not fine:  # the only line that waits for an accelerator
            losses = torch.stack(self.recent).tolist() if self.recent else []
            bad = [i for i, loss in enumerate(losses) if not math.isfinite(loss)]
            if bad:
                self._stop(f"the loss is {losses[bad[0]]}", self.done - len(losses) + bad[0] + 1)
            self._stop("weights are not finite", self.done)
        self.recent.clear()

    def _changing_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """The tensors that training changes, by name."""
        for i, parameter in enumerate(self.parameters):
            yield f"parameter {i}", parameter.detach()
        yield from self.buffers().items()

    def _save_good(self) -> None:
        """Copy the tensors that training changes over the last good ones."""
        for name, tensor in self._changing_tensors():
            good = self.good.get(name)
            if good is None or good.shape != tensor.shape or good.dtype != tensor.dtype:
                self.good[name] = tensor.clone()
            else:
                good.copy_(tensor)

    def _stop(self, what: str, step: int) -> None:
        for name, tensor in self._changing_tensors():
            if name in self.good:
                tensor.copy_(self.good[name])
        raise DivergedError(f"training diverged: {what} at step {step}; lower the learning rate, {self.recipe.lr}.")

    def _row(self, epoch: int, steps: int, monitor: Monitor | None) -> dict[str, Any]:
        examples, *sums = self.sums.tolist()
        row = {"epoch": epoch + 1, "step": self.done, "lr": self.recipe.learning_rate(self.done - 1, steps)}
        for metric, total, (weighted, weight, _, left_out) in zip(
            self.metrics, sums, self.weights.tolist(), strict=True
        ):
            row[f"train_{metric}"] = weighted / weight if left_out and weight else total / examples
        goal = self.goal.state() if self.goal else {}
        seen = monitor() if monitor else {}
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in seen.items()}
        return {**row, "norm": self.norm(), **goal, **plain}

    def _state(self) -> dict[str, Any]:
        return {
            "owner": self.owner.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
            "sums": self.sums,
            "weights": self.weights,
            "history": self.history,
            "finished": len(self.history) == self.recipe.epochs or (self.goal is not None and self.goal.reached),
            **({"goal": self.goal.state()} if self.goal else {}),
        }

    def _resume(self, state: Mapping[str, Any]) -> None:
        self.owner.load_state_dict(state["owner"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done, self.history = state["done"], list(state["history"])
        self.sums.copy_(state["sums"])
        if "weights" in state:  # not in the finished trainings of earlier versions
            self.weights.copy_(state["weights"])
        if self.goal:
            self.goal.resume(state["goal"])
        self._save_good()


def _optimizer(parameters: list[nn.Parameter], recipe: Recipe, weight_decay: float) -> torch.optim.Optimizer:
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, recipe.lr, recipe.momentum, nesterov=recipe.nesterov, weight_decay=weight_decay
        )
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, recipe.lr, weight_decay=weight_decay)


@contextmanager
def last_good(path: Path, save: Callable[[Path], None]) -> Generator[None, None, None]:
    """If training diverges, save the last good weights to a file and name it in the error.

    Args:
        path: the file.
        save: writes the trained module or curve, which holds these weights, to it.
    """
    try:
        yield
    except DivergedError as error:
        save(path)
        raise FailedWorkError(f"{path.name.partition('.')[0]}: {error} The last good weights are in {path}.") from error
