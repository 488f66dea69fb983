"""A small residual net for grids of any rank, without any dependency, that can also run sparsely."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.errors import ConfigError
from ssl_platform.nn.backbone import Backbone, Normaliser
from ssl_platform.nn.patch_tokenizer import PatchTokenizer
from ssl_platform.nn.patches import check_patch, unpatchify
from ssl_platform.nn.sparse import CONV, SparseBatchNorm, SparseBlock, spread
from ssl_platform.nn.subset import flat, subset
from ssl_platform.nn.validity import valid_mean
from ssl_platform.types import Features, Layout, Mask, Tokens


class ConvNet(Backbone):
    """Residual net whose total stride is the patch: one map for every halving, the coarsest one is the tokens.

    With `visible`, places outside it stay exactly zero at every scale and enter no statistic, so nothing leaks from
    what is masked (SparK: Tian et al., 2023). Weights are those of the dense net.

    Args:
        normaliser: first layer.
        rank: S.
        channels: C.
        patch: total stride along each axis, powers of two.
        width: channels of the finest map; they double with every halving, up to eightfold.
        blocks: residual blocks a map.

    Raises:
        ConfigError: a patch that is no power of two.
    """

    offers = frozenset({"tokens", "drop", "pyramid", "sparse"})
    tokenizer: PatchTokenizer

    def __init__(
        self, normaliser: nn.Module, rank: int, channels: int, patch: Sequence[int], *, width: int = 32, blocks: int = 1
    ) -> None:
        super().__init__()
        self.rank, self.patch = rank, check_patch(patch, rank)
        if any(side & (side - 1) for side in self.patch):
            raise ConfigError(f"a convnet's patch is its total stride: powers of two, got backbone.patch={self.patch}")
        self.normaliser = normaliser
        self.tokenizer = PatchTokenizer(rank, channels, self.patch, None)
        halvings = [side.bit_length() - 1 for side in self.patch]
        levels = max(1, *halvings)
        # An axis with fewer halvings than others (thick slices) is halved last, when the others have caught up.
        steps = [tuple(2 if level >= levels - h else 1 for h in halvings) for level in range(levels)]
        widths = [width * min(8, 2**level) for level in range(levels)]
        self.strides: list[tuple[int, ...]] = []
        for step in steps:
            last = self.strides[-1] if self.strides else (1,) * rank
            self.strides.append(tuple(a * b for a, b in zip(last, step, strict=True)))

        self.stem = CONV[rank - 1](channels, width, 3, stride=steps[0], padding=1, bias=False)  # type: ignore[arg-type]
        self.stem_norm = SparseBatchNorm(width)
        self.stages = nn.ModuleList()
        for level, (step, outputs) in enumerate(zip(steps, widths, strict=True)):
            first = SparseBlock(
                rank, width if level == 0 else widths[level - 1], outputs, (1,) * rank if level == 0 else step
            )
            rest = [SparseBlock(rank, outputs, outputs, (1,) * rank) for _ in range(blocks - 1)]
            self.stages.append(nn.ModuleList([first, *rest]))
        self.embed_dim = widths[-1]
        for module in self.modules():
            if isinstance(module, CONV):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def encode(
        self,
        tokens: Tokens,
        visible: Mask | None = None,
        *,
        replaced: Mask | None = None,
        mask_token: Tensor | None = None,
        taps: Sequence[str] = (),
    ) -> Features:
        """Encode tokens, whose values are the raw patches.

        Args:
            tokens: from `tokenize`.
            visible: `[B, K]`, encode these only, sparsely; `[B, M, K]` as in `ViT.encode`.
            replaced: not offered.
            mask_token: not offered.
            taps: not offered.
        """
        if replaced is not None or taps:
            raise NotImplementedError("a convnet offers neither mask tokens nor intermediate outputs by name")
        assert tokens.grid is not None
        grid = tokens.grid
        x = unpatchify(tokens.values, grid, self.patch, self.tokenizer.channels)
        kept, active = tokens, None
        if visible is not None:
            kept = subset(tokens, visible)
            chosen = flat(visible.dense(), 1)
            if len(chosen) > len(x):
                x = x.repeat_interleave(len(chosen) // len(x), dim=0)
            active = chosen.view(len(chosen), 1, *grid)
            x = torch.where(spread(active, self.patch), x, torch.zeros((), dtype=x.dtype, device=x.device))

        maps = self._maps(x, active)
        out = maps[-1][0].flatten(2).transpose(1, 2)
        if visible is not None:
            out = Mask(flat(visible.index, 1), visible.total).gather(out)
        prefix = out.new_zeros(out.shape[0], 0, self.embed_dim)
        return Features(valid_mean(out, kept.valid), prefix, out, kept.coords, kept.valid, kept.grid, maps)

    def _maps(self, x: Tensor, active: Tensor | None) -> list[tuple[Tensor, int]]:
        """`[(map, stride)]` fine to coarse."""
        at = [self._at(active, stride) for stride in self.strides]
        x = F.relu(self.stem_norm(self.stem(x), at[0]))
        maps = []
        for stage, mask, stride in zip(self.stages, at, self.strides, strict=True):
            assert isinstance(stage, nn.ModuleList)
            for block in stage:
                x = block(x, mask)
            maps.append((x, max(stride)))
        return maps

    def _at(self, active: Tensor | None, stride: tuple[int, ...]) -> Tensor | None:
        """The mask at the resolution of a map."""
        if active is None:
            return None
        return spread(active, [p // s for p, s in zip(self.patch, stride, strict=True)])


def convnet(
    layout: Layout,
    channels: Sequence[str],
    size: Sequence[int],
    patch: Sequence[int],
    *,
    width: int = 32,
    blocks: int = 1,
) -> ConvNet:
    """A `ConvNet` for one kind of input.

    Args:
        layout: of the input, a grid.
        channels: channel names.
        size: cells of a view (any size works).
        patch: total stride along each axis.
        width: of `ConvNet`.
        blocks: of `ConvNet`.

    Raises:
        ConfigError: the layout is a point set.
    """
    if layout.points:
        raise ConfigError("convnet-tiny needs a grid, these are point sets: use a vit")
    return ConvNet(Normaliser(channels), layout.rank, len(channels), patch, width=width, blocks=blocks)
