"""Low-rank adapters: a frozen linear layer learns a small difference, which is added to its weights at the end.

LoRA (Hu et al., 2022, arXiv:2106.09685): the difference of a matrix `W [O, I]` is `alpha / r * B A` with `A [r, I]`
random and `B [O, r]` zero, so an adapted network starts as the one it adapts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_platform.errors import ConfigError

Layers = Literal["attention", "all"]

_ATTENTION = ("attn", "attention")
_BLOCKS = ("blocks", "layers", "stages", "layer")
_FUSED = {"qkv": 3, "kv": 2}
ADAPTERS = ("lora_a", "lora_b")


class LoRALinear(nn.Linear):
    """A linear layer that stays as it is, beside a low-rank difference that is trained.

    Parameter names of the layer itself do not change, so its weights move by name as before. A layer that holds
    several projections in one matrix (`qkv`) has a difference of that rank for each of them.

    Args:
        base: whose weights are taken over, not copied.
        rank: r of each difference.
        alpha: the difference is scaled by `alpha / rank`.
        parts: projections in the matrix, which divide its outputs.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float, parts: int = 1) -> None:
        super().__init__(base.in_features, base.out_features, base.bias is not None, device="meta")
        self.weight, self.bias = base.weight, base.bias
        self.scale, self.parts = alpha / rank, parts
        self.lora_a = nn.Parameter(base.weight.new_empty(parts * rank, base.in_features))
        self.lora_b = nn.Parameter(base.weight.new_zeros(parts, base.out_features // parts, rank))
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))
        self.train(base.training)

    @property
    def delta(self) -> Tensor:
        """`[O, I]`, what is added to the weights."""
        low = self.lora_a.unflatten(0, (self.parts, -1))  # [parts, r, I]
        return self.scale * (self.lora_b @ low).flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`[..., I]` to `[..., O]`."""
        low = F.linear(x, self.lora_a).unflatten(-1, (self.parts, -1))  # [..., parts, r]
        difference = torch.einsum("...pr,por->...po", low, self.lora_b.to(low.dtype)).flatten(-2)
        return F.linear(x, self.weight, self.bias) + self.scale * difference

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """A plain layer with the difference added."""
        plain = nn.Linear(self.in_features, self.out_features, self.bias is not None, device="meta")
        plain.weight = nn.Parameter(self.weight + self.delta, requires_grad=self.weight.requires_grad)
        plain.bias = self.bias
        return plain.train(self.training)


def add_lora(net: nn.Module, rank: int = 8, alpha: float = 16.0, layers: Layers = "attention") -> list[str]:
    """Freeze a network and put adapters on linear layers of its transformer blocks, the only parameters then trained.

    Args:
        net: changed in place.
        rank: of each difference.
        alpha: scale of the differences, over `rank`.
        layers: `attention` takes queries, keys, values and the output projection of every attention; `all` also every
            other linear layer of the blocks.

    Returns:
        Names of the adapted layers.

    Raises:
        ConfigError: there is no such layer.
    """
    found = [(parent, leaf, name) for parent, leaf, name in _linears(net) if _adapted(name, layers)]
    if not found:
        raise ConfigError(
            "finetune.mode=lora needs attention layers to adapt and this encoder has none: use full, bitfit or frozen"
        )
    net.requires_grad_(False)
    for parent, leaf, _ in found:
        base = getattr(parent, leaf)
        setattr(parent, leaf, LoRALinear(base, rank, alpha, _FUSED.get(leaf, 1)))
    return [name for _, _, name in found]


@torch.no_grad()
def merge_lora(net: nn.Module) -> None:
    """Replace adapted layers by plain ones with the differences added, in place."""
    for parent in list(net.modules()):
        for leaf, child in list(parent.named_children()):
            if isinstance(child, LoRALinear):
                setattr(parent, leaf, child.merged())


@torch.no_grad()
def merged_state(net: nn.Module) -> dict[str, Tensor]:
    """The state that `net` would have after `merge_lora`, which is left undone: plain names, plain weights."""
    state = {name: value for name, value in net.state_dict().items() if not name.endswith(ADAPTERS)}
    for name, module in net.named_modules():
        if isinstance(module, LoRALinear):
            weight = f"{name}.weight" if name else "weight"
            state[weight] = state[weight] + module.delta
    return state


def _linears(net: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Parent, own name and full name of every linear layer that its parent calls.

    Some of torch's own layers read the weights of their children without calling them: an adapter there would be passed
    over.
    """
    for path, parent in net.named_modules():
        if isinstance(parent, nn.MultiheadAttention | nn.TransformerEncoderLayer):
            continue
        for leaf, child in parent.named_children():
            if type(child) is nn.Linear:
                yield parent, leaf, f"{path}.{leaf}" if path else leaf


def _adapted(name: str, layers: Layers) -> bool:
    """Whether a linear layer of this name is one of `layers`."""
    *path, _ = name.split(".")
    in_block = any(part.rstrip("0123456789") in _BLOCKS for part in path)
    in_attention = any(word in part for part in path for word in _ATTENTION)
    return in_block and (layers == "all" or in_attention)
