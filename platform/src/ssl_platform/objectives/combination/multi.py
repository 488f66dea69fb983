"""Multi: any weighted set of objectives on one encoder, `sum_m w_m L_m`.

Departures from the paper: gradients of all tasks are summed in each step (no asynchronous workers), tasks share one
batch and, where they ask for the same, their views. All parts see the domain's channels as they are, so the paper's
harmonisation (grey input for every task, because one of its tasks needs it) is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator
from torch import Tensor, nn

from ssl_platform.errors import ConfigError
from ssl_platform.joint_plan import JointPlan, join
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.layer_mix import LayerMix, MixedBackbone
from ssl_platform.objectives.base import Export, Objective, ObjectiveConfig, Player, objective, total_of
from ssl_platform.objectives.combination.parts import joint_players, part_configs
from ssl_platform.objectives.load import load_objective
from ssl_platform.plan import Plan
from ssl_platform.types import Loss, Step, Views

_One = int | float | bool | str | None
_STUDENT = "student"


class MultiConfig(ObjectiveConfig):
    """Settings of a combination."""

    parts: dict[str, float] = Field(
        {"mae": 0.8, "simclr": 0.2},
        description="weight of each objective, by name: objective.parts.mae=0.8; 0 leaves one out",
    )
    settings: dict[str, dict[str, _One | list[_One]]] = Field(
        {}, description="of the parts where they differ from their defaults: objective.settings.mae.mask_ratio=0.6"
    )
    encoder: str = Field(
        _STUDENT, description="the result: student, or the part whose own encoder it is (a teacher's: dino)"
    )
    lasso: Annotated[float, Field(ge=0)] | None = Field(
        None,
        description="each part reads a learnt mixture of the encoder's layers, with this weight on the L1 norm of its "
        "coefficients (1e-3 is a start); null: every part reads the last layer",
    )

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        """Fill in the parts' own defaults, so that whoever looks at the settings sees all there are."""
        if not isinstance(values, dict):
            return values
        parts = values.get("parts", cls.model_fields["parts"].default)
        filled = part_configs(parts, values.get("settings") or {})
        encoder = values.get("encoder", _STUDENT)
        if encoder != _STUDENT and encoder not in filled:
            raise ConfigError(f"objective.encoder={encoder}: use student or a part ({', '.join(filled)})")
        return {**values, "settings": {part: config.model_dump(mode="json") for part, config in filled.items()}}


def joint_plan(config: MultiConfig) -> JointPlan:
    """The plans of a combination's parts as one."""
    parts = part_configs(config.parts, config.settings)
    joint = join({part: load_objective(part).plan(own) for part, own in parts.items()})
    if config.lasso is None or "taps" in joint.plan.offers:
        return joint
    return JointPlan(joint.plan.replace(offers=(*joint.plan.offers, "taps")), joint.taken)


def _needs(config: MultiConfig) -> Plan:
    return joint_plan(config).plan


@objective(
    "multi",
    needs=_needs,
    paper="Doersch, Zisserman: Multi-task Self-Supervised Visual Learning, ICCV 2017, arXiv:1708.07860, section 3",
)
class Multi(Objective):
    """Train one encoder with several objectives at once, their losses weighted and summed."""

    Config = MultiConfig

    def __init__(self, config: ObjectiveConfig | None = None) -> None:
        super().__init__(config)
        configs = part_configs(self.config.parts, self.config.settings)
        self.parts = nn.ModuleDict({part: load_objective(part)(own) for part, own in configs.items()})
        self.joint = joint_plan(self.config)
        self.mixes = nn.ModuleDict()

    def part(self, name: str) -> Objective:
        """One of the objectives."""
        found = self.parts[name]
        assert isinstance(found, Objective)
        return found

    def build(self, backbone: Backbone, models: Mapping[str, nn.Module]) -> None:
        """Build every part with its own models, and where layers are mixed the weights of each part."""
        for name in self.parts:
            part = self.part(name)
            part.data = self.data
            own = {model: models[f"{name}-{model}"] for model, _ in part.plan(part.config).models}
            part.build(backbone, own)
            if self.config.lasso is not None:
                blocks = backbone.get_submodule("blocks")
                assert isinstance(blocks, nn.ModuleList)  # a backbone that offers taps has them
                self.mixes[name] = LayerMix(len(blocks))

    def players(self, backbone: Backbone) -> list[Player]:
        """The parts' players; what moves alike is one."""
        return joint_players({name: self.part(name).players(backbone) for name in self.parts}, self.mixes)

    def before_step(self, step: Step) -> None:
        """Each part's own."""
        for name in self.parts:
            self.part(name).before_step(step)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        """The weighted sum; terms and watch are named `PART` and `PART/NAME`."""
        total: Tensor | float = 0.0
        terms: dict[str, Tensor] = {}
        watch: dict[str, Tensor] = {}
        for name in self.parts:
            encoder = backbone
            if self.config.lasso is not None:
                mix = self.mixes.get_submodule(name)
                assert isinstance(mix, LayerMix)
                encoder = MixedBackbone(backbone, mix)
                total = total + self.config.lasso * mix.penalty()
            loss = total_of(self.part(name)(encoder, self.views_of(name, views)))
            total = total + self.config.parts[name] * loss.total
            terms |= {name: loss.total, **{f"{name}/{key}": value for key, value in loss.terms.items()}}
            watch |= {f"{name}/{key}": value for key, value in loss.watch.items()}
            watch |= {key: value for key, value in loss.watch.items() if key not in watch}
        assert isinstance(total, Tensor)
        return Loss(total, terms, watch)

    def views_of(self, name: str, views: Views) -> Views:
        """The views of a part under its own roles; labels only where it declares them."""
        part = self.part(name)
        labelled = part.plan(part.config).labels is not None
        picked = [(views[taken.position], taken.role) for taken in self.joint.taken[name]]
        return Views([v.replace(role=role, label=v.label if labelled else None) for v, role in picked])

    def after_backward(self, step: Step) -> None:
        """Each part's own."""
        for name in self.parts:
            self.part(name).after_backward(step)

    def after_step(self, step: Step, backbone: Backbone, watch: list[dict[str, Tensor]], views: list[Views]) -> None:
        """Each part's own, with what it watched and its views."""
        for name in self.parts:
            prefix = f"{name}/"
            own = [{k.removeprefix(prefix): v for k, v in w.items() if k.startswith(prefix)} for w in watch]
            self.part(name).after_step(step, backbone, own, [self.views_of(name, v) for v in views])

    def embedder(self, backbone: Backbone) -> Backbone:
        """The one that all parts with a whole-set pass share.

        Raises:
            ConfigError: they have different ones.
        """
        parts = {name: self.part(name) for name in self.parts}
        found = {name: part.embedder(backbone) for name, part in parts.items() if part.plan(part.config).refresh}
        if len(set(found.values())) > 1:
            raise ConfigError(f"{' and '.join(found)} embed the set with different encoders: train them apart")
        return next(iter(found.values()), backbone)

    def refresh(self, step: Step, bank: Tensor, index: Tensor) -> None:
        """Each part's own, where it asked for one."""
        for name in self.parts:
            part = self.part(name)
            asked = part.plan(part.config).refresh
            if asked is not None and (step.step or asked.at_start):
                part.refresh(step, bank, index)

    def export(self, backbone: Backbone) -> Export:
        """The student, or the encoder of the part named by `encoder`; everybody's modules as `PART-NAME`."""
        exports = {name: self.part(name).export(backbone) for name in self.parts}
        parts = {f"{name}-{key}": module for name, one in exports.items() for key, module in one.parts.items()}
        parts |= {f"{name}-mix": mix for name, mix in self.mixes.items()}
        chosen = self.config.encoder
        return Export(backbone if chosen == _STUDENT else exports[chosen].encoder, parts)

    def trivial(self, batch: int) -> float | None:
        """The weighted sum of the parts' values, where all have one."""
        values = {name: self.part(name).trivial(batch) for name in self.parts}
        known = [self.config.parts[name] * value for name, value in values.items() if value is not None]
        penalty = len(self.mixes) * (self.config.lasso or 0.0)
        return sum(known) + penalty if len(known) == len(values) else None
