"""Label propagation with an encoder: features of every frame, the first frame's masks, scores of the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.errors import ConfigError, DataError, Unreadable
from ssl_platform.nn.backbone import Backbone
from ssl_platform.types import View
from ssl_platform_video.propagation import Propagation, masks_of, propagate
from ssl_platform_video.readers.frames import frames_of
from ssl_platform_video.tracking import j_and_f


@torch.no_grad()
def frame_features(backbone: Backbone, frames: Tensor, clip: int, channels: Sequence[str], step: int = 8) -> Tensor:
    """Features of each frame of a video, from a still clip of it: `[T, D, h, w]`.

    A clip encoder sees each frame repeated `clip` times; its tokens are averaged over time (as SiamMAE's and CropMAE's
    evaluations do with image encoders, where `clip` is 1).

    Args:
        backbone: gives tokens on a grid T, H, W.
        frames: `[T, C, H, W]` in the encoder's units; H and W multiples of its patch.
        clip: frames the encoder takes.
        channels: channel names.
        step: frames encoded at once.

    Raises:
        ConfigError: the encoder gives no tokens on a grid.
    """
    was = backbone.training
    backbone.eval()
    found = []
    for piece in frames.split(step):
        x = piece[:, :, None].expand(-1, -1, clip, -1, -1)
        features = backbone(View(x=x.float(), channels=tuple(channels), role="clean"))
        if features.tokens is None or features.grid is None or len(features.grid) != 3:
            raise ConfigError("label propagation needs an encoder with tokens on a grid of time, height and width")
        tokens = features.tokens.transpose(1, 2).unflatten(2, features.grid)
        found.append(tokens.mean(2))
    backbone.train(was)
    return torch.cat(found)


def follow_masks(
    backbone: Backbone,
    frames: np.ndarray,
    masks: np.ndarray,
    *,
    clip: int,
    channels: Sequence[str] = ("red", "green", "blue"),
    settings: Propagation | None = None,
    ignore: int = 255,
) -> tuple[np.ndarray, dict[str, float]]:
    """Follow the objects of the first frame and score the result.

    Args:
        backbone: the encoder.
        frames: `[T, H, W, 3]` uint8; H and W multiples of its patch.
        masks: `[T, H, W]` objects by number; only the first is looked at, the others score.
        clip: frames the encoder takes.
        channels: channel names.
        settings: how labels travel.
        ignore: mask value that counts nowhere.

    Returns:
        Masks found `[T, H, W]`, and `j_and_f`, `j`, `f`.

    Raises:
        DataError: frames and masks have unlike shapes, or the first frame has no object.
    """
    if frames.shape[:3] != masks.shape:
        raise DataError(f"frames of shape {frames.shape[:3]} and masks of shape {masks.shape} (T, H, W) do not belong")
    objects = [int(k) for k in np.unique(masks[0]) if k not in (0, ignore)]
    if not objects:
        raise DataError("the first frame's mask has no object to follow")
    device = next(backbone.parameters()).device
    pictures = torch.from_numpy(np.ascontiguousarray(frames)).to(device).permute(0, 3, 1, 2)
    features = frame_features(backbone, pictures, clip, channels)
    first = torch.from_numpy(np.stack([masks[0] == k for k in objects])).to(device).float()
    first = torch.cat([1 - first.sum(0, keepdim=True).clamp(max=1), first])
    labels = F.interpolate(first[None], size=tuple(features.shape[2:]), mode="area")[0]
    numbers = masks_of(propagate(features, labels, settings), (frames.shape[1], frames.shape[2])).cpu().numpy()
    found = np.array([0, *objects], dtype=masks.dtype)[numbers]
    found[0] = masks[0]
    return found, j_and_f(masks, found, objects, ignore)


def read_masks(folder: Path, size: tuple[int, int]) -> np.ndarray:
    """Masks of the frames of a folder (DAVIS `Annotations`: palette PNGs), nearest pixel: `[T, H, W]` uint8.

    Args:
        folder: of numbered pictures whose values, or palette entries, are objects.
        size: height and width.

    Raises:
        Unreadable: no masks, or coloured pictures.
    """
    from PIL import Image

    found = []
    for path in frames_of(folder):
        with Image.open(path) as picture:
            if picture.mode not in ("P", "L"):
                raise Unreadable(f"{path.name} is a {picture.mode} picture: masks have one number a pixel")
            resized: Any = picture.resize((size[1], size[0]), resample=Image.Resampling.NEAREST)
            found.append(np.asarray(resized))
    if not found:
        raise Unreadable(f"no numbered masks in {folder.name}")
    return np.stack(found)
