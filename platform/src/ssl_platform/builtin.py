"""The core's own objectives and backbones, through the same hooks every plugin uses."""

from __future__ import annotations

import json
from pathlib import Path

from ssl_platform.plugins import ObjectiveDeclaration, hookimpl

SSL_PLATFORM_API = 1

MANIFEST = Path(__file__).parent / "objectives" / "manifest.json"

_VIT_OFFERS = ("tokens", "drop", "mask_token", "pyramid", "taps", "attention", "attn_mask")


@hookimpl
def ssl_platform_objectives() -> list[ObjectiveDeclaration]:
    """Objectives of the core, from the generated manifest: nothing of theirs is imported."""
    return [ObjectiveDeclaration.from_record(record) for record in json.loads(MANIFEST.read_text(encoding="utf-8"))]
