"""A model that is given to a run: used, never trained, never saved."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ssl_platform.nn.backbone import Backbone
from ssl_platform.types import Features, Mask, View


class Frozen(nn.Module):
    """A backbone without gradients, in evaluation mode whatever its owner does.

    An objective may keep it as a submodule: it follows the device, but the state of the run holds only the fingerprint
    of its weights, and refuses to go on with others.

    Args:
        backbone: the model.
        parts: further tensors that came with it by name (`decoder.head.weight`), such as a codebook.
        name: what the objective calls it, for errors.
    """

    backbone: Backbone
    parts: dict[str, Tensor]
    fingerprint: Tensor

    def __init__(self, backbone: Backbone, parts: Mapping[str, Tensor] | None = None, name: str = "teacher") -> None:
        super().__init__()
        # Past nn.Module's registration, so that weights are neither saved nor listed as parameters of the owner.
        self.__dict__["backbone"] = backbone.eval().requires_grad_(False)
        self.__dict__["parts"] = {key: value.detach() for key, value in (parts or {}).items()}
        self.name = name
        everything = [*sorted(backbone.state_dict().items()), *sorted(self.parts.items())]
        self.register_buffer("fingerprint", _fingerprint(everything))

    @property
    def embed_dim(self) -> int:
        """D of the pooled output."""
        return self.backbone.embed_dim

    @torch.no_grad()
    def forward(self, view: View, visible: Mask | None = None, taps: Iterable[str] = ()) -> Features:
        """Features of a raw view, in the student's precision."""
        features: Features = self.backbone(view, visible, taps=tuple(taps))
        return features

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Frozen:
        super()._apply(fn, recurse)
        self.backbone._apply(fn, recurse)
        self.__dict__["parts"] = {name: fn(value) for name, value in self.parts.items()}
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        saved = state_dict.get(f"{prefix}fingerprint")
        if saved is not None and not torch.equal(saved.cpu(), self.fingerprint.cpu()):
            rest[-1].append(f"models.{self.name} has other weights than the run began with: give it the same file")
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _fingerprint(tensors: Iterable[tuple[str, Tensor]]) -> Tensor:
    """`[32]` uint8, SHA-256 of names and values."""
    digest = hashlib.sha256()
    for name, value in tensors:
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8).clone()
