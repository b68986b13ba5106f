"""fit_minimum trains a module, fit_curve the bends of a curve; both use the same training loop.

A step of a curve draws one t per mini-batch and follows dL/dW = outer(C(t), dL/dtheta); the network is not rewritten.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Unpack

import pandas as pd
import torch
from torch import Tensor, nn

from pathfinder.compute import (
    accumulator,
    autocast,
    check_float64,
    check_precision,
    find_device,
    lend,
    own_draws,
    training_mode,
)
from pathfinder.data.batching import count
from pathfinder.data.sources import Source, as_source
from pathfinder.data.split import explain_dtype_errors
from pathfinder.data.stream import Stream
from pathfinder.errors import PathfinderError
from pathfinder.geometry.curves import Curve, PolyChain
from pathfinder.geometry.inner import length
from pathfinder.progress import Progress, silent
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.scoring.losses import (
    PerExample,
    check_targets,
    functions_by_name,
    masked_cross_entropy,
    may_leave_out,
    plain,
)
from pathfinder.scoring.weighted import per_example
from pathfinder.settings import check_callable, check_kind
from pathfinder.storage.resume import NoStage, Stage
from pathfinder.training.band import Band
from pathfinder.training.constant import warn_if_constant_is_better
from pathfinder.training.goal import Goal
from pathfinder.training.loop import Checkpoint, Monitor, Sums, TrainingLoop
from pathfinder.training.recipe import CurveRecipe, CurveRecipeArguments, Recipe, RecipeArguments
from pathfinder.weights.space import WeightSpace
from pathfinder.weights.tensors import check_module


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
    stage: Stage | None = None,
    **recipe: Unpack[RecipeArguments],
) -> pd.DataFrame:
    """Train a module on data; no other call changes the user's module.

    Args:
        module: trained in place; its training mode is restored.
        data: a Split, a pair (x, y), or an iterable of batches with a length.
        loss: (output, target) -> a value per example, or `pathfinder.scoring.Weighted` values, whose weighted mean over
            the batch is minimised; cross-entropy if not given, without targets of -100.
        monitor: called after each epoch; the dict it returns, such as scores on test data, is added to the history.
        checkpoint: called with the epoch, 0 before the first step and then after each, to save the weights.
        device: where to train; the module is moved there and back.
        precision: `fp32`, or `bf16` for autocast.
        progress: called as progress(done, total) with steps.
        stage: saves the state, so that an interrupted fit resumes bit for bit; see `pathfinder.storage.Stage`.
        **recipe: the fields of `pathfinder.training.Recipe`: epochs, lr, batch_size, optimizer, momentum, nesterov,
            weight_decay, schedule, seed, label_smoothing, micro_batch_size.

    Returns:
        The history, a row per epoch: epoch, step, lr (of the epoch's last step), train_loss and train_error (means
        over the epoch's mini-batches, while the weights changed), norm, and the monitor's values.

    Raises:
        PathfinderError: if a setting is wrong, or the loss is no longer finite; the module then holds the last weights
            whose loss was finite.

    >>> from pathfinder import build_model, load_data
    >>> model = build_model("mlp", widths=[16], input_shape=(1, 8, 8), seed=0)
    >>> history = fit_minimum(model, load_data("digits")["train"], epochs=2, lr=0.1)
    >>> list(history.columns)
    ['epoch', 'step', 'lr', 'train_loss', 'train_error', 'norm']
    >>> bool(history["train_loss"].iloc[-1] < history["train_loss"].iloc[0])
    True
    """
    check_module(module)
    _check_calls(monitor, checkpoint, progress)
    settings = Recipe.parse(recipe)
    source, where = as_source(data), find_device(device)
    check_precision(precision)
    functions, objective, track = _functions(loss, source, settings)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise PathfinderError(f"{type(module).__name__} has no trainable parameter; set requires_grad.")

    def gradient(x: Any, y: Any, t: Tensor, share: float) -> Sums:
        with autocast(where, precision):
            output = module(**x) if isinstance(x, Mapping) else module(*x) if isinstance(x, tuple) else module(x)
        sums, mean = _sums(functions, objective, output, y, (share, track))
        (mean * share).backward()
        return sums

    def rescale(t: Tensor, factor: Tensor) -> None:
        _scale_gradients(parameters, factor)

    check_float64(where, f"the weights of {type(module).__name__}", [*module.parameters(), *module.buffers()])
    with training_mode(module), lend(module, where):
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        loop = TrainingLoop(
            module, parameters, lambda: dict(module.named_buffers()), (gradient, rescale), lambda: length(parameters),
            list(functions), settings, settings.weight_decay,
        )  # fmt: skip
        with explain_dtype_errors(source, parameters[0].dtype):
            history = loop.run(source.to(where), monitor, progress, stage or NoStage(), checkpoint)
    if loss is None:
        warn_if_constant_is_better(history, source, settings)
    return history


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
    stage: Stage | None = None,
    **recipe: Unpack[CurveRecipeArguments],
) -> pd.DataFrame:
    """Train the bends of a curve so that the loss along it falls (Garipov et al. 2018, equation 2).

    Each mini-batch draws one t and takes a step against the gradient of L(theta(t)) + weight_decay / 2 |theta(t)|^2.
    BatchNorm layers use the batch's statistics; a curve has no running ones, the Evaluator measures them at each point.

    Args:
        curve: its Parameters are trained in place.
        space: the weight space of the module; the module itself is not changed.
        data: as for `fit_minimum`.
        loss: as for `fit_minimum`.
        monitor: as for `fit_minimum`.
        device: where to train; the curve is moved there and back.
        precision: `fp32`, or `bf16` for autocast.
        progress: called as progress(done, total) with steps.
        stage: as for `fit_minimum`.
        **recipe: the fields of `pathfinder.training.CurveRecipe`: those of `Recipe`, recipe (`fast`
            or `garipov`: what is not set), t (`uniform`, `beta` or `stratified`), method (`mean` or `neb`), tangent and
            until.

    Returns:
        The history as from `fit_minimum`; train_loss is the mean over the drawn t without penalty, norm that of
        theta(1/2). With `until`, `largest` is the largest loss along the curve when last looked at, and `reached`
        whether it was low enough: then the last epoch ends there.

    Raises:
        PathfinderError: if the curve has nothing to train, a setting is wrong, or the loss is no longer finite.

    >>> from pathfinder import Bezier, WeightSpace, build_model, load_data
    >>> data = load_data("digits")
    >>> a, b = (build_model("mlp", widths=[16], input_shape=(1, 8, 8), seed=seed) for seed in (0, 1))
    >>> space = WeightSpace(a)
    >>> curve = Bezier(space.vector(a), space.vector(b))
    >>> history = fit_curve(curve, space, data["train"], epochs=2, lr=0.1)
    >>> bool(history["train_loss"].iloc[-1] < history["train_loss"].iloc[0])
    True
    """
    check_kind(curve, Curve, "curve", "give a Bezier, PolyChain or curve of your own")
    check_kind(space, WeightSpace, "space", "make one with WeightSpace(module)")
    if len(curve.start) != space.size:
        raise PathfinderError(
            f"the curve must have {space.size} weights, got {len(curve.start)}; it is of another network."
        )
    _check_calls(monitor, None, progress)
    settings = CurveRecipe.parse(recipe)
    source, where = as_source(data), find_device(device)
    check_precision(precision)
    functions, objective, track = _functions(loss, source, settings)
    if not curve.free():
        raise PathfinderError("the curve has nothing to train: bends is 0 and its ends are fixed; give it a bend.")
    if settings.method == "neb" and not (isinstance(curve, PolyChain) and not curve.start.requires_grad):
        raise PathfinderError(f"method = 'neb' needs a polychain with fixed ends, got a {curve.kind()}; change one.")
    fixed = space.fixed(device=where)  # BatchNorm writes running statistics here that nobody reads

    def slope(theta: Tensor, x: Any, y: Any, share: float, wanted: bool = True) -> tuple[Sums, Tensor]:
        theta.requires_grad_(wanted)
        with torch.set_grad_enabled(wanted):
            with autocast(where, precision):
                output = space.call(theta, x, fixed)
            sums, mean = _sums(functions, objective, output, y, (share, track))
        if not wanted:
            return sums, theta.new_zeros(())
        (found,) = torch.autograd.grad(mean * share, theta)
        return sums, found.add_(theta.detach(), alpha=settings.weight_decay * share)

    def gradient(x: Any, y: Any, t: Tensor, share: float) -> Sums:
        with torch.no_grad():
            theta = curve(t)[0]
        sums, found = slope(theta, x, y, share)
        curve.backward(t, found)
        return sums

    def rescale(t: Tensor, factor: Tensor) -> None:
        _scale_gradients(curve.free(), factor)
        with torch.no_grad():  # the penalty is not to be scaled
            curve.backward(t, curve(t)[0] * (settings.weight_decay * (1 - factor)))

    def norm() -> float:
        return float(curve.norm(torch.tensor([0.5])))

    with lend(curve, where), training_mode(space.network), explain_dtype_errors(source, space.dtype):
        band = Band(curve, slope, settings) if settings.method == "neb" else None
        steps = (band.gradient, band.rescale) if band else (gradient, rescale)
        goal = None
        if settings.until is not None:
            with own_draws() as draw:
                draw(settings.seed)  # the same examples when the fit resumes
                looked = source.read_once(settings.until.examples) if isinstance(source, Stream) else source
            evaluator = Evaluator(
                space, {"train": looked}, loss=loss, metrics={}, batch_size=settings.batch_size, seed=settings.seed,
                examples=settings.until.examples, batch_norm_examples=settings.until.examples, device=str(where),
                precision=precision,
            )  # fmt: skip
            goal = Goal(settings.until, curve, evaluator)
        loop = TrainingLoop(curve, curve.free(), dict, steps, norm, list(functions), settings, 0.0, goal)
        if band:
            band.attach(loop.optimizer)
        history = loop.run(source.to(where), monitor, progress, stage or NoStage())
    if loss is None:
        warn_if_constant_is_better(history, source, settings)
    return history


def _check_calls(monitor: Any, checkpoint: Any, progress: Any) -> None:
    for what, function in (("monitor", monitor), ("checkpoint", checkpoint), ("progress", progress)):
        check_callable(function, what)


def _functions(
    loss: PerExample | None, source: Source, recipe: Recipe
) -> tuple[dict[str, PerExample], PerExample | None, bool]:
    """The functions that the history shows; the objective to minimise, where that is not the loss itself; and whether
    values may have weights.
    """
    check_targets(loss, {"data": source})
    masked = may_leave_out([source])
    functions = functions_by_name(loss, None, source.classes, masked)
    if not recipe.label_smoothing:
        return functions, None, masked or loss is not None
    if loss is not None:
        raise PathfinderError("label_smoothing belongs to the cross-entropy; drop it, or smooth in your own loss.")
    entropy = masked_cross_entropy if masked else plain(masked_cross_entropy)
    return functions, partial(entropy, label_smoothing=recipe.label_smoothing), masked


def _sums(
    functions: Mapping[str, PerExample], objective: PerExample | None, output: Any, y: Any, part: tuple[float, bool]
) -> tuple[Sums, Tensor]:
    """The sums of a part of a batch; and its mean objective, to be differentiated.

    `part` is its share of the batch, and whether sums of weights are kept. The mean is weighted if
    the part is the whole batch. Of other parts the loop corrects the sum of the gradients once it knows all weights.
    """
    (share, track), examples = part, count(y)
    values = {metric: per_example(function(output, y), examples) for metric, function in functions.items()}
    dtype = accumulator(values["loss"].values.device)
    sums = torch.stack([value.values.detach().sum(dtype=dtype) for value in values.values()])
    weights = torch.stack([value.sums(dtype) for value in values.values()]) if track else None
    minimised = values["loss"] if objective is None else per_example(objective(output, y), examples)
    mean = minimised.mean() if share == 1.0 else minimised.values.mean()
    return Sums(torch.cat([sums.new_full((1,), examples), sums]), weights), mean


def _scale_gradients(parameters: list[torch.nn.Parameter], factor: Tensor) -> None:
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.mul_(factor.to(parameter.grad.dtype))
