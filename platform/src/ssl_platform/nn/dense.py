"""A decoder that turns any backbone's features into one prediction a cell, for grids of any rank."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.nn.backbone import Backbone
from ssl_platform.types import Features, View

_CONV: tuple[type[nn.Conv1d], type[nn.Conv2d], type[nn.Conv3d]] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_INTERPOLATION = ("linear", "bilinear", "trilinear")


class _Block(nn.Module):
    """Convolution, group norm, GELU; twice."""

    def __init__(self, rank: int, inputs: int, outputs: int) -> None:
        super().__init__()
        conv = _CONV[rank - 1]
        groups = 4 if outputs % 4 == 0 else 1
        self.layers = nn.Sequential(
            conv(inputs, outputs, 3, padding=1), nn.GroupNorm(groups, outputs), nn.GELU(),
            conv(outputs, outputs, 3, padding=1), nn.GroupNorm(groups, outputs), nn.GELU(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layers(x)
        return found


class DenseDecoder(nn.Module):
    """Coarse features, upsampled in steps of two with skips, to a map at the view's resolution.

    A plain ViT gives one map at the stride of its patches (its tokens on their grid); hierarchical nets give a pyramid
    whose levels join at their own size. The last step joins a shallow convolution of the normalised view, so that fine
    edges need not pass through the encoder (as in U-Net and UNETR).

    Args:
        backbone: decides what features there are; probed once with `view`.
        view: any view of the kind that will come.
        outputs: channels of the map.
        width: channels at full resolution; doubles at every coarser step up to 8 times.
    """

    def __init__(self, backbone: Backbone, view: View, outputs: int, width: int = 16) -> None:
        super().__init__()
        self.rank = view.x.ndim - 2
        conv = _CONV[self.rank - 1]
        with torch.no_grad():
            maps = feature_maps(backbone(view.replace(x=view.x[:1], valid=None, channel_valid=None)))
        size = max(view.x.shape[2:])
        strides = [max(1, round(size / max(m.shape[2:]))) for m in maps]
        steps = max(1, (max(strides) - 1).bit_length())
        widths = [width * min(8, 2**level) for level in range(steps + 1)]  # full resolution first

        self.levels = [min(steps, max(1, (s - 1).bit_length())) for s in strides]
        self.entries = nn.ModuleList(
            [conv(m.shape[1], widths[level], 1) for m, level in zip(maps, self.levels, strict=True)]
        )
        self.stem = _Block(self.rank, view.x.shape[1], widths[0])
        self.rises = nn.ModuleList(
            [_Block(self.rank, widths[level + 1] + widths[level], widths[level]) for level in range(steps)]
        )
        self.widths = widths
        self.head = conv(widths[0], outputs, 1)

    def forward(self, features: Features, x: Tensor) -> Tensor:
        """`[B, outputs, *size]` logits.

        Args:
            features: of the backbone, all tokens present.
            x: `[B, C, *size]` the normalised view.
        """
        size = x.shape[2:]
        arriving: dict[int, list[Tensor]] = {}
        for entry, level, feature in zip(self.entries, self.levels, feature_maps(features), strict=True):
            arriving.setdefault(level, []).append(entry(feature))
        y: Tensor | None = None
        for level in range(len(self.widths) - 1, 0, -1):
            target = [-(-n // 2**level) for n in size]
            joined = [self._resize(m, target) for m in arriving.get(level, [])]
            if y is None:
                y = torch.stack(joined).sum(0)
            elif joined:
                y = y + torch.stack(joined).sum(0)
            finer = [-(-n // 2 ** (level - 1)) for n in size]
            skip = self.stem(x) if level == 1 else y.new_zeros(x.shape[0], self.widths[level - 1], *finer)
            y = self.rises[level - 1](torch.cat([self._resize(y, finer), skip], dim=1))
        assert y is not None
        logits: Tensor = self.head(y)
        return logits

    def _resize(self, x: Tensor, size: list[int]) -> Tensor:
        if list(x.shape[2:]) == list(size):
            return x
        return F.interpolate(x, size=size, mode=_INTERPOLATION[self.rank - 1], align_corners=False)


def feature_maps(features: Features) -> list[Tensor]:
    """The maps of a backbone's output, fine to coarse: its pyramid, or its tokens on their grid.

    Raises:
        ValueError: the backbone has neither (a point set).
    """
    if features.pyramid:
        return [feature for feature, _ in features.pyramid]
    if features.tokens is None or features.grid is None:
        raise ValueError("dense prediction needs a feature pyramid or tokens on a grid")
    tokens = features.tokens.transpose(1, 2)
    return [tokens.reshape(*tokens.shape[:2], *features.grid)]
