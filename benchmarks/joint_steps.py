"""One step of simclr, byol, swav and dino against the same method from lightly's parts, views given.

    python benchmarks/joint_steps.py                        # CPU, ViT-tiny, 96 pixels
    python benchmarks/joint_steps.py --device cuda --size small --image 224 --patch 16 --batch 64 --precision bf16

Both sides train the same backbone class with heads of the same widths on the same views: forward, loss, backward,
AdamW, and what the method does after a step (momentum teacher, centre). Lightly's side is written as its examples are,
one forward pass a view. They are timed in turns within one run, on a CPU by the processor time spent; a ratio above 1
means ours is faster. Mask and reconstruction (mae) are timed by `mae_step.py`.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import warnings
from collections.abc import Callable
from typing import Any

import torch
from mae_step import timed
from torch import Tensor, nn

from ssl_platform.draws import Draws
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.backbones import build
from ssl_platform.objectives.base import total_of
from ssl_platform.objectives.load import load_objective
from ssl_platform.types import Channel, Layout, Step, View, Views

LOCALS = 6
SETTINGS: dict[str, dict[str, Any]] = {
    "simclr": {"proj_dims": (2048, 128)},
    "byol": {"proj_dims": (4096, 256), "pred_dims": (4096, 256)},
    "swav": {"proj_dims": (2048, 128), "prototypes": 3000, "queue": 0, "local_crops": LOCALS},
    "dino": {"prototypes": 4096, "local_crops": LOCALS},
}
Train = Callable[[], None]


def backbone_of(args: argparse.Namespace) -> Backbone:
    """The encoder both sides train."""
    names = tuple(f"c{i}" for i in range(3))
    layout = Layout("C H W", tuple(Channel(name) for name in names))
    return build(f"vit-{args.size}", layout, names, (args.image,) * 2, (args.patch,) * 2)


def ours(name: str, crops: list[Tensor], args: argparse.Namespace) -> Train:
    """The platform's objective."""
    kind = load_objective(name)
    method, net = kind(kind.Config(**SETTINGS[name])), backbone_of(args)
    method.build(net, {})
    method.to(args.device).train()
    net.to(args.device).train()
    optimiser = torch.optim.AdamW([p for player in method.players(net) for p in player.parameters], lr=1e-4)
    draws = Draws.at(0, torch.arange(args.batch, device=args.device))
    views = Views([View(x, role="global" if i < 2 else "local", draws=draws) for i, x in enumerate(crops)])
    step = Step(50, 100, 10, args.batch, 1e-4)

    def train() -> None:
        method.before_step(step)
        with torch.autocast(crops[0].device.type, dtype=torch.bfloat16, enabled=args.precision == "bf16"):
            loss = total_of(method(net, views))
        optimiser.zero_grad(set_to_none=True)
        loss.total.backward()
        method.after_backward(step)
        optimiser.step()
        method.after_step(step, net, [{key: value.detach() for key, value in loss.watch.items()}], [views])

    return train


class Encoder(nn.Module):
    """The backbone as lightly's parts take one: images to pooled features."""

    def __init__(self, net: Backbone) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.net(View(x)).pooled
        return features


def theirs(name: str, crops: list[Tensor], args: argparse.Namespace) -> Train:
    """Lightly's parts, put together as its examples do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts, loss_of, after = PARTS[name](Encoder(backbone_of(args)))
    parts.to(args.device).train()
    trained = [p for p in parts.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-4)

    def train() -> None:
        with torch.autocast(crops[0].device.type, dtype=torch.bfloat16, enabled=args.precision == "bf16"):
            loss = loss_of(crops)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        after()

    return train


Parts = tuple[nn.ModuleDict, Callable[[list[Tensor]], Tensor], Train]


def simclr_parts(encoder: Encoder) -> Parts:
    from lightly.loss import NTXentLoss
    from lightly.models.modules.heads import SimCLRProjectionHead

    head, criterion = SimCLRProjectionHead(encoder.net.embed_dim, 2048, 128), NTXentLoss(0.1)

    def loss(crops: list[Tensor]) -> Tensor:
        found: Tensor = criterion(*(head(encoder(x)) for x in crops[:2]))
        return found

    return nn.ModuleDict({"encoder": encoder, "head": head}), loss, lambda: None


def byol_parts(encoder: Encoder) -> Parts:
    from lightly.loss import NegativeCosineSimilarity
    from lightly.models.modules.heads import BYOLPredictionHead, BYOLProjectionHead
    from lightly.models.utils import deactivate_requires_grad, update_momentum

    width = encoder.net.embed_dim
    head, predictor = BYOLProjectionHead(width, 4096, 256), BYOLPredictionHead(256, 4096, 256)
    slow_encoder, slow_head = copy.deepcopy(encoder), copy.deepcopy(head)
    deactivate_requires_grad(slow_encoder)
    deactivate_requires_grad(slow_head)
    criterion = NegativeCosineSimilarity()

    def loss(crops: list[Tensor]) -> Tensor:
        predicted = [predictor(head(encoder(x))) for x in crops[:2]]
        with torch.no_grad():
            target = [slow_head(slow_encoder(x)) for x in crops[:2]]
        found: Tensor = 0.5 * (criterion(predicted[0], target[1]) + criterion(predicted[1], target[0]))
        return found

    def after() -> None:
        update_momentum(encoder, slow_encoder, 0.99)
        update_momentum(head, slow_head, 0.99)

    parts = {"encoder": encoder, "head": head, "predictor": predictor, "slow": slow_encoder, "slow_head": slow_head}
    return nn.ModuleDict(parts), loss, after


def swav_parts(encoder: Encoder) -> Parts:
    from lightly.loss import SwaVLoss
    from lightly.models.modules.heads import SwaVProjectionHead, SwaVPrototypes

    head, prototypes = SwaVProjectionHead(encoder.net.embed_dim, 2048, 128), SwaVPrototypes(128, 3000)
    criterion = SwaVLoss()

    def loss(crops: list[Tensor]) -> Tensor:
        prototypes.normalize()
        scores = [prototypes(nn.functional.normalize(head(encoder(x)), dim=1)) for x in crops]
        found: Tensor = criterion(scores[:2], scores[2:])
        return found

    return nn.ModuleDict({"encoder": encoder, "head": head, "prototypes": prototypes}), loss, lambda: None


def dino_parts(encoder: Encoder) -> Parts:
    from lightly.loss import DINOLoss
    from lightly.models.modules.heads import DINOProjectionHead
    from lightly.models.utils import deactivate_requires_grad, update_momentum

    width = encoder.net.embed_dim
    head = DINOProjectionHead(width, 2048, 256, 4096)
    slow_encoder, slow_head = copy.deepcopy(encoder), DINOProjectionHead(width, 2048, 256, 4096)
    deactivate_requires_grad(slow_encoder)
    deactivate_requires_grad(slow_head)
    criterion = DINOLoss(4096)

    def loss(crops: list[Tensor]) -> Tensor:
        with torch.no_grad():
            target = [slow_head(slow_encoder(x)) for x in crops[:2]]
        found: Tensor = criterion(target, [head(encoder(x)) for x in crops], epoch=1)
        return found

    def after() -> None:
        update_momentum(encoder, slow_encoder, 0.99)
        update_momentum(head, slow_head, 0.99)

    parts = {"encoder": encoder, "head": head, "slow": slow_encoder, "slow_head": slow_head, "criterion": criterion}
    return nn.ModuleDict(parts), loss, after


PARTS: dict[str, Callable[[Encoder], Parts]] = {
    "simclr": simclr_parts,
    "byol": byol_parts,
    "swav": swav_parts,
    "dino": dino_parts,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=[], help="of simclr, byol, swav, dino; all without")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--image", type=int, default=96)
    parser.add_argument("--local", type=int, default=48)
    parser.add_argument("--patch", type=int, default=8)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--precision", default="32", choices=["32", "bf16"])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", action="store_true", help="print JSON lines only")
    args = parser.parse_args()
    device = torch.device(args.device)
    torch.manual_seed(0)
    sides = [args.image] * 2 + [args.local] * LOCALS
    crops = [torch.rand(args.batch, 3, side, side, device=device) for side in sides]
    for name in args.methods or SETTINGS:
        given = crops if "local_crops" in SETTINGS[name] else crops[:2]
        steps = {"ours": ours(name, given, args), "lightly": theirs(name, given, args)}
        for step in steps.values():
            step()
            step()
        seconds: dict[str, list[float]] = {side: [] for side in steps}
        for _ in range(args.rounds):
            for side, step in steps.items():
                seconds[side].append(timed(step, device))
        ratio = statistics.median(b / a for a, b in zip(seconds["ours"], seconds["lightly"], strict=True))
        middle = {side: round(1e3 * statistics.median(values), 1) for side, values in seconds.items()}
        if args.json:
            print(json.dumps({"benchmark": "joint_steps", "method": name, "milliseconds": middle, "ratio": ratio}))
        else:
            print(f"{name:8s} ours {middle['ours']:8.1f} ms, lightly {middle['lightly']:8.1f} ms: ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
