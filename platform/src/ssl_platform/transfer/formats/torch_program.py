"""`--format torch`: a `torch.export` program that needs torch only."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from ssl_platform.transfer.formats.source import Source, Written, output_of

_INSTEAD = {"encoder": "use embed, or ssl_platform.load_encoder in Python", "model": "use predict"}
_USAGE = """import torch

net = torch.export.load("{file}").module()
found = net(x)  # a dict by name"""


def write(folder: Path, source: Source) -> Written:
    """Write `encoder.pt2` or `model.pt2`.

    Raises:
        EncoderError: torch cannot trace this net.
    """
    x, file = source.example(), f"{source.kind}.pt2"
    torch.export.save(traced(source, x, "torch"), folder / file)
    return Written(file, x, output_of(source, x), ("torch",), _USAGE.format(file=file))


def traced(source: Source, x: Tensor, format: str) -> ExportedProgram:
    """The net as a program for batches of any size.

    Args:
        source: what is exported.
        x: example input of two samples.
        format: for the message.

    Raises:
        EncoderError: torch cannot trace this net; one line.
    """
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside torch
            batch = torch.export.Dim("batch", min=1)
            return torch.export.export(source.portable, (x,), dynamic_shapes={"x": {0: batch}}, strict=False)
    except Exception as error:  # whatever a backbone of others does that cannot be traced
        line = (" ".join(str(error).split()) or type(error).__name__)[:200]
        why = f"{line}; where ssl-platform is installed, {_INSTEAD[source.kind]}"
        raise source.unfit(format, why) from error
