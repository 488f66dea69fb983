"""Channel-adaptive attention (card 068): images of 1 to 10 channels in one batch, told apart by name.

Swapped channels, a single channel as a plain ViT, and unused channels' gradients are in
tests/unit/nn/test_channel_tokenizer.py; here what depends on the batch and on training.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.draws import Draws
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.backbones import build
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import small
from ssl_platform.types import Batch, Channel, Layout, PartBatch, View

MOST = 10
NAMES = tuple(f"marker{i}" for i in range(MOST))


def layout_of(names: tuple[str, ...]) -> Layout:
    return Layout("C H W", tuple(Channel(n) for n in names), ragged_channels=True, symmetries=frozenset({"noise"}))


def encoder(names: tuple[str, ...] = NAMES, **settings: object) -> Backbone:
    torch.manual_seed(0)
    return build("vit-pico", layout_of(names), names, (8, 8), (4, 4), **{"depth": 2, **settings}).eval()


def padded(images: list[Tensor], most: int, fill: float) -> View:
    """Images of unlike channel counts as one view of `most` channels."""
    x = torch.full((len(images), most, *images[0].shape[1:]), fill)
    valid = torch.zeros(len(images), most, dtype=torch.bool)
    for row, image in enumerate(images):
        x[row, : len(image)], valid[row, : len(image)] = image, True
    return View(x, channel_valid=valid, channels=NAMES[:most])


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_output_depends_neither_on_the_padding_nor_on_the_rest_of_the_batch(pool: str) -> None:
    ten, three = encoder(pool=pool), encoder(NAMES[:3], pool=pool)
    three.load_state_dict({k: v[: len(own)] if v.shape != own.shape else v for (k, v), own in _pairs(ten, three)})
    image, others = torch.randn(3, 8, 8), [torch.randn(n, 8, 8) for n in (10, 1, 5)]
    alone = three(View(image[None], channels=NAMES[:3])).pooled
    for batch, most, fill in (([image], 3, 0.0), ([image], 10, 0.0), ([image, *others], 10, 5.0)):
        torch.testing.assert_close(ten(padded(batch, most, fill)).pooled[:1], alone, atol=1e-5, rtol=1e-5)


def _pairs(source: Backbone, target: Backbone):
    own = target.state_dict()
    return (((name, value), own[name]) for name, value in source.state_dict().items())


# --------------------------------------------------------------------------------------------- markers of ragged images
def cells(start: int, batch: int = 16) -> tuple[Batch, Tensor]:
    """Images of 2, 3, 5 or 10 markers, of which one of the first two lights up in a blob: the class says which."""
    index = torch.arange(start, start + batch)
    draws = Draws.at(3, index)
    label = (draws.uniform("class") < 0.5).long()
    count = torch.tensor([2, 3, 5, 10])[(draws.uniform("count") * 4).long()]
    centre = draws.uniform("centre", 2, low=2.0, high=6.0).view(batch, 2, 1, 1)
    grid = torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij"))
    blob = torch.exp(-((grid - centre) ** 2).sum(1) / 4)
    x = 0.2 * draws.normal("noise", MOST, 8, 8)
    lit = F.one_hot(label, MOST).float()
    x = x + lit[..., None, None] * blob[:, None]
    there = torch.arange(MOST) < count[:, None]
    part = PartBatch(x, None, there, torch.ones(batch, 2), torch.zeros(batch, 2), NAMES)
    return Batch(({"main": part},), index, index, index, label=label), label


def view_of(batch: Batch) -> View:
    part = batch.reads[0]["main"]
    return View(part.data, channel_valid=part.channel_valid, channels=NAMES)


def per_channel_average(net: Backbone, view: View) -> Tensor:
    """The baseline: every channel on its own, as if it were the first, and the mean of their features."""
    features = torch.stack(
        [net(View(view.x[:, c : c + 1], channels=NAMES[:1])).pooled for c in range(view.x.shape[1])], 1
    )
    assert view.channel_valid is not None
    weight = view.channel_valid.float()[..., None]
    return (features * weight).sum(1) / weight.sum(1)


def probe(train: Tensor, test: Tensor, labels: tuple[Tensor, Tensor]) -> float:
    """Accuracy of a linear probe."""
    mean, std = train.mean(0), train.std(0) + 1e-6
    x, y = ((f - mean) / std for f in (train, test))
    weights = torch.linalg.solve(x.T @ x + 10 * torch.eye(x.shape[1]), x.T @ (2.0 * labels[0] - 1))
    return float(((y @ weights > 0) == (labels[1] > 0)).float().mean())


@pytest.mark.slow
def test_unlike_images_train_together_under_dino_and_beat_the_average_of_channels() -> None:
    net = encoder(dim=48, heads=3)
    method = small("dino", prototypes=32, freeze_last_layer="100%", local_crops=2)
    with torch.no_grad():
        nn.init.normal_(net.tokenizer.channel, std=0.2)
    done = fit(method, net, layout_of(NAMES), lambda n: cells(16 * n)[0], 150, window=(8, 8), lr=1e-3)
    assert all(map(torch.isfinite, map(torch.tensor, done.losses)))
    net.eval()
    (first, train), (second, test) = cells(50_000, 400), cells(60_000, 400)
    with torch.no_grad():
        ours = probe(net(view_of(first)).pooled, net(view_of(second)).pooled, (train, test))
        averaged = [per_channel_average(net, view_of(batch)) for batch in (first, second)]
    baseline = probe(*averaged, (train, test))
    assert ours > baseline + 0.15, (ours, baseline)
    assert baseline < 0.65  # which marker is lit cannot be told from a mean over them
