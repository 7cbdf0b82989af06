"""The loop of every training: steps, judgements on validation cases, checkpoints.

Each step is a function of the state before it and of (seed, step) alone. So a run that was killed
and goes on from its checkpoint ends, on a CPU, with the same weights as one that was not.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import PipelineError
from pipeline.training.run_folder import STEP, RunFolder

Batch = TypeVar("Batch")
GOAL = "goal"  #: figure of a judgement that is to become large
STRIDE = 1_000_003  #: keeps the random numbers of neighbouring seeds apart
AVERAGE_START = 10.0  #: the running average of the weights begins short

Report = Callable[[int, str], None]  #: steps done, and in words how it goes


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how fast to learn.

    Attributes
    ----------
    judge_every
        Steps from one judgement on the validation cases, and checkpoint, to the next.
    patience
        Judgements without a better one, after which the run ends early.
    peak_rate, warm_up
        Learning rate of AdamW: it rises over this share of the steps, then half a cosine down.
    average
        Decay of the running average of the weights, which is what is judged and kept.
    precision
        ``fp32`` or ``bf16`` (automatic mixed precision).
    """

    steps: int
    judge_every: int = 100
    patience: int = 10
    peak_rate: float = 1e-3
    warm_up: float = 0.03
    weight_decay: float = 1e-2
    largest_gradient: float = 1.0
    average: float = 0.995
    precision: str = "fp32"
    workers: int = 1

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        share = step / self.steps
        if share < self.warm_up:
            return self.peak_rate * (0.05 + 0.95 * share / self.warm_up)
        fall = (share - self.warm_up) / (1 - self.warm_up)
        return self.peak_rate * (0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * fall))))


class Lesson(Protocol[Batch]):
    """What is to be learnt."""

    @property
    def network(self) -> nn.Module:
        """All that has weights, on the device to train on."""
        ...

    def draw(self, step: int) -> Batch:
        """Material of a step; called from other threads, the same each time it is called."""
        ...

    def losses(self, batch: Batch, step: int) -> Mapping[str, Tensor]:
        """Losses by name; their sum is descended."""
        ...

    def judge(self, network: nn.Module) -> Mapping[str, float]:
        """Figures on the validation cases, in evaluation mode; `GOAL` among them."""
        ...


@dataclass(slots=True, kw_only=True)
class State(Generic[Batch]):
    """Where a run stands between two steps."""

    lesson: Lesson[Batch]
    averaged: nn.Module
    optimiser: torch.optim.Optimizer
    best: dict[str, Tensor]
    step: int = 0
    best_step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def dump(self) -> dict[str, Any]:
        """All of it but the history, for a checkpoint."""
        return {
            "network": self.lesson.network.state_dict(),
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
            self.lesson.network.load_state_dict(saved["network"])
            self.averaged.load_state_dict(saved["averaged"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.best = saved["best"]
            self.step, self.best_step = saved["step"], saved["best_step"]
            self.history = saved["history"]
        except (KeyError, TypeError, ValueError, RuntimeError) as exc:
            raise PipelineError(f"a checkpoint of this network expected, got: {exc!r}") from exc


def fit(
    lesson: Lesson[Batch], schedule: Schedule, folder: RunFolder, *, seed: int, report: Report
) -> list[dict[str, float]]:
    """Train until the steps are done or nothing gets better; keep the best averaged weights.

    The network ends with the weights of the best judgement, in evaluation mode.

    Returns
    -------
    list
        The history: one entry per judgement.
    """
    state = _begin(lesson, schedule)
    if (saved := folder.saved()) is not None:
        state.resume(saved)
    for step, batch in _batches(lesson, schedule, state.step):
        if state.step - state.best_step >= schedule.patience * schedule.judge_every:
            break  # also where an earlier run was stopped after this
        torch.manual_seed(seed * STRIDE + step)
        losses = _learn(state, schedule, batch)
        report(state.step, " ".join(f"{name} {value:.3f}" for name, value in losses.items()))
        if state.step % schedule.judge_every == 0 or state.step == schedule.steps:
            _judge(state, losses)
            folder.save(state.dump(), state.history)
    lesson.network.load_state_dict(state.best)
    lesson.network.eval()
    folder.finish({"steps": state.step, "best_step": state.best_step, "seed": seed}, state.history)
    return state.history


def _begin(lesson: Lesson[Batch], schedule: Schedule) -> State[Batch]:
    optimiser = torch.optim.AdamW(
        lesson.network.parameters(), lr=schedule.peak_rate, weight_decay=schedule.weight_decay
    )
    averaged = copy.deepcopy(lesson.network).requires_grad_(requires_grad=False).eval()
    return State(
        lesson=lesson, averaged=averaged, optimiser=optimiser, best=_copied(lesson.network)
    )


def _batches(lesson: Lesson[Batch], schedule: Schedule, start: int) -> Iterator[tuple[int, Batch]]:
    """Material of each step, some steps ahead of the learning."""
    with ThreadPoolExecutor(schedule.workers) as pool:
        coming: deque[Future[Batch]] = deque()
        ahead = iter(range(start, schedule.steps))
        try:
            for step in range(start, schedule.steps):
                while len(coming) <= schedule.workers and (later := next(ahead, None)) is not None:
                    coming.append(pool.submit(lesson.draw, later))
                yield step, coming.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _learn(state: State[Batch], schedule: Schedule, batch: Batch) -> dict[str, float]:
    """One step: down the sum of the losses, then the running average after it."""
    network, optimiser = state.lesson.network.train(), state.optimiser
    for group in optimiser.param_groups:
        group["lr"] = schedule.rate(state.step)
    optimiser.zero_grad()
    device = next(network.parameters()).device.type
    mixed = schedule.precision == "bf16"
    with torch.autocast(device, torch.bfloat16, enabled=mixed):
        losses = state.lesson.losses(batch, state.step)
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]  # so in torch
    nn.utils.clip_grad_norm_(network.parameters(), schedule.largest_gradient)
    optimiser.step()
    state.step += 1
    _average(state, schedule)
    return {name: float(loss.detach()) for name, loss in losses.items()}


@torch.no_grad()
def _average(state: State[Batch], schedule: Schedule) -> None:
    decay = min(schedule.average, (1 + state.step) / (AVERAGE_START + state.step))
    current = state.lesson.network.state_dict()
    for name, kept in state.averaged.state_dict().items():
        if kept.is_floating_point():
            kept.lerp_(current[name], 1 - decay)
        else:
            kept.copy_(current[name])


def _judge(state: State[Batch], losses: Mapping[str, float]) -> None:
    """Judge the averaged weights; keep them if none before were as good."""
    figures = state.lesson.judge(state.averaged)
    best = max((entry[GOAL] for entry in state.history), default=-float("inf"))
    if figures[GOAL] > best:
        state.best, state.best_step = _copied(state.averaged), state.step
    named = {f"loss: {name}": value for name, value in losses.items()}
    state.history.append({STEP: state.step, **figures, **named})


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
