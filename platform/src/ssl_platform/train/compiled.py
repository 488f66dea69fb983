"""`trainer.compile`: which modules `torch.compile` works on."""

from __future__ import annotations

from torch import nn

from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.block import Block, CrossBlock

_BLOCKS = (Block, CrossBlock)


def compile_blocks(backbone: Backbone, objective: nn.Module) -> int:
    """Compile every transformer block of backbone and objective (teacher, decoder, predictor), or the whole backbone.

    Blocks take tensors and nothing else, whichever way an objective walks through a backbone, and equal blocks share
    what is compiled. A backbone without blocks is compiled as a whole.

    Returns:
        Number of compiled modules.
    """
    blocks: list[nn.Module] = [
        module for root in (backbone, objective) for module in root.modules() if isinstance(module, _BLOCKS)
    ]
    if not any(isinstance(module, _BLOCKS) for module in backbone.modules()):
        blocks.append(backbone)
    for block in blocks:
        block.compile(dynamic=False)
    return len(blocks)
