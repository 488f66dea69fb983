"""Further models of an objective: a second backbone, or frozen ones given by name (`models.teacher=RUN`)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from ssl_platform.encoder import build_backbone, read
from ssl_platform.errors import ConfigError
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.frozen import Frozen
from ssl_platform.plan import Plan
from ssl_platform.plugins import check_given
from ssl_platform.weights import fill


def make_models(name: str, plan: Plan, given: Mapping[str, str], student: Backbone) -> dict[str, nn.Module]:
    """The models of a plan, by name.

    Raises:
        ConfigError: one is missing, or reads other channels than the data has.
        EncoderError: a file cannot be read.
    """
    check_given(name, plan, given)
    made: dict[str, nn.Module] = {}
    for model, spec in plan.models:
        if spec.kind == "frozen":
            made[model] = load_frozen(model, given[model], student)
        elif spec.kind == "backbone":
            made[model] = build_like(student)
        else:
            raise ConfigError(f"objective {name!r} needs a {spec.kind} model {model!r}, which this domain lacks")
    return made


def build_like(backbone: Backbone) -> Backbone:
    """Another backbone of the same kind with weights of its own."""
    assert backbone.spec is not None
    return build_backbone(backbone.spec)


def load_frozen(name: str, source: str, student: Backbone) -> Frozen:
    """The encoder of a run or file with its parts.

    Args:
        name: what the objective calls it.
        source: run folder, `RUN@STEP` or encoder file.
        student: what is trained beside it: both read the same views.

    Raises:
        ConfigError: it reads other channels.
        EncoderError: it cannot be read.
    """
    tensors, record, path = read(source)
    assert student.spec is not None
    if tuple(record.backbone.channels) != tuple(student.spec.channels):
        raise ConfigError(
            f"models.{name}={source}: reads channels {', '.join(record.backbone.channels)}, the data has "
            f"{', '.join(student.spec.channels)}"
        )
    backbone = build_backbone(record.backbone)
    own = {key.removeprefix("encoder."): value for key, value in tensors.items() if key.startswith("encoder.")}
    fill(backbone, own, f"{path}: weights do not fit the backbone {record.backbone.name!r}")
    parts = {key.removeprefix("part."): value for key, value in tensors.items() if key.startswith("part.")}
    return Frozen(backbone, parts, name)
