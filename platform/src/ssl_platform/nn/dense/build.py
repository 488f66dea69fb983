"""A dense decoder by its name."""

from __future__ import annotations

from ssl_platform.nn.dense.fpn import FpnDecoder
from ssl_platform.nn.dense.layers import DenseDecoder
from ssl_platform.nn.dense.linear import LinearDecoder
from ssl_platform.nn.dense.maps import Source
from ssl_platform.nn.dense.skip import SkipDecoder
from ssl_platform.nn.dense.unetr import UnetrDecoder

DECODERS: dict[str, type[DenseDecoder]] = {
    "linear": LinearDecoder,
    "fpn": FpnDecoder,
    "unetr": UnetrDecoder,
    "skip": SkipDecoder,
}


def build_decoder(name: str, source: Source, outputs: int, width: int = 16) -> DenseDecoder:
    """The decoder `name` for what a backbone gives.

    Args:
        name: one of `DECODERS`, or `auto`.
        source: see `source_of`.
        outputs: channels of the logits.
        width: of the decoder.

    Raises:
        ValueError: the backbone does not give what it needs; the line ends with what to use.
    """
    chosen = fitting(source) if name == "auto" else name
    if chosen not in DECODERS:
        raise ValueError(f"there is no such decoder; there are {', '.join(DECODERS)}")
    made: DenseDecoder = DECODERS[chosen](source, outputs, width)
    return made


def fitting(source: Source) -> str:
    """What `auto` takes: `skip` for hierarchical encoders, `unetr` for plain ViTs, `fpn` for other single maps."""
    return "skip" if len(source.dims) > 1 else "unetr" if source.plain else "fpn"
