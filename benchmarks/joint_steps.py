"""One step of simclr, byol, swav and dino against the same method from lightly's parts, views given.

    python benchmarks/joint_steps.py                        # CPU, ViT-tiny, 96 pixels
    python benchmarks/joint_steps.py --device cuda --size small --image 224 --patch 16 --batch 64 --precision bf16
    python benchmarks/joint_steps.py dino --locals 8 --prototypes 65536 --batch 4       # DINO as published

Both sides train the same backbone class with heads of the same widths on the same views: forward, loss, backward,
AdamW, and what the method does after a step (momentum teacher, centre). Lightly's side is written as its examples are,
one forward pass a view and torch's default AdamW (`--fused` gives it the fused one that the platform's trainer uses).
Neither clips gradients. They are timed in turns within one run, whose order changes every round, on a CPU by the
processor time spent; a ratio above 1 means ours is faster. A third arm only runs the backbone as the method does,
student forward and backward and teacher forward: were all else free, the ratio would be lightly's time over its. Mask
and reconstruction (mae) are timed by `mae_step.py`.
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
from ssl_platform.objectives.embedding import pooled
from ssl_platform.objectives.load import load_objective
from ssl_platform.train import optim
from ssl_platform.train.memory import keep_freed_memory
from ssl_platform.types import Channel, Layout, Step, View, Views

METHODS = ("simclr", "byol", "swav", "dino")
TAUGHT = ("byol", "dino")  # have a momentum teacher
CROPPED = ("swav", "dino")  # see local crops
LR, DECAY = 1e-4, 0.01
Train = Callable[[], None]


def settings(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """The objective's, equal to the widths of `PARTS`."""
    return {
        "simclr": {"proj_dims": (2048, 128)},
        "byol": {"proj_dims": (4096, 256), "pred_dims": (4096, 256)},
        "swav": {"proj_dims": (2048, 128), "prototypes": 3000, "queue": 0, "local_crops": args.locals},
        "dino": {"prototypes": args.prototypes, "local_crops": args.locals},
    }[name]


def backbone_of(args: argparse.Namespace) -> Backbone:
    """The encoder both sides train."""
    names = tuple(f"c{i}" for i in range(3))
    layout = Layout("C H W", tuple(Channel(name) for name in names))
    kind = args.size if args.size.startswith("convnet") else f"vit-{args.size}"
    return build(kind, layout, names, (args.image,) * 2, (args.patch,) * 2)


def views_of(crops: list[Tensor], args: argparse.Namespace) -> Views:
    """The crops as the platform's views, two global ones first."""
    draws = Draws.at(0, torch.arange(args.batch, device=args.device))
    return Views([View(x, role="global" if i < 2 else "local", draws=draws) for i, x in enumerate(crops)])


def ours(name: str, crops: list[Tensor], args: argparse.Namespace) -> Train:
    """The platform's objective."""
    kind = load_objective(name)
    method, net = kind(kind.Config(**settings(name, args))), backbone_of(args)
    method.build(net, {})
    method.to(args.device).train()
    net.to(args.device).train()
    named = [*net.named_parameters(), *method.named_parameters()]
    plan = optim.OptimPlan(lr=LR, weight_decay=DECAY, clip=None)
    optimiser = optim.build(plan, optim.groups(method.players(net), named))
    views = views_of(crops, args)
    step = Step(50, 100, 10, args.batch, LR)

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


def bare(name: str, crops: list[Tensor], args: argparse.Namespace) -> Train:
    """What neither side can leave out: the backbone's passes."""
    net = backbone_of(args).to(args.device).train()
    slow = copy.deepcopy(net).requires_grad_(False) if name in TAUGHT else None
    views = views_of(crops, args)

    def train() -> None:
        with torch.autocast(crops[0].device.type, dtype=torch.bfloat16, enabled=args.precision == "bf16"):
            if slow is not None:
                with torch.no_grad():
                    pooled(slow, views["global"])
            features = pooled(net, views)
        net.zero_grad(set_to_none=True)
        torch.cat(features).sum().backward()

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
        parts, loss_of, after = PARTS[name](Encoder(backbone_of(args)), args)
    parts.to(args.device).train()
    trained = [p for p in parts.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=LR, weight_decay=DECAY, fused=args.fused or None)

    def train() -> None:
        with torch.autocast(crops[0].device.type, dtype=torch.bfloat16, enabled=args.precision == "bf16"):
            loss = loss_of(crops)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        after()

    return train


Parts = tuple[nn.ModuleDict, Callable[[list[Tensor]], Tensor], Train]


def simclr_parts(encoder: Encoder, args: argparse.Namespace) -> Parts:
    from lightly.loss import NTXentLoss
    from lightly.models.modules.heads import SimCLRProjectionHead

    head, criterion = SimCLRProjectionHead(encoder.net.embed_dim, 2048, 128), NTXentLoss(0.1)

    def loss(crops: list[Tensor]) -> Tensor:
        found: Tensor = criterion(*(head(encoder(x)) for x in crops[:2]))
        return found

    return nn.ModuleDict({"encoder": encoder, "head": head}), loss, lambda: None


def byol_parts(encoder: Encoder, args: argparse.Namespace) -> Parts:
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


def swav_parts(encoder: Encoder, args: argparse.Namespace) -> Parts:
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


def dino_parts(encoder: Encoder, args: argparse.Namespace) -> Parts:
    from lightly.loss import DINOLoss
    from lightly.models.modules.heads import DINOProjectionHead
    from lightly.models.utils import deactivate_requires_grad, update_momentum

    width = encoder.net.embed_dim
    head = DINOProjectionHead(width, 2048, 256, args.prototypes)
    slow_encoder, slow_head = copy.deepcopy(encoder), DINOProjectionHead(width, 2048, 256, args.prototypes)
    deactivate_requires_grad(slow_encoder)
    deactivate_requires_grad(slow_head)
    criterion = DINOLoss(args.prototypes)

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


PARTS: dict[str, Callable[[Encoder, argparse.Namespace], Parts]] = {
    "simclr": simclr_parts,
    "byol": byol_parts,
    "swav": swav_parts,
    "dino": dino_parts,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=[], help="of simclr, byol, swav, dino; all without")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", default="tiny", help="of the ViT, or convnet-tiny")
    parser.add_argument("--image", type=int, default=96)
    parser.add_argument("--local", type=int, default=48)
    parser.add_argument("--locals", type=int, default=6, help="local crops of swav and dino")
    parser.add_argument("--patch", type=int, default=8)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--prototypes", type=int, default=4096, help="of dino")
    parser.add_argument("--precision", default="32", choices=["32", "bf16"])
    parser.add_argument("--fused", action="store_true", help="a fused AdamW for lightly's side too")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", action="store_true", help="print JSON lines only")
    args = parser.parse_args()
    keep_freed_memory()  # as the trainer does, for both sides
    for name in args.methods or METHODS:
        compare(name, args)


def compare(name: str, args: argparse.Namespace) -> None:
    """Time one method's three arms and print them."""
    device = torch.device(args.device)
    torch.manual_seed(0)
    sides = [args.image] * 2 + [args.local] * (args.locals if name in CROPPED else 0)
    crops = [torch.rand(args.batch, 3, side, side, device=device) for side in sides]
    steps = {"ours": ours(name, crops, args), "lightly": theirs(name, crops, args), "backbone": bare(name, crops, args)}
    for step in steps.values():
        step()
    seconds: dict[str, list[float]] = {side: [] for side in steps}
    for number in range(args.rounds):
        for side in list(steps)[:: -1 if number % 2 else 1]:
            seconds[side].append(timed(steps[side], device))

    def ratio(side: str) -> float:
        pairs = zip(seconds["lightly"], seconds[side], strict=True)
        return round(statistics.median(theirs_ / ours_ for theirs_, ours_ in pairs), 3)

    middle = {side: round(1e3 * statistics.median(values), 1) for side, values in seconds.items()}
    if args.json:
        row = {"benchmark": "joint_steps", "method": name, "milliseconds": middle}
        print(json.dumps({**row, "ratio": ratio("ours"), "bound": ratio("backbone")}))
        return
    print(
        f"{name:8s} ours {middle['ours']:8.1f} ms, lightly {middle['lightly']:8.1f} ms: ratio {ratio('ours'):.2f}; "
        f"backbone alone {middle['backbone']:8.1f} ms: ratio at most {ratio('backbone'):.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
