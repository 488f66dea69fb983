"""What `encoder.json` says: how to build an encoder, what it takes, where it came from, what it was trained on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ssl_platform.input_contract import InputContract
from ssl_platform.nn.spec import BackboneSpec
from ssl_platform.weights import reading_record


@dataclass(frozen=True)
class EncoderRecord:
    """What `encoder.json` holds.

    Attributes:
        backbone: how to build it.
        contract: what its input must be.
        domain: name of the domain it was trained on.
        objective: how it was trained.
        step: optimiser steps done.
        weights: `student` or `teacher`.
        parts: names of further modules stored (`decoder`).
        plugins: distribution and version of every plugin that took part.
        licence: yours; None when unset.
        terms: what it was made from, as far as known: initial weights, given models.
        training: salt and hashes of the items trained on, to tell test items apart from them.
    """

    backbone: BackboneSpec
    contract: InputContract
    domain: str
    objective: str
    step: int
    weights: str = "student"
    parts: tuple[str, ...] = ()
    plugins: Mapping[str, str] = field(default_factory=dict)
    licence: str | None = None
    terms: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "domain": self.domain,
            "objective": self.objective,
            "step": self.step,
            "weights": self.weights,
            "backbone": self.backbone.as_dict(),
            "input": self.contract.as_dict(),
            "parts": list(self.parts),
            "plugins": dict(self.plugins),
            "licence": self.licence or "unset",
            "terms": dict(self.terms),
            "training": dict(self.training),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EncoderRecord:
        """The inverse of `as_dict`; keys this release does not know are left alone.

        Raises:
            EncoderError: it is from a newer format or incomplete.
        """
        with reading_record(data):
            return cls(
                backbone=BackboneSpec.from_dict(data["backbone"]),
                contract=InputContract.from_dict(data["input"]),
                domain=data["domain"],
                objective=data["objective"],
                step=int(data["step"]),
                weights=data.get("weights", "student"),
                parts=tuple(data.get("parts", ())),
                plugins=data.get("plugins", {}),
                licence=None if data.get("licence") in (None, "unset") else data["licence"],
                terms=data.get("terms", {}),
                training=data.get("training", {}),
            )


def training_record(fingerprints: Iterable[str], salt: str | None = None) -> dict[str, Any]:
    """Salted hashes of the items trained on: tells whether an item was among them, and nothing else.

    Args:
        fingerprints: content hashes from the catalog.
        salt: hexadecimal; None draws one.
    """
    salt = salt or os.urandom(8).hex()
    return {"salt": salt, "items": sorted({salted(salt, f) for f in fingerprints})}


def salted(salt: str, fingerprint: str) -> str:
    """The salted hash of one content hash: 16 hexadecimal digits."""
    return hashlib.blake2b(fingerprint.encode(), key=bytes.fromhex(salt), digest_size=8).hexdigest()
