"""How fast each parameter of a model learns: the head as the recipe says, the encoder less towards its input."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import nn

from ssl_platform.train.optim import decays
from ssl_platform.transfer.model import TransferModel

_BLOCK = re.compile(r"(?:^|\.)(?:blocks|stages|layers|layer)\.?((?:\d+)(?:\.\d+)?)\.")


def depth_of(names: Sequence[str]) -> dict[str, int]:
    """The layer of every parameter of a backbone: 0 before the blocks, then a number for each block, then the rest.

    Args:
        names: parameter names in order; blocks are found by the words blocks, stages and layers.
    """
    keys: dict[str, tuple[int, ...] | None] = {}
    for name in names:
        found = _BLOCK.search(name)
        keys[name] = tuple(int(n) for n in found[1].split(".")) if found else None
    order = {key: i + 1 for i, key in enumerate(sorted({k for k in keys.values() if k is not None}))}
    last, seen, depth = len(order) + 1, False, {}
    for name, key in keys.items():
        seen = seen or key is not None
        depth[name] = order[key] if key is not None else (last if seen or not order else 0)
    return depth


def layer_scales(names: Sequence[str], decay: float) -> dict[str, float]:
    """What the learning rate of every parameter of a backbone is multiplied with: `decay ** (L + 1 - l)`.

    L is the number of blocks and l the layer, 0 before the blocks and L + 1 behind them, where the head is too (BEiT:
    Bao et al., 2022, arXiv:2106.08254; MAE). So a decay of 1 trains all alike, and the last block learns `decay` times
    as fast as the head.

    Args:
        names: parameter names in order.
        decay: each layer's learning rate as a fraction of the next one's.
    """
    depth = depth_of(names)
    blocks = len({layer for name, layer in depth.items() if _BLOCK.search(name)})
    return {name: decay ** (blocks + 1 - layer) for name, layer in depth.items()}


def parameter_groups(model: TransferModel, layer_decay: float, weight_decay: float) -> list[dict[str, object]]:
    """Groups of trained parameters that share learning rate and weight decay.

    Args:
        model: encoder and head; what needs no gradient is left out.
        layer_decay: of `layer_scales`; the head has the scale 1.
        weight_decay: of matrices.

    Returns:
        `params`, `lr_scale` and `weight_decay` of each group.
    """
    own = dict(model.backbone.named_parameters())
    scales = layer_scales(list(own), layer_decay)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in own.items():
        if parameter.requires_grad:
            groups.setdefault((scales[name], decays(name, parameter)), []).append(parameter)
    for name, parameter in model.head.named_parameters():
        groups.setdefault((1.0, decays(name, parameter)), []).append(parameter)
    return [
        {"params": members, "lr_scale": scale, "weight_decay": weight_decay if decayed else 0.0}
        for (scale, decayed), members in groups.items()
    ]
