"""Card 181: what a dense objective is for, shown on scenes of several textures.

A linear read-out of single tokens stands for segmentation, a small convnet for ResNet-50: where every token sees the
whole view, as in a ViT, what tells one image from others may be written into all of its tokens, and it is.
"""

from __future__ import annotations

from typing import Any

import pytest

from ssl_platform.testing.toy_probe import read_tokens, train_on_scenes

QUEUE: dict[str, Any] = {"head_norm": "batch", "momentum": 0.9, "queue": 256}


@pytest.mark.slow
def test_tokens_of_densecl_tell_more_than_those_of_moco() -> None:
    """Each of three seeds, at equal steps."""
    for seed in range(3):
        dense = read_tokens(train_on_scenes("densecl", seed=seed, dense_start="0", **QUEUE))
        assert dense > read_tokens(train_on_scenes("moco-v2", seed=seed, **QUEUE)), seed
