"""Card 144: a second part (text) and a second model, given to the objective by name."""

import torch
from torch import nn
from torch.nn import functional as F

from ssl_platform.losses.crossmodal import clip_loss
from ssl_platform.nn.backbones import build
from ssl_platform.objectives.base import Objective
from ssl_platform.plan import ModelSpec, Plan, ViewSpec
from ssl_platform.testing.fit import fit
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Loss


class TextTower(nn.Module):
    def __init__(self, symbols=16, dim=32):
        super().__init__()
        self.embed_dim = dim
        self.table = nn.Embedding(symbols, dim)

    def forward(self, view):
        return self.table(view.x[:, 0].long()).mean(dim=1)


class CLIP(Objective):
    needs = Plan(
        views=(ViewSpec("global"), ViewSpec("text", part="text", clean=True)),
        parts=("main", "text"),
        models=(("text", ModelSpec("text", part="text")),),
        batch_coupled=True,
    )

    def build(self, backbone, models):
        self.text = models["text"]
        self.image_projection = nn.Linear(backbone.embed_dim, 16, bias=False)
        self.text_projection = nn.Linear(self.text.embed_dim, 16, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def forward(self, backbone, views):
        u = F.normalize(self.image_projection(backbone(views["global"][0]).pooled), dim=-1)
        v = F.normalize(self.text_projection(self.text(views["text"][0])), dim=-1)
        return Loss(clip_loss(u, v, self.log_scale.exp()), watch={"embedding": u})

    def after_step(self, step, backbone, watch, views):
        with torch.no_grad():
            self.log_scale.clamp_(max=torch.tensor(100.0).log())

    def export(self, backbone):
        exported = super().export(backbone)
        exported.parts["text"] = self.text
        return exported


def test_text_part_reaches_its_own_model():
    torch.manual_seed(0)
    layout = toy_layout(2)
    backbone = build("vit-pico", layout, ("c0",), (16, 16), (4, 4), depth=2)
    method = CLIP()
    done = fit(
        method, backbone, layout, lambda n: toy_batch(8, text=True, start=8 * (n % 3)), 20, window=(16, 16),
        models={"text": TextTower()}, lr=3e-3,
    )  # fmt: skip
    assert done.views["text"][0].x.shape == (8, 1, 4)
    assert done.losses[-1] < done.losses[0]
    assert method.text.table.weight.grad is not None and method.log_scale.exp() <= 100 + 1e-3
    assert set(method.export(backbone).parts) == {"text"}
