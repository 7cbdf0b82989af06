"""Run a training: steps, validations, checkpoints, early stopping.

Each step is a function of the state before it and of (seed, step) alone. So a run that was killed
and goes on from its checkpoint ends, on a CPU, with the same weights as one that was not.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import PipelineError
from pipeline.training.run_folder import STEP, RunFolder

Batch = TypeVar("Batch")
GOAL = "goal"  #: figure of a validation that is to become large
STRIDE = 1_000_003  #: keeps the random numbers of neighbouring seeds apart
MIXED = "bf16"
LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}  #: by number of axes of the weights
AVERAGE_START = 10.0  #: the running average of the weights begins short

Report = Callable[[int, str], None]  #: steps done, and the losses in words

#: Names of `Schedule` in ``settings.json``, where they differ: runs of earlier versions go on.
NAMES_IN_SETTINGS: Mapping[str, str] = {"validate_every": "judge_every"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Length, learning rate and precision of a training.

    Attributes
    ----------
    validate_every
        Steps from one validation, and checkpoint, to the next.
    patience
        Validations without a better one, after which the run ends early.
    peak_rate, warm_up
        Learning rate of AdamW: it rises over this share of the steps, then half a cosine down.
    average
        Decay of the running average of the weights, which is what is validated and kept.
    precision
        ``fp32`` or ``bf16`` (automatic mixed precision).
    constant
        Whether the rate stays at its peak throughout.
    """

    steps: int
    validate_every: int = 100
    patience: int = 10
    peak_rate: float = 1e-3
    warm_up: float = 0.03
    weight_decay: float = 1e-2
    largest_gradient: float = 1.0
    average: float = 0.995
    precision: str = "fp32"
    workers: int = 1
    constant: bool = False

    def as_settings(self) -> dict[str, Any]:
        """All of it by its names in ``settings.json``; what is newer only where it is used."""
        named = {NAMES_IN_SETTINGS.get(name, name): value for name, value in asdict(self).items()}
        if not self.constant:
            del named["constant"]
        return named

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        if self.constant:
            return self.peak_rate
        share = step / self.steps
        if share < self.warm_up:
            return self.peak_rate * (0.05 + 0.95 * share / self.warm_up)
        fall = (share - self.warm_up) / (1 - self.warm_up)
        return self.peak_rate * (0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * fall))))


class TrainingTask(Protocol[Batch]):
    """A network, batches to train it on, and its losses and validation."""

    @property
    def network(self) -> nn.Module:
        """All that has weights, on the device to train on."""
        ...

    def draw(self, step: int) -> Batch:
        """Batch of a step; called from other threads, the same each time it is called."""
        ...

    def losses(self, batch: Batch, step: int) -> Mapping[str, Tensor]:
        """Losses by name; their sum is descended."""
        ...

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Figures of a network on the validation cases, in evaluation mode; `GOAL` among them."""
        ...


@dataclass(slots=True, kw_only=True)
class State(Generic[Batch]):
    """State of a run between two steps."""

    task: TrainingTask[Batch]
    averaged: nn.Module
    optimiser: torch.optim.Optimizer
    best: dict[str, Tensor]
    step: int = 0
    best_step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def dump(self) -> dict[str, Any]:
        """All of it but the history, for a checkpoint."""
        return {
            "network": self.task.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "best": self.best,
            "step": self.step,
            "best_step": self.best_step,
        }

    def resume(self, saved: Mapping[str, Any]) -> None:
        """Take up where a checkpoint left off.

        Raises
        ------
        PipelineError
            If it is not one of this network.
        """
        try:
            self.task.network.load_state_dict(saved["network"])
            self.averaged.load_state_dict(saved["averaged"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.best = saved["best"]
            self.step, self.best_step = saved["step"], saved["best_step"]
            self.history = saved["history"]
        except (KeyError, TypeError, ValueError, RuntimeError) as exc:
            raise PipelineError(f"a checkpoint of this network expected, got: {exc!r}") from exc


def fit(
    task: TrainingTask[Batch], schedule: Schedule, folder: RunFolder, *, seed: int, report: Report
) -> list[dict[str, float]]:
    """Train until the steps are done or nothing gets better; keep the best averaged weights.

    The network ends with the weights of the best validation, in evaluation mode.

    Returns
    -------
    list
        The history: one entry per validation.
    """
    state = _begin(task, schedule)
    if (saved := folder.saved()) is not None:
        state.resume(saved)
    for step, batch in _batches(task, schedule, state.step):
        if state.step - state.best_step >= schedule.patience * schedule.validate_every:
            break  # also where an earlier run was stopped after this
        torch.manual_seed(seed * STRIDE + step)
        losses = _learn(state, schedule, batch)
        report(state.step, " ".join(f"{name} {value:.3f}" for name, value in losses.items()))
        if state.step % schedule.validate_every == 0 or state.step == schedule.steps:
            _validate(state, losses)
            folder.save(state.dump(), state.history)
    task.network.load_state_dict(state.best)
    task.network.eval()
    folder.finish({"steps": state.step, "best_step": state.best_step, "seed": seed}, state.history)
    return state.history


def _begin(task: TrainingTask[Batch], schedule: Schedule) -> State[Batch]:
    if schedule.precision == MIXED:
        _channels_last(task.network)
    optimiser = torch.optim.AdamW(
        task.network.parameters(), lr=schedule.peak_rate, weight_decay=schedule.weight_decay
    )
    averaged = copy.deepcopy(task.network).requires_grad_(requires_grad=False).eval()
    return State(task=task, averaged=averaged, optimiser=optimiser, best=_copied(task.network))


def _batches(
    task: TrainingTask[Batch], schedule: Schedule, start: int
) -> Iterator[tuple[int, Batch]]:
    """Draw the batch of each step, some steps ahead of the learning."""
    with ThreadPoolExecutor(schedule.workers) as pool:
        coming: deque[Future[Batch]] = deque()
        ahead = iter(range(start, schedule.steps))
        try:
            for step in range(start, schedule.steps):
                while len(coming) <= schedule.workers and (later := next(ahead, None)) is not None:
                    coming.append(pool.submit(task.draw, later))
                yield step, coming.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _learn(state: State[Batch], schedule: Schedule, batch: Batch) -> dict[str, float]:
    """One step: down the sum of the losses, then the running average after it."""
    network, optimiser = state.task.network.train(), state.optimiser
    for group in optimiser.param_groups:
        group["lr"] = schedule.rate(state.step)
    optimiser.zero_grad()
    device = next(network.parameters()).device.type
    with torch.autocast(device, torch.bfloat16, enabled=schedule.precision == MIXED):
        losses = state.task.losses(batch, state.step)
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]  # so in torch
    nn.utils.clip_grad_norm_(network.parameters(), schedule.largest_gradient)
    optimiser.step()
    state.step += 1
    _average(state, schedule)
    return {name: float(loss.detach()) for name, loss in losses.items()}


def _channels_last(network: nn.Module) -> None:
    """Lay out the weights of convolutions as matrix units want them; the numbers stay the same.

    With bf16 a step takes half the time so where a processor has such units (AMX).
    """
    for weight in network.parameters():
        if weight.dim() in LAYOUTS:
            weight.data = weight.data.contiguous(memory_format=LAYOUTS[weight.dim()])


@torch.no_grad()
def _average(state: State[Batch], schedule: Schedule) -> None:
    decay = min(schedule.average, (1 + state.step) / (AVERAGE_START + state.step))
    current = state.task.network.state_dict()
    for name, average in state.averaged.state_dict().items():
        if average.is_floating_point():
            average.lerp_(current[name], 1 - decay)
        else:
            average.copy_(current[name])


def _validate(state: State[Batch], losses: Mapping[str, float]) -> None:
    """Validate the averaged weights; keep them if none before were as good."""
    figures = state.task.validate(state.averaged)
    best = max((entry[GOAL] for entry in state.history), default=-float("inf"))
    if figures[GOAL] > best:
        state.best, state.best_step = _copied(state.averaged), state.step
    named = {f"loss: {name}": value for name, value in losses.items()}
    state.history.append({STEP: state.step, **figures, **named})


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
