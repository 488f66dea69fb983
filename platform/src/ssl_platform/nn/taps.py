"""Names of intermediate outputs: `block.8`, `block.8.ffn`, `block.-1.k`, `block.-1.attention`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import Tensor

from ssl_platform.errors import ConfigError
from ssl_platform.nn.block import Record

INSIDE = ("q", "k", "v", "attention", "attn", "ffn")
_NAME = re.compile(r"block\.(-?\d+)(?:\.(\w+))?")


class Taps:
    """Collects what was asked for while a stack of blocks runs.

    Args:
        names: `block.I` for the output of block I (counted from 0, or from the end if negative), `block.I.q`, `.k`,
            `.v` for its projections, `.attn` and `.ffn` for what its branches add, `.attention` for its weights.
        depth: number of blocks.

    Attributes:
        found: outputs by the names asked for: `[B, P + N, D]` with prefix tokens first, or `[B, H, P + N, P + N]`.

    Raises:
        ConfigError: a name is not one of these.
    """

    def __init__(self, names: Sequence[str], depth: int) -> None:
        self.found: dict[str, Tensor] = {}
        self._wanted: dict[tuple[int, str], list[str]] = {}
        for name in names:
            match = _NAME.fullmatch(name)
            block, inside = (int(match[1]), match[2] or "") if match else (depth, "")
            if not -depth <= block < depth or (inside and inside not in INSIDE):
                raise ConfigError(
                    f"no intermediate output {name!r}: use block.I with I from {-depth} to {depth - 1}, "
                    f"optionally followed by .{', .'.join(INSIDE)}"
                )
            self._wanted.setdefault((block % depth, inside), []).append(name)

    def recorder(self, block: int) -> Record | None:
        """What block `block` should be given to record its inside, or None when nothing of it was asked for."""
        if not any(number == block and inside for number, inside in self._wanted):
            return None
        return lambda name, value: self.output(block, value, name)

    def output(self, block: int, value: Tensor, inside: str = "") -> None:
        """Keep an output if it was asked for."""
        for name in self._wanted.get((block, inside), ()):
            self.found[name] = value
