"""Benchmark (c): one MAE training step (forward and backward) against timm's and lightly's parts of the same size.

    python benchmarks/mae_step.py                         # CPU, ViT-tiny at 96 pixels
    python benchmarks/mae_step.py --device cuda --size base --image 224 --batch 128 --compile --precision bf16

Both sides do the whole step on the same images: draw the mask, embed, encode what is visible, decode, per-patch
normalised error, backward. They are timed in turns within one run, on a CPU by the processor time spent, so neither a
machine that slows down nor a neighbour on it favours one; a ratio above 1 means ours is faster. With `--volume` ours is
also timed on volumes of about as many tokens, which the others cannot do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ssl_platform.draws import Draws
from ssl_platform.losses.masked import masked_mean
from ssl_platform.masking.random import random_masks
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.backbones import build
from ssl_platform.nn.decoder import MaskedDecoder
from ssl_platform.nn.sizes import SIZES
from ssl_platform.types import Channel, Layout, View

RATIO = 0.75
AXES = {2: "C H W", 3: "C D H W"}


class Ours(nn.Module):
    """The platform's ViT, decoder and mask."""

    def __init__(self, args: argparse.Namespace, rank: int, side: int, patch: int, channels: int) -> None:
        super().__init__()
        names = tuple(f"c{i}" for i in range(channels))
        layout = Layout(AXES[rank], tuple(Channel(name) for name in names))
        self.backbone: Backbone = build(f"vit-{args.size}", layout, names, (side,) * rank, (patch,) * rank)
        assert self.backbone.tokenizer is not None
        self.decoder = MaskedDecoder(
            self.backbone.embed_dim, self.backbone.tokenizer.target_dim, args.decoder_dim, args.decoder_depth, 8
        )
        # What the trainer compiles: the nets. Draws hash names on the host and stay outside.
        self.encode = torch.compile(self.backbone.encode) if args.compile else self.backbone.encode
        self.decode = torch.compile(self.decoder) if args.compile else self.decoder

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        view = View(x, draws=Draws.at(0, position))
        backbone = self.backbone
        assert backbone.tokenizer is not None
        tokens = backbone.tokenize(view)
        visible, masked = random_masks(tokens, RATIO, view.random)
        prediction = self.decode(self.encode(tokens, visible), masked.gather(tokens.coords))
        error = backbone.tokenizer.loss(prediction, masked.gather(backbone.targets(view)))
        return masked_mean(error, masked.valid)


class Theirs(nn.Module):
    """MAE from timm's ViT and lightly's masked encoder and decoder, as in lightly's own example."""

    def __init__(self, args: argparse.Namespace, side: int, patch: int, channels: int) -> None:
        super().__init__()
        from lightly.models.modules import MAEDecoderTIMM, MaskedVisionTransformerTIMM
        from timm.models.vision_transformer import VisionTransformer

        size = SIZES[args.size]
        vit = VisionTransformer(
            img_size=side, patch_size=patch, in_chans=channels, num_classes=0,
            embed_dim=size.dim, depth=size.depth, num_heads=size.heads,
        )  # fmt: skip
        self.patch, self.count = patch, (side // patch) ** 2 + 1
        self.encoder = MaskedVisionTransformerTIMM(vit)
        self.encode = torch.compile(self.encoder.encode) if args.compile else self.encoder.encode
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.decoder = MAEDecoderTIMM(
                self.count - 1, patch, channels, size.dim, args.decoder_dim, args.decoder_depth, decoder_num_heads=8
            )
        self.decode = torch.compile(self.decoder.decode) if args.compile else self.decoder.decode

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        from lightly.models import utils

        del position
        batch = len(x)
        keep, masked = utils.random_token_mask((batch, self.count), mask_ratio=RATIO, device=x.device)
        encoded = self.encode(images=x, idx_keep=keep)
        embedded = self.decoder.embed(encoded)
        sequence = utils.repeat_token(self.decoder.mask_token, (batch, self.count))
        sequence = utils.set_at_index(sequence, keep, embedded.type_as(sequence))
        decoded = self.decode(sequence)
        prediction = self.decoder.predict(utils.get_at_index(decoded, masked))
        patches = utils.get_at_index(utils.patchify(x, self.patch), masked - 1)
        mean, variance = patches.mean(-1, keepdim=True), patches.var(-1, keepdim=True)
        return nn.functional.mse_loss(prediction, (patches - mean) / (variance + 1e-6) ** 0.5)


def timed(step: Callable[[], None], device: torch.device) -> float:
    """Seconds of one call: on a GPU until it is done, on a CPU the processor time over all threads."""
    if device.type != "cuda":
        start = time.process_time()
        step()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def stepper(model: nn.Module, x: Tensor, precision: str) -> Callable[[], None]:
    """One forward and backward pass."""
    position = torch.arange(len(x), device=x.device)

    def step() -> None:
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = model(x, position)
        loss.backward()
        model.zero_grad(set_to_none=True)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", default="tiny", choices=list(SIZES))
    parser.add_argument("--image", type=int, default=96)
    parser.add_argument("--patch", type=int, default=8)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--decoder-dim", type=int, default=128)
    parser.add_argument("--decoder-depth", type=int, default=4)
    parser.add_argument("--precision", default="32", choices=["32", "bf16"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--volume", action="store_true", help="also time ours on volumes of about as many tokens")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    torch.manual_seed(0)

    images = torch.rand(args.batch, args.channels, args.image, args.image, device=device)
    models: dict[str, tuple[nn.Module, Tensor]] = {
        "ours": (Ours(args, 2, args.image, args.patch, args.channels), images),
        "timm+lightly": (Theirs(args, args.image, args.patch, args.channels), images),
    }
    if args.volume:
        side = 8 * max(2, round(((args.image // args.patch) ** 2) ** (1 / 3)))
        volumes = torch.rand(args.batch, 1, side, side, side, device=device)
        models["ours, volumes"] = (Ours(args, 3, side, 8, 1), volumes)

    steps = {}
    for name, (model, x) in models.items():
        model = model.to(device).train()
        steps[name] = stepper(model, x, args.precision)
        for _ in range(3):
            steps[name]()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(args.rounds):
        for name, step in steps.items():
            seconds[name].append(timed(step, device))

    middle = {name: statistics.median(values) for name, values in seconds.items()}
    # Pairs of neighbours in time: a slow moment of the machine hits both.
    ratios = [b / a for a, b in zip(seconds["ours"], seconds["timm+lightly"], strict=True)]
    result = {
        "benchmark": "mae_step",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu x{torch.get_num_threads()}",
        "size": args.size,
        "image": args.image,
        "patch": args.patch,
        "batch": args.batch,
        "precision": args.precision,
        "compile": args.compile,
        "milliseconds": {name: round(1e3 * value, 2) for name, value in middle.items()},
        "ratio": round(statistics.median(ratios), 3),
    }
    if args.json:
        print(json.dumps(result))
        return
    for name, value in middle.items():
        print(f"{name:>14}: {1e3 * value:8.2f} ms a step, {args.batch / value:8.1f} views/s")
    print(f"ratio (theirs / ours): {result['ratio']:.2f}  [{result['device']}, vit-{args.size}, {args.image} px]")


if __name__ == "__main__":
    main()
