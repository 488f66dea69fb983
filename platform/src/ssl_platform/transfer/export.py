"""`export`: an encoder or a model as a folder that needs only torch to run."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import uuid
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from ssl_platform import encoder as encoder_files
from ssl_platform.encoder_record import EncoderRecord
from ssl_platform.errors import EncoderError, RunFailed, UsageError
from ssl_platform.input_contract import InputContract
from ssl_platform.transfer import export_check
from ssl_platform.transfer.model import ModelRecord, load_model
from ssl_platform.transfer.portable import Portable, PortableEncoder, PortableModel, example_input

FORMATS = ("torch",)
TOLERANCE = 1e-4
_ACTIVATION = {"classification": "softmax", "segmentation": "softmax", "multi-label": "sigmoid", "regression": None}
_INSTEAD = {
    "encoder": "use embed, or ssl_platform.load_encoder in Python",
    "model": "use predict",
}
_README = """# {title}

A net written by ssl-platform. It needs torch {torch} or later and nothing else.

```python
import torch

net = torch.export.load("{file}").module()
found = net(x)  # x: float32, {shape}
```

- `x` is {axes}, batch first, with channels {channels}{units}. The batch may have any size, one sample is {size}.
- {spacing}
- Values are raw: normalisation is inside. Cells that hold no data are NaN.
- `found` has {outputs}.

`preprocess.json` says all of this for programs, and which settings prepared the data (`input.options`).
`python check.py` runs the stored input of `example.pt` and compares with the stored output.

Licence of the weights: {licence}. Terms of what they were made from: {terms}.
"""


def export(encoder: str | None, model: str | None, format: str, out: Path) -> dict[str, Any]:
    """Write an encoder or a finetuned model for use elsewhere, and run what was written.

    Args:
        encoder: run, `RUN@STEP` or encoder file; or
        model: run of `finetune`.
        format: `torch`.
        out: folder that is made; it may exist when empty.

    Returns:
        `{"command", "status", "format", "difference", "paths"}`.

    Raises:
        UsageError: the source or `out` cannot be used, or the backbone cannot be exported.
        RunFailed: what was written gives another output.
    """
    if format not in FORMATS:
        raise UsageError(f"--format {format}: this release writes {', '.join(FORMATS)}")
    _check_out(out)
    portable, record, about = _source(encoder, model)
    portable.eval().requires_grad_(False)
    stage = out.parent / f".{out.name}.{uuid.uuid4().hex[:12]}.tmp"
    try:
        stage.mkdir(parents=True)
        _write(stage, portable, record, about)
        difference = _verify(stage)
        if out.exists():
            out.rmdir()
        os.replace(stage, out)  # noqa: PTH105 - the atomicity of os.replace is the point
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    print(f"wrote {out}: {about['file']}, checked: outputs agree within {difference:.1e} of their size")
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


def _source(encoder: str | None, model: str | None) -> tuple[Portable, EncoderRecord, dict[str, Any]]:
    """What is exported, its encoder's record, and what is said about it."""
    if model is not None:
        net, told = load_model(model)
        net.frozen = False  # a frozen model switches gradients off and on, which would be written too
        return PortableModel(net, told.encoder), told.encoder, {"kind": "model", "file": "model.pt2", **_task(told)}
    assert encoder is not None
    loaded = encoder_files.load_encoder(encoder)
    return PortableEncoder(loaded.model, loaded.record), loaded.record, {"kind": "encoder", "file": "encoder.pt2"}


def _task(record: ModelRecord) -> dict[str, Any]:
    task = record.task
    return {
        "task": task.kind,
        "classes": list(task.classes),
        "mask_values": list(record.values),
        "activation": _ACTIVATION[task.kind],
    }


def _write(folder: Path, portable: Portable, record: EncoderRecord, about: dict[str, Any]) -> None:
    net = portable.net
    x = example_input(record, net if isinstance(portable, PortableEncoder) else net.backbone)  # type: ignore[arg-type]
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside torch
            output = portable(x)
            batch = torch.export.Dim("batch", min=1)
            program = torch.export.export(portable, (x,), dynamic_shapes={"x": {0: batch}}, strict=False)
            torch.export.save(program, folder / about["file"])
    except Exception as error:  # whatever a backbone of others does that cannot be traced
        line = (" ".join(str(error).split()) or type(error).__name__)[:200]
        raise EncoderError(
            f"this {about['kind']} (backbone {record.backbone.name}) cannot be exported by torch: {line}; where "
            f"ssl-platform is installed, {_INSTEAD[about['kind']]}"
        ) from error
    torch.save({"input": x, "output": output}, folder / "example.pt")
    layout = record.backbone.layout
    shape = ["batch", *x.shape[1:]]
    said = {
        "format": 1,
        **about,
        "domain": record.domain,
        "backbone": record.backbone.name,
        "objective": record.objective,
        "step": record.step,
        "input": record.contract.as_dict(),
        "channels": [{"name": c.name, "unit": c.unit} for c in layout.channels if c.name in record.contract.channels],
        "shape": shape,
        "dtype": "float32",
        "invalid": "NaN",
        "outputs": {name: ["batch", *value.shape[1:]] for name, value in output.items()},
        "tolerance": TOLERANCE,
        "licence": record.licence or "unset",
        "terms": dict(record.terms),
        "plugins": dict(record.plugins),
        "torch": torch.__version__,
        "ssl_platform": _version(),
    }
    (folder / "preprocess.json").write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_readme(said, record), encoding="utf-8")
    shutil.copyfile(str(export_check.__file__), folder / "check.py")


def _readme(said: dict[str, Any], record: EncoderRecord) -> str:
    contract = record.contract
    units = sorted({c["unit"] for c in said["channels"] if c["unit"]})
    return _README.format(
        title=f"{record.domain} {said['kind']}",
        torch=str(said["torch"]).split("+")[0],
        file=said["file"],
        shape=said["shape"],
        axes=contract.axes,
        channels=list(contract.channels),
        units=f" in {', '.join(units)}" if units else "",
        size=said["shape"][1:],
        spacing=_spacing(contract),
        outputs=", ".join(f"`{name}` {shape}" for name, shape in said["outputs"].items()),
        licence=said["licence"],
        terms=json.dumps(said["terms"]) if said["terms"] else "none known",
    )


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
        raise RunFailed(f"export: what was written does not give what the encoder gives: {error}") from error


def _version() -> str:
    try:
        return metadata.version("ssl-platform")
    except metadata.PackageNotFoundError:
        return "unknown"
