"""The training loop that the recipes share: the moving average of the weights, validated, saved and resumed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from meetsplit.pipeline.errors import SettingsError
from meetsplit.pipeline.separators.averaging import moving_average
from meetsplit.training.trainer import TrainState


def new_state(decay: float) -> TrainState[Tensor]:
    """A line through the origin that learns from numbers, with a moving average of its slope."""
    torch.manual_seed(1)
    model = nn.Linear(1, 1, bias=False)

    def loss_fn(batch: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        loss = (model(batch) - 3.0 * batch).square().mean()
        return loss, (loss.detach(),)

    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0)
    return TrainState(model, optimizer, loss_fn, moving_average(model, decay) if decay else None)


def trained(state: TrainState[Tensor], steps: int) -> list[float]:
    """The slopes after each of the steps."""
    slopes = []
    for _ in range(steps):
        state.train_step(torch.tensor([[1.0], [-2.0]]), 0.1)
        slopes.append(next(state.model.parameters()).item())
    return slopes


def slope(state: TrainState[Tensor]) -> float:
    return next(state.result.parameters()).item()


def test_the_average_forgets_the_first_steps_sooner_than_its_decay_says() -> None:
    state = new_state(0.5)
    slopes = trained(state, 6)
    expected = slopes[0]
    for number, latest in enumerate(slopes[1:], 1):
        kept = min(0.5, (number + 1) / (number + 5))
        expected = kept * expected + (1.0 - kept) * latest
    assert slope(state) == pytest.approx(expected, rel=1e-5)
    assert slope(state) != pytest.approx(slopes[-1], rel=1e-3)


def test_without_an_average_the_last_weights_are_validated() -> None:
    state = new_state(0.0)
    assert trained(state, 3)[-1] == slope(state)


def test_the_weights_that_validate_best_are_those_of_the_average() -> None:
    state = new_state(0.9)
    trained(state, 4)
    averaged = slope(state)
    state.add_evaluation(1.0)
    trained(state, 4)
    state.add_evaluation(0.5)
    assert float(state.best_weights()["weight"]) == averaged


def test_a_resumed_training_goes_on_with_its_average(tmp_path: Path) -> None:
    whole, half, resumed = new_state(0.9), new_state(0.9), new_state(0.9)
    trained(whole, 8)
    trained(half, 4)
    half.save(tmp_path / "state.pt")
    resumed.resume(tmp_path / "state.pt")
    assert slope(resumed) == slope(half)
    trained(resumed, 4)
    assert slope(resumed) == slope(whole)


def test_a_state_without_an_average_is_that_of_another_training(tmp_path: Path) -> None:
    before = new_state(0.0)
    trained(before, 2)
    before.save(tmp_path / "state.pt")
    with pytest.raises(SettingsError, match="another training"):
        new_state(0.9).resume(tmp_path / "state.pt")
    without = new_state(0.0)
    without.resume(tmp_path / "state.pt")
    assert slope(without) == slope(before)
