"""Optimizers and their rates, against those of torch and transformers."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import get_cosine_schedule_with_warmup

from seqsearch.errors import SettingsError
from seqsearch.training.descent import Descent


def test_one_cycle_is_that_of_torch() -> None:
    steps = 50
    model = nn.Linear(2, 2)
    theirs = torch.optim.AdamW(model.parameters(), lr=1.0, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(theirs, max_lr=3e-4, total_steps=steps)
    descent = Descent("adamw", "one-cycle")
    ours = descent.optimizer_of(model)
    for step in range(steps):
        descent.set_step(ours, 3e-4, step, steps)
        expected = theirs.param_groups[0]
        assert ours.param_groups[0]["lr"] == pytest.approx(expected["lr"], rel=1e-9)
        assert ours.param_groups[0]["betas"][0] == pytest.approx(expected["betas"][0])
        theirs.step()
        if step < steps - 1:
            schedule.step()


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_one_cycle_of_few_steps_stays_in_its_bounds(steps: int) -> None:
    rates = [Descent(schedule="one-cycle").rate_at(step, steps) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)


def test_cosine_is_that_of_transformers() -> None:
    model = nn.Linear(2, 2)
    theirs = torch.optim.SGD(model.parameters(), lr=1.0)
    schedule = get_cosine_schedule_with_warmup(theirs, 10, 100)
    descent = Descent(schedule="cosine", warmup=10)
    for step in range(100):
        # Theirs has a rate of 0 at the first step, and so one step of warm-up that changes nothing.
        rate = theirs.param_groups[0]["lr"] if step >= 10 else (step + 1) / 10
        assert descent.rate_at(step, 100) == pytest.approx(rate, abs=1e-9)
        theirs.step()
        schedule.step()


def test_matrices_alone_decay() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Embedding(5, 4))
    model[2].weight.requires_grad_(False)
    groups = Descent("adamw", weight_decay=0.1).optimizer_of(model).param_groups
    assert [[tuple(p.shape) for p in group["params"]] for group in groups] == [
        [(4, 3)],
        [(4,), (4,), (4,)],
    ]
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]


def test_rates_follow_the_sequences_a_step() -> None:
    assert Descent(scaled_from=64).scale(256) == 4
    assert Descent().scale(256) == 1


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"optimizer": "lion"}, "optimizer is 'lion': expected adam, adamw, sgd"),
        ({"schedule": "steps"}, "schedule is 'steps'"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"warmup": -1}, "warmup is -1: expected 0 or more"),
        ({"accumulate": 0}, "accumulate is 0: expected 1 or more"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        Descent(**settings)  # type: ignore[arg-type]
