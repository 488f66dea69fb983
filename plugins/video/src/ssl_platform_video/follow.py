"""Label propagation with an encoder: features of every frame, and the first frame's masks or points carried on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_platform.errors import ConfigError, DataError
from ssl_platform.nn.backbone import Backbone
from ssl_platform.types import View
from ssl_platform_video.propagation import Propagation, masks_of, points_of, propagate
from ssl_platform_video.tracking import j_and_f

RGB = ("red", "green", "blue")
_CELLS = 2**24  # encoded at once
_SIGMA = 0.5  # of the heat map of a point, in cells
_BEST = 3  # cells that tell where a point is


@torch.no_grad()
def frame_features(
    backbone: Backbone, frames: Tensor, clip: int, channels: Sequence[str], patch: tuple[int, int] = (1, 1)
) -> Tensor:
    """Features of each frame of a video, from a still clip of it: `[T, D, h, w]`.

    A clip encoder sees each frame repeated `clip` times; its tokens are averaged over time (as SiamMAE's and CropMAE's
    evaluations do with image encoders, where `clip` is 1).

    Args:
        backbone: gives tokens on a grid T, H, W.
        frames: `[T, C, H, W]` in the encoder's units; scaled to the nearest multiples of the patch.
        clip: frames the encoder takes.
        channels: channel names.
        patch: height and width of the encoder's patch.

    Raises:
        ConfigError: the encoder gives no tokens on a grid.
    """
    was = backbone.training
    backbone.eval()
    found = []
    size = [max(1, round(n / p)) * p for n, p in zip(frames.shape[2:], patch, strict=True)]
    for piece in frames.split(max(1, _CELLS // (clip * math.prod(size)))):
        pictures = piece.float()
        if list(pictures.shape[2:]) != size:
            pictures = F.interpolate(pictures, size=size, mode="bilinear", align_corners=False, antialias=True)
        x = pictures[:, :, None].expand(-1, -1, clip, -1, -1)
        features = backbone(View(x=x, channels=tuple(channels), role="clean"))
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
    patch: tuple[int, int] = (1, 1),
    channels: Sequence[str] = RGB,
    settings: Propagation | None = None,
    ignore: int = 255,
) -> tuple[np.ndarray, dict[str, float]]:
    """Follow the objects of the first frame and score the result.

    Args:
        backbone: the encoder.
        frames: `[T, H, W, 3]` uint8, of the size that features are taken at.
        masks: `[T, H', W']` objects by number, of any size; only the first is looked at, the others score.
        clip: frames the encoder takes.
        patch: height and width of its patch.
        channels: channel names.
        settings: how labels travel.
        ignore: mask value that counts nowhere.

    Returns:
        Masks found, of the size of `masks`, and `j_and_f`, `j`, `f`.

    Raises:
        DataError: there are not as many frames as masks, or the first frame has no object.
    """
    if len(frames) != len(masks):
        raise DataError(f"{len(frames)} frames and {len(masks)} masks do not belong together")
    objects = [int(k) for k in np.unique(masks[0]) if k not in (0, ignore)]
    if not objects:
        raise DataError("the first frame's mask has no object to follow")
    features = frame_features(backbone, _on_device(backbone, frames), clip, channels, patch)
    first = torch.from_numpy(np.stack([masks[0] == k for k in objects])).to(features.device).float()
    first = torch.cat([1 - first.sum(0, keepdim=True).clamp(max=1), first])
    labels = F.interpolate(first[None], size=tuple(features.shape[2:]), mode="area")[0]
    moved, size = propagate(features, labels, settings), (masks.shape[1], masks.shape[2])
    numbers = torch.cat([masks_of(frame, size) for frame in moved.split(1)]).cpu().numpy()  # full size one at a time
    found = np.array([0, *objects], dtype=masks.dtype)[numbers]
    found[0] = masks[0]
    return found, j_and_f(masks, found, objects, ignore)


def follow_points(
    backbone: Backbone,
    frames: np.ndarray,
    places: np.ndarray,
    *,
    clip: int,
    patch: tuple[int, int] = (1, 1),
    channels: Sequence[str] = RGB,
    settings: Propagation | None = None,
) -> np.ndarray:
    """Follow points of the first frame: `[T, K, 2]` down and across as fractions of the frame.

    A point is a heat map, a Gaussian of half a cell; where it is in a frame is the mean place of the three cells that
    got most of it (Jabri et al., 2020).

    Args:
        backbone: the encoder.
        frames: `[T, H, W, 3]` uint8.
        places: `[K, 2]` in the first frame, down and across as fractions of it.
        clip: frames the encoder takes.
        patch: height and width of its patch.
        channels: channel names.
        settings: how labels travel.
    """
    features = frame_features(backbone, _on_device(backbone, frames), clip, channels, patch)
    height, width = features.shape[2:]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    down, across = (torch.from_numpy(places).float() * torch.tensor([height, width])).unbind(1)
    apart = (y - down[:, None, None]).square() + (x - across[:, None, None]).square()
    maps = (-apart / (2 * _SIGMA**2)).flatten(1).softmax(1).view(-1, height, width)
    found = points_of(propagate(features, maps.to(features.device), settings), _BEST).cpu().numpy()
    found[0] = places
    return found


def _on_device(backbone: Backbone, frames: np.ndarray) -> Tensor:
    """`[T, C, H, W]` uint8 where the backbone is."""
    return torch.from_numpy(np.ascontiguousarray(frames)).to(next(backbone.parameters()).device).permute(0, 3, 1, 2)
