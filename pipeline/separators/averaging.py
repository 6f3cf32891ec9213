"""Exponential moving averages of a network's weights, which few training data mislead less than the last step's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """An average of the model's weights that keeps the share ``decay`` of itself at each step.

    After Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992. It begins with the weights
    after the first step, and the first steps' leave it sooner than ``decay`` says.
    """

    @torch.no_grad()
    def update(average: Sequence[Tensor], latest: Sequence[Tensor], steps: Tensor | int) -> None:
        kept = min(decay, (float(steps) + 1.0) / (float(steps) + 5.0))
        for mean, weights in zip(average, latest, strict=True):
            mean.lerp_(weights, 1.0 - kept)

    return AveragedModel(model, multi_avg_fn=update)
