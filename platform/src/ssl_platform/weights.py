"""Files of weights: safetensors that carry a record of what they are, and the same record beside them as JSON."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ssl_platform.data.files import replace_file
from ssl_platform.errors import EncoderError

FORMAT = 1


def write_weights(weights: Path, record: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> Path:
    """Write both files, each atomically, and return the path of the weights.

    The record also travels inside the weights, so that they can never be read with another one.

    Args:
        weights: the safetensors file.
        record: the JSON file beside it.
        tensors: by name.
        about: the record.
    """
    from safetensors.torch import save_file

    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    text = json.dumps({"format": FORMAT, **about}, indent=2)
    with replace_file(weights) as temporary:
        save_file(plain, str(temporary), metadata={"record": text})
        _sync(temporary)
    with replace_file(record) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
        _sync(temporary)
    return weights


def read_weights(path: Path, kind: str) -> tuple[dict[str, Tensor], str | None]:
    """Tensors by name, and the text of the record, None where there is none.

    Args:
        path: the file.
        kind: what it should be, for the message: `an encoder file`.

    Raises:
        EncoderError: truncated, or no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            text = (file.metadata() or {}).get("record")
            return {name: file.get_tensor(name) for name in file.keys()}, text  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise EncoderError(f"{path}: truncated or not {kind} ({error})") from error


@contextlib.contextmanager
def reading_record(data: Mapping[str, Any]) -> Iterator[None]:
    """Around the reading of a record: a newer format, a missing key or a wrong type is one line.

    Raises:
        EncoderError: it cannot be read by this release.
    """
    if data.get("format", 0) > FORMAT:
        raise EncoderError(f"written by a newer ssl-platform (format {data['format']}): upgrade to load it")
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EncoderError(f"incomplete record ({error})") from error


def fill(module: nn.Module, tensors: Mapping[str, Tensor], problem: str) -> None:
    """Load tensors into a module built for them.

    Args:
        module: takes all of them and nothing else.
        tensors: by the module's own names.
        problem: begins the line when they do not fit.

    Raises:
        EncoderError: they do not.
    """
    try:
        module.load_state_dict(dict(tensors), strict=True)
    except RuntimeError as error:
        raise EncoderError(f"{problem} ({' '.join(str(error).split())[:200]})") from error


def _sync(path: Path) -> None:
    with path.open("rb+") as handle:
        os.fsync(handle.fileno())
