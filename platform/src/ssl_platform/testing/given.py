"""The further models an objective asks for, with random weights."""

from __future__ import annotations

import torch
from torch import nn

from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.frozen import Frozen
from ssl_platform.plan import Plan
from ssl_platform.train.given import build_like


def random_models(plan: Plan, student: Backbone) -> dict[str, nn.Module]:
    """A model for each that `plan` names, of the student's kind and with its normalisation.

    Frozen ones have the same weights whatever the seed of the run, as a file would.
    """
    made: dict[str, nn.Module] = {}
    for name, spec in plan.models:
        frozen = spec.kind == "frozen"
        with torch.random.fork_rng(devices=(), enabled=frozen):
            if frozen:
                torch.manual_seed(1)
            other = build_like(student)
        other.normaliser.load_state_dict(student.normaliser.state_dict())
        made[name] = Frozen(other, name=name) if frozen else other
    return made
