"""A combination is its parts: the same loss, gradient, hooks and result as each part gives alone.

Card 209's harmonisation of inputs has no test: all parts see the same channels. The diagnostics of card 093 (attention
distance, mutual information, Fourier) belong to the analysis of trained encoders, not to its harmonised objective.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ssl_platform.configure import configure, for_pretraining
from ssl_platform.errors import ConfigError, PluginError
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.layer_mix import LayerMix, MixedBackbone
from ssl_platform.objectives.base import Objective, objective, total_of
from ssl_platform.objectives.combination.multi import Multi, MultiConfig
from ssl_platform.plan import Plan
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import ITEMS, SMALL, built, make, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Batch, Loss, PartBatch, Step, View, Views

STEP = Step(5, 10, 1, 8, 1e-3)
PARTS = ("mae", "simclr", "dino")


def multi(weights: dict[str, float], **settings: Any) -> Multi:
    """A combination of small objectives."""
    own = {name: small(name).config.model_dump(mode="json") for name in weights}
    return Multi(MultiConfig(parts=weights, settings=own, **settings))


def ready(method: Objective, rank: int = 2) -> tuple[Objective, Backbone]:
    torch.manual_seed(0)
    backbone = small_backbone(rank)
    make(method, backbone)
    method.double(), backbone.double()
    method.before_step(STEP)
    return method, backbone


def double(views: Views) -> Views:
    return Views([view.replace(x=view.x.double()) for view in views])


def trunk(method: Objective, backbone: Backbone, views: Views) -> tuple[Tensor, Tensor]:
    """Loss and the encoder's flat gradient."""
    backbone.zero_grad()
    loss = total_of(method(backbone, views)).total
    loss.backward()
    return loss.detach(), torch.cat([p.grad.flatten().clone() for p in backbone.parameters() if p.grad is not None])


@pytest.mark.parametrize("lasso", [None, 0.0])
@pytest.mark.parametrize("name", PARTS)
def test_one_part_is_that_objective(name: str, lasso: float | None) -> None:
    alone, one = ready(small(name))
    combined, other = ready(multi({name: 1.0}, lasso=lasso))
    combined.parts[name].load_state_dict(alone.state_dict())
    views = double(small_views(alone, toy_batch(8, items=ITEMS)))
    again = double(small_views(combined, toy_batch(8, items=ITEMS)))
    assert all(torch.equal(a.x, b.x) for a, b in zip(views, again, strict=True))
    (loss, gradient), (its_loss, its_gradient) = trunk(alone, one, views), trunk(combined, other, again)
    torch.testing.assert_close(its_loss, loss, rtol=1e-12, atol=0)
    assert float((its_gradient - gradient).norm() / gradient.norm()) < 1e-10


def test_gradient_of_the_encoder_is_the_weighted_sum_of_the_parts() -> None:
    weights = {"mae": 0.5, "simclr": 2.0, "dino": 1.0, "vicreg": 0.1}
    combined, backbone = ready(multi(weights))
    views = double(small_views(combined, toy_batch(8, items=ITEMS)))
    _, joint = trunk(combined, backbone, views)
    apart = torch.zeros_like(joint)
    for name, weight in weights.items():
        _, own = trunk(combined.part(name), backbone, combined.views_of(name, views))
        apart += weight * own
    assert float((joint - apart).norm() / apart.norm()) < 1e-10
    assert len(views) == 1 + 2 + 2  # mae's view, the pair all others share, dino's small ones


def test_a_mixture_may_read_any_layer() -> None:
    """All weight on layer u gives that layer, normalised; on the last one, the encoder's own output."""
    torch.manual_seed(0)
    backbone, view = small_backbone(), small_views(small("vicreg"), toy_batch(4))[0]
    mix = LayerMix(2)
    plain, mixed = backbone(view, taps=("block.0",)), MixedBackbone(backbone, mix)(view)
    assert torch.equal(mixed.pooled, plain.pooled) and torch.equal(mixed.tokens, plain.tokens)
    mix.raw.data = torch.tensor([3.0, 0.0])
    first = nn.functional.layer_norm(plain.taps["block.0"], (backbone.embed_dim,))[:, 1:]
    torch.testing.assert_close(MixedBackbone(backbone, mix)(view).tokens, first)


def test_mixture_weights_learn_from_their_own_part_only() -> None:
    combined, backbone = ready(multi({"mae": 1.0, "simclr": 0.0001}, lasso=0.0))
    views = double(small_views(combined, toy_batch(8, items=ITEMS)))
    total_of(combined(backbone, views)).terms["mae"].backward()
    assert combined.mixes["mae"].raw.grad.norm() > 0
    assert combined.mixes["simclr"].raw.grad is None


@pytest.mark.parametrize(("lasso", "left"), [(10.0, {1}), (0.0, {3, 4})])
def test_a_large_lasso_leaves_one_layer(lasso: float, left: set[int]) -> None:
    """Four layers, each a quarter of what the task wants: without the lasso several stay, with it one."""
    torch.manual_seed(0)
    mix, units = LayerMix(4), torch.randn(4, 64, 8)
    mix.raw.data = torch.tensor([0.5, 0.45, 0.4, 0.6])
    target = units.mean(0)
    optimiser = torch.optim.SGD(mix.parameters(), lr=0.02)
    for step in range(160):
        optimiser.param_groups[0]["lr"] = 0.02 * 0.95**step
        loss = (mix(list(units)) - target).square().mean() + lasso * mix.penalty()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert int((mix.weights.abs() > 1e-3).sum()) in left


def test_hooks_reach_each_part_under_its_own_names() -> None:
    combined, backbone = built(
        "multi", parts={"dino": 1.0, "swav": 0.5}, settings={n: SMALL[n] for n in ("dino", "swav")}
    )
    assert isinstance(combined, Multi)
    combined.before_step(STEP)
    made = small_views(combined, toy_batch(8, items=ITEMS))
    centre, queue = combined.part("dino").centre.clone(), combined.part("swav").queues[0].content().clone()
    loss = combined(backbone, made)
    loss.total.backward()
    combined.after_backward(STEP)
    watch = {key: value.detach() for key, value in loss.watch.items()}
    combined.after_step(STEP, backbone, [watch], [made])
    assert not torch.equal(combined.part("dino").centre, centre)
    assert not torch.equal(combined.part("swav").queues[0].content(), queue)
    assert {"dino", "swav"} <= loss.terms.keys() and {"embedding", "teacher_probs"} <= loss.watch.keys()


def test_result_is_the_student_or_a_named_parts_encoder() -> None:
    own = {name: SMALL[name] for name in ("mae", "dino")}
    combined, backbone = built("multi", parts={"mae": 1.0, "dino": 1.0}, settings=own)
    export = combined.export(backbone)
    assert export.encoder is backbone and set(export.parts) == {"mae-decoder"}
    taught, student = built("multi", parts={"mae": 1.0, "dino": 1.0}, settings=own, encoder="dino")
    assert taught.export(student).encoder is taught.part("dino").teacher.backbone


def test_players_that_move_alike_are_one_and_every_parameter_has_one() -> None:
    own = {name: SMALL[name] for name in ("mae", "dino")}
    combined, backbone = built("multi", parts={"mae": 1.0, "dino": 1.0}, settings=own, lasso=0.1)
    players = combined.players(backbone)
    ids = [id(p) for player in players for p in player.parameters]
    wanted = [p for module in (backbone, combined) for p in module.parameters() if p.requires_grad]
    assert [player.name for player in players] == ["main"]
    assert len(ids) == len(set(ids)) and set(ids) == {id(p) for p in wanted}


@objective("toy-labelled", needs=Plan.augmented(2, labels="required"), family="toy", paper="none")
class _Labelled(Objective):
    """Regress the label, to see that it arrives."""

    def build(self, backbone: Backbone, models: Any) -> None:
        self.head = nn.Linear(backbone.embed_dim, 1)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        assert views[0].label is not None
        return Loss((self.head(backbone(views[0]).pooled)[:, 0] - views[0].label).square().mean())


def test_labels_reach_only_the_parts_that_declare_them() -> None:
    combined = multi_of({"toy-labelled": 1.0, "simclr": 1.0})
    views = small_views(combined, toy_batch(8, items=ITEMS))
    assert len(views) == 2  # the same two views
    assert all(view.label is not None for view in combined.views_of("toy-labelled", views))
    assert all(view.label is None for view in combined.views_of("simclr", views))


def multi_of(weights: dict[str, float]) -> Multi:
    return Multi(MultiConfig(parts=weights, settings={n: SMALL[n] for n in weights if n in SMALL}))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"objective.parts.mea": 1.0}, "mea"),
        ({"objective.parts.multi": 1.0}, "a combination cannot hold a combination"),
        ({"objective.parts.mae": -1.0}, "at least 0"),
        ({"objective.parts.mae": 0.0}, "objective.parts is empty"),
        ({"objective.parts.mae": 1.0, "objective.settings.mae.mask_ration": 0.5}, "mask_ratio"),
        ({"objective.parts.mae": 1.0, "objective.settings.simclr.temperature": 0.5}, "not among the parts mae"),
        ({"objective.parts.mae": 1.0, "objective.encoder": "dino"}, r"use student or a part \(mae\)"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, PluginError), match=message) as caught:
        config = configure("pretrain", overrides={"domain": "medical3d", "objective": "multi", **overrides})
        Multi.plan(MultiConfig(**{k: v for k, v in for_pretraining(config).objective.items() if k != "name"}))
    assert "\n" not in str(caught.value)


def test_settings_of_parts_are_shrunk_unless_somebody_asked_for_them() -> None:
    from ssl_platform.train.scale import RunSize, shrink

    keys = {"domain": "medical3d", "objective": "multi", "objective.settings.mae.decoder_depth": 6}
    config = configure("pretrain", overrides=keys)
    settings = MultiConfig(**{k: v for k, v in config.objective.items() if k != "name"})
    lines = shrink(config, settings.model_dump(), RunSize(200, 8, 500, 64, 2, False))
    assert config.objective["settings"]["mae"]["decoder_dim"] == 64
    assert config.objective["settings"]["mae"]["decoder_depth"] == 6
    assert any(line.startswith("objective.settings.simclr.proj_dims=[256, 128]") for line in lines)


# ------------------------------------------------------------------------------------------------- two kinds of cue
class _Predict(Objective):
    """Predict some numbers of the raw view from its features."""

    def build(self, backbone: Backbone, models: Any) -> None:
        self.head = nn.Linear(backbone.embed_dim, 2)

    def forward(self, backbone: Backbone, views: Views) -> Loss:
        return Loss((self.head(backbone(views[0]).pooled) - self.answer(views[0].x)).square().mean())

    @staticmethod
    def answer(x: Tensor) -> Tensor:
        raise NotImplementedError


@objective("toy-colour", needs=Plan.single(), family="toy", paper="none")
class _Colour(_Predict):
    """What a pixel's colour tells: the difference of the channels' means."""

    @staticmethod
    def answer(x: Tensor) -> Tensor:
        mean = x.flatten(2).mean(-1)
        return 8 * (mean[:, :1] - mean[:, 1:]).expand(-1, 2)


@objective("toy-orientation", needs=Plan.single(), family="toy", paper="none")
class _Orientation(_Predict):
    """What a grey image tells: energy of the slope along each axis."""

    @staticmethod
    def answer(x: Tensor) -> Tensor:
        grey = x.mean(1)
        return torch.stack([4 * grey.diff(dim=d).abs().flatten(1).mean(-1) for d in (1, 2)], 1)


def coloured(start: int, batch: int = 32) -> tuple[Batch, Tensor, Tensor]:
    """Stripes whose colour and orientation are independent; brightness and phase vary."""
    generator = torch.Generator().manual_seed(start)
    colour = torch.randint(0, 2, (batch,), generator=generator)
    across = torch.randint(0, 2, (batch,), generator=generator)
    phase, bright = torch.rand(2, batch, 1, 1, generator=generator)
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    wave = torch.sin(torch.where(across.view(-1, 1, 1) == 1, x, y) * 1.3 + 6 * phase)
    grey = 0.3 + 0.4 * bright + 0.15 * wave
    tint = 0.06 * (2 * colour - 1).view(-1, 1, 1)
    data = torch.stack([grey + tint, grey - tint], 1) + 0.05 * torch.randn(batch, 2, 16, 16, generator=generator)
    index = torch.arange(start, start + batch)
    part = PartBatch(data, None, None, torch.ones(batch, 2), torch.zeros(batch, 2), ("c0", "c1"))
    return Batch(({"main": part},), index, index, index), colour, across


@torch.no_grad()
def probe(backbone: Backbone) -> tuple[float, float]:
    """Accuracy of a linear probe (ridge) on colour and orientation."""
    backbone.eval()
    features, labels = [], []
    for start in (10_000, 20_000):
        batch, colour, across = coloured(start, 256)
        view = View(batch.reads[0]["main"].data, spacing=batch.reads[0]["main"].spacing, channels=("c0", "c1"))
        features.append(backbone(view).pooled)
        labels.append(torch.stack([colour, across], 1) * 2.0 - 1)
    mean, std = features[0].mean(0), features[0].std(0)
    x, y = ((f - mean) / std for f in features)
    weights = torch.linalg.solve(x.T @ x + 5.0 * torch.eye(x.shape[1]), x.T @ labels[0])
    hits = ((y @ weights).sign() == labels[1]).float().mean(0)
    return float(hits[0]), float(hits[1])


def trained(weights: dict[str, float]) -> tuple[float, float]:
    torch.manual_seed(0)
    backbone = small_backbone(2, channels=2, dim=32, heads=2)
    method = Multi(MultiConfig(parts=weights))
    fit(method, backbone, toy_layout(2, 2), lambda n: coloured(32 * n)[0], 200, window=(16, 16), lr=1e-3)
    return probe(backbone)


@pytest.mark.slow
def test_two_tasks_with_complementary_cues_teach_both() -> None:
    """The joint probe is as good as the better single task on both label sets; colour alone leaves orientation out."""
    colour = trained({"toy-colour": 1.0})
    orientation = trained({"toy-orientation": 1.0})
    both = trained({"toy-colour": 1.0, "toy-orientation": 1.0})
    assert all(joint >= best for joint, best in zip(both, map(max, colour, orientation), strict=True))
    assert colour[1] < both[1] - 0.2
