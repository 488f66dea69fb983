"""Layer-wise learning rates: the closed form, and timm's."""

from __future__ import annotations

import pytest
import timm
from timm.optim import param_groups_layer_decay

from ssl_platform.transfer.parameter_groups import layer_scales


@pytest.mark.parametrize("decay", [1.0, 0.75, 0.5])
def test_the_closed_form(decay: float) -> None:
    blocks = 12
    names = ["prefix", "tokenizer.proj.weight", *(f"blocks.{i}.attn.qkv.weight" for i in range(blocks)), "norm.weight"]
    scales = layer_scales(names, decay)
    assert scales["prefix"] == scales["tokenizer.proj.weight"] == pytest.approx(decay ** (blocks + 1))
    for i in range(blocks):
        assert scales[f"blocks.{i}.attn.qkv.weight"] == pytest.approx(decay ** (blocks - i))
    assert scales["norm.weight"] == 1.0


def test_as_timm() -> None:
    model = timm.create_model("vit_tiny_patch16_224", depth=5, num_classes=3)
    names = {id(p): name for name, p in model.named_parameters()}
    theirs = {
        names[id(p)]: group["lr_scale"]
        for group in param_groups_layer_decay(model, layer_decay=0.7)
        for p in group["params"]
    }
    ours = layer_scales(list(names.values()), 0.7)
    # timm counts the last norm to the last block, BEiT and MAE to the head.
    norm = {name for name in ours if name.startswith("norm.")}
    assert {name: ours[name] for name in ours.keys() - norm} == pytest.approx(
        {name: theirs[name] for name in theirs.keys() - norm}
    )
    assert {ours[name] for name in norm} == {1.0} and {theirs[name] for name in norm} == {0.7}
