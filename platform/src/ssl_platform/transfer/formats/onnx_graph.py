"""`--format onnx`: a graph for ONNX Runtime and whatever else reads ONNX."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ssl_platform.errors import UsageError
from ssl_platform.transfer.formats.source import Source, Written, output_of
from ssl_platform.transfer.formats.torch_program import traced

_INLINE_BYTES = 1_500_000_000  # a protobuf file ends at 2 GB: larger weights lie beside it
_USAGE = """import onnxruntime

net = onnxruntime.InferenceSession("{file}")
found = dict(zip([output.name for output in net.get_outputs()], net.run(None, {{"x": x}})))"""


def write(folder: Path, source: Source) -> Written:
    """Write `encoder.onnx` or `model.onnx`.

    Raises:
        UsageError: onnx or onnxscript is not installed.
        EncoderError: the net cannot be traced, or does what ONNX has no operator for.
    """
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"--format onnx needs {' and '.join(missing)}: pip install 'ssl-platform[onnx]'")
    x, file = source.example(), f"{source.kind}.onnx"
    output = output_of(source, x)
    aten = torch.ops.aten
    missing_in_onnx = {
        aten.cdist.default: _distances,
        aten._cdist_forward.default: _distances,
        aten.adaptive_avg_pool3d.default: _pooled,
        aten._adaptive_avg_pool3d.default: _pooled,
    }
    program = traced(source, x, "onnx").run_decompositions(missing_in_onnx)
    size = sum(value.numel() * value.element_size() for value in program.state_dict.values())
    try:
        with _quiet():
            torch.onnx.export(
                program,
                (),
                str(folder / file),
                input_names=["x"],
                output_names=list(output),
                external_data=size > _INLINE_BYTES,
                verbose=False,
            )
    except Exception as error:  # the exporter's own kinds, and whatever an operator without a translation raises
        raise source.unfit("onnx", f"{_cause(error)}; use --format torch") from error
    return Written(
        file, x, output, ("numpy", "onnxruntime"), _USAGE.format(file=file), {"opset": _opset(folder / file)}
    )


def _distances(a: Tensor, b: Tensor, p: float = 2.0, mode: int | None = None) -> Tensor:
    """`torch.cdist`, which ONNX has no operator for: of `[.., N, S]` and `[.., M, S]`, `[.., N, M]`."""
    del mode
    if p != 2:
        raise NotImplementedError(f"distances of order {p}")
    return (a[..., :, None, :] - b[..., None, :, :]).square().sum(-1).sqrt()


def _pooled(x: Tensor, output_size: Sequence[int]) -> Tensor:
    """`adaptive_avg_pool3d`, which ONNX has no operator for: means of `[.., D, H, W]` over bins, axis by axis."""
    for axis, count in zip((-3, -2, -1), output_size, strict=True):
        size = x.shape[axis]
        bins = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
        x = torch.stack([x.narrow(axis, start, end - start).mean(axis) for start, end in bins], dim=axis)
    return x


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's own lines."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _cause(error: BaseException) -> str:
    """The innermost cause in one line; the exporter's own message is a page."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = re.sub(r"\x1b\[[0-9;]*m", "", " ".join(str(error).split()))
    return (line or type(error).__name__)[:200]


def _opset(path: Path) -> int:
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    return int(next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")))
