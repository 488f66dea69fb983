"""Fails where code would make the host wait for the device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_WAITING = {
    "_local_scalar_dense": "a value is read back (item, float(), int(), bool(), an `if` on a tensor)",
    "item": "a value is read back",
    "is_nonzero": "a value is read back",
    "equal": "tensors are compared on the host",
    "allclose": "tensors are compared on the host",
    "bincount": "the result's size depends on values",
    "nonzero": "the result's size depends on values (nonzero, where(mask), boolean index)",
    "masked_select": "the result's size depends on values",
    "_unique2": "the result's size depends on values",
    "unique_dim": "the result's size depends on values",
    "unique_consecutive": "the result's size depends on values",
    "_linalg_check_errors": "an error code is read back: use the _ex form",
}
_INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index")


class SyncError(AssertionError):
    """An operation would make the host wait."""


class _NoSync(TorchDispatchMode):
    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name in _WAITING:
            raise SyncError(f"aten.{name} waits for the device: {_WAITING[name]}")
        if name in _INDEXING and any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1]):
            raise SyncError(f"aten.{name} with a boolean index waits for the device: use torch.where")
        if name == "repeat_interleave" and isinstance(args[-1] if args else None, torch.Tensor) and len(args) == 1:
            raise SyncError("aten.repeat_interleave with tensor counts waits for the device")
        return func(*args, **(kwargs or {}))


@contextmanager
def forbid_sync() -> Iterator[None]:
    """Raise `SyncError` at the first operation inside that would make the host wait for the device.

    Works on any device, so a test on CPU finds what would stall a GPU. Shapes that depend on values count, and so do
    indices by boolean tensors.
    """
    with _NoSync():
        yield
