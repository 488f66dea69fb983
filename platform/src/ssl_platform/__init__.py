"""ssl-platform: self-supervised pretraining and transfer for any modality.

The names below are imported on first use, so `import ssl_platform` costs nothing heavy.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "pretrain": "ssl_platform.api",
    "probe": "ssl_platform.api",
    "finetune": "ssl_platform.api",
    "predict": "ssl_platform.api",
    "embed": "ssl_platform.api",
    "load_encoder": "ssl_platform.api",
}

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'ssl_platform' has no attribute {name!r}")
