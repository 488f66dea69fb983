"""`export`: an encoder or a model as a folder that other software loads, checked by what was written."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssl_platform.errors import RunFailed, UsageError, did_you_mean
from ssl_platform.input_contract import InputContract
from ssl_platform.transfer.formats.source import TOLERANCE, Source, Written, load_source

FORMATS = {
    "torch": "torch_program",
    "onnx": "onnx_graph",
    "timm": "timm_state",
    "monai": "monai_state",
    "nnunet": "nnunet_checkpoint",
}
_MODULES = {"scikit-learn": "sklearn", "dynamic-network-architectures": "dynamic_network_architectures"}
_README = """# {title}

A net written by ssl-platform as `{format}`. It needs {needs} and nothing else.

```python
{usage}
```

- `x` is float32 {shape}: {axes}, batch first, with channels {channels}{units}. The batch may have any size.
- {spacing}
{notes}
- Outputs: {outputs}.

`preprocess.json` says all of this for programs, and which settings prepared the data (`input.options`).
`python check.py` runs the stored input of `{example}` and compares with the stored output: {tolerance:.0e} of the
largest value is allowed.

Licence of the weights: {licence}. Terms of what they were made from: {terms}.
"""
_RAW = "Values are raw: normalisation is inside."
_GAPS = "Cells that hold no data are NaN."


def export(encoder: str | None, model: str | None, format: str, out: Path) -> dict[str, Any]:
    """Write an encoder or a finetuned model for use elsewhere, and run what was written.

    Args:
        encoder: run, `RUN@STEP` or encoder file; or
        model: run of `finetune`.
        format: one of `FORMATS`.
        out: folder that is made; it may exist when empty.

    Returns:
        `{"command", "status", "format", "difference", "paths"}`; `difference` is the largest to this platform's
        outputs, relative to the largest value of an output, None where what checks it is not installed.

    Raises:
        UsageError: the source or `out` cannot be used, the format does not fit the backbone or needs what is missing.
        RunFailed: what was written gives another output.
    """
    if format not in FORMATS:
        raise UsageError(f"--format {format}: this release writes {', '.join(FORMATS)}{did_you_mean(format, FORMATS)}")
    _check_out(out)
    source = load_source(encoder, model)
    stage = out.parent / f".{out.name}.{uuid.uuid4().hex[:12]}.tmp"
    try:
        stage.mkdir(parents=True)
        written = importlib.import_module(f"ssl_platform.transfer.formats.{FORMATS[format]}").write(stage, source)
        _describe(stage, format, source, written)
        missing = [name for name in written.needs if importlib.util.find_spec(_MODULES.get(name, name)) is None]
        difference = None if missing else _verify(stage)
        if out.exists():
            out.rmdir()
        os.replace(stage, out)  # noqa: PTH105 - the atomicity of os.replace is the point
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    if difference is None:
        print(f"wrote {out}: {written.file}, NOT checked: pip install {' '.join(missing)}, then python {out}/check.py")
    else:
        print(f"wrote {out}: {written.file}, checked: outputs agree within {difference:.1e} of their size")
    return {
        "command": "export",
        "status": "done",
        "format": format,
        "difference": difference,
        "paths": {"export": str(out)},
    }


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file; name a folder that is made")
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"--out {out}: the folder is not empty; choose another")


def _describe(folder: Path, format: str, source: Source, written: Written) -> None:
    """What every export has besides its weights: a stored example, what it takes and gives, a check, a page."""
    example = "example.npz" if format == "onnx" else "example.pt"  # ONNX needs no torch
    output = dict(written.output)
    if format == "onnx":
        arrays: dict[str, Any] = {name: value.numpy() for name, value in {"x": written.example, **output}.items()}
        np.savez(folder / example, **arrays)
    else:
        torch.save({"input": written.example, "output": output}, folder / example)
    record, layout = source.record, source.record.backbone.layout
    channels = [{"name": c.name, "unit": c.unit} for c in layout.channels if c.name in record.contract.channels]
    said = {
        "format": 1,
        "kind": source.kind,
        "file": written.file,
        "written_as": format,
        **source.task(),
        **written.said,
        "domain": record.domain,
        "backbone": record.backbone.name,
        "objective": record.objective,
        "step": record.step,
        "input": record.contract.as_dict(),
        "channels": channels,
        "shape": ["batch", *written.example.shape[1:]],
        "dtype": "float32",
        "invalid": "NaN" if written.gaps else None,
        "outputs": {name: ["batch", *value.shape[1:]] for name, value in output.items()},
        "tolerance": TOLERANCE,
        "licence": record.licence or "unset",
        "terms": dict(record.terms),
        "plugins": dict(record.plugins),
        "versions": {name: _version(name) for name in written.needs},
        "torch": torch.__version__,
        "ssl_platform": _version("ssl-platform"),
    }
    (folder / "preprocess.json").write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    units = sorted({c["unit"] for c in channels if c["unit"]})
    notes = [*([_RAW] if written.raw else ()), *([_GAPS] if written.gaps else ()), *written.notes]
    page = _README.format(
        title=f"{record.domain} {source.kind}",
        format=format,
        needs=", ".join(f"{name} {said['versions'][name]}" for name in written.needs),
        usage=written.usage,
        shape=said["shape"],
        axes=record.contract.axes,
        channels=list(record.contract.channels),
        units=f" in {', '.join(units)}" if units else "",
        spacing=_spacing(record.contract),
        notes="\n".join(f"- {note}" for note in notes),
        outputs=", ".join(f"`{name}` {shape}" for name, shape in said["outputs"].items()),
        example=example,
        tolerance=TOLERANCE,
        licence=said["licence"],
        terms=json.dumps(said["terms"]) if said["terms"] else "none known",
    )
    (folder / "README.md").write_text(page, encoding="utf-8")
    checks = importlib.import_module(f"ssl_platform.transfer.formats.checks.{FORMATS[format]}")
    shutil.copyfile(str(checks.__file__), folder / "check.py")


def _spacing(contract: InputContract) -> str:
    if contract.spacing:
        return f"Cells are {list(contract.spacing)} {contract.spacing_unit} apart: resample to that first."
    if contract.spacing_unit:
        return (
            f"Cells may be any distance apart: it was trained on items of several spacings ({contract.spacing_unit})."
        )
    return "Cells have no physical size."


def _verify(folder: Path) -> float:
    """Run the written `check.py` on the written files."""
    spec = importlib.util.spec_from_file_location("ssl_platform_written_check", folder / "check.py")
    assert spec is not None and spec.loader is not None
    written = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(written)
    try:
        return float(written.check(folder))
    except ValueError as error:
        raise RunFailed(f"export: what was written does not give what this platform gives: {error}") from error


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"
