"""Card 068: one batch of items with 1, 2 and 3 channels, matched by name; padding changes nothing."""

import numpy as np
import torch

from ssl_platform.data.collate import collate
from ssl_platform.nn.backbones import build
from ssl_platform.objectives.contrastive.simclr import SimCLR
from ssl_platform.testing.fit import fit
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Part, Sample

NAMES = ("c0", "c1", "c2")


def ragged(start, counts=(1, 2, 3)):
    """Samples with unlike channel sets, collated by channel name."""
    whole = toy_batch(6, channels=3, start=start)
    samples = []
    for i in range(6):
        keep = counts[i % len(counts)]
        data = whole.reads[0]["main"].data[i, :keep].numpy().astype(np.float32)
        part = Part(data, channels=NAMES[:keep], spacing=(1.0, 1.0), origin=(0.0, 0.0))
        samples.append(Sample(int(whole.index[i]), ({"main": part},), position=start + i))
    return collate(samples, toy_layout(2, 3, ragged=True))


def test_ragged_channels_train_and_padding_is_invisible():
    torch.manual_seed(0)
    layout = toy_layout(2, 3, ragged=True)
    backbone = build("vit-pico", layout, NAMES, (16, 16), (4, 4), depth=2, tokenizer="channel")
    method = SimCLR(SimCLR.Config(proj_dims=(32, 16)))
    done = fit(method, backbone, layout, lambda n: ragged(6 * (n % 2)), 16, window=(16, 16), lr=2e-3)
    assert min(done.losses[-4:]) < done.losses[0]

    view = done.views[0]
    assert view.channel_valid is not None and view.channel_valid.sum(1).tolist() == [1, 2, 3, 1, 2, 3]
    backbone.eval()
    noise = torch.randn_like(view.x)
    padded = view.channel_valid[:, :, None, None]
    other = view.replace(x=torch.where(padded, view.x, noise))
    assert torch.equal(backbone(view).pooled, backbone(other).pooled)
    alone = view.replace(
        x=view.x[:1, :1], channel_valid=None, channels=("c0",), valid=None,
        index=view.index[:1], group=view.group[:1], draws=None, geometry=None, spacing=view.spacing[:1],
    )  # fmt: skip
    torch.testing.assert_close(backbone(alone).pooled, backbone(view).pooled[:1], atol=1e-5, rtol=1e-5)
