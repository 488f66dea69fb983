"""Networks as nnU-Net plans them: its keys are taken as they stand, nothing else is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet

from ssl_platform.cli.main import main
from ssl_platform.errors import ConfigError
from ssl_platform.nn.adapters.nnunet import PlansBackbone
from ssl_platform.nn.backbones import build
from ssl_platform.types import Layout, View

CHANNELS = ("t1", "t2")
VOLUMES = Layout(axes="C D H W", unit="mm")
PLAN: dict[str, Any] = {
    "n_stages": 3,
    "features_per_stage": [4, 8, 8],
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "n_conv_per_stage": [2, 2, 2],
    "n_conv_per_stage_decoder": [2, 2],
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}


def test_plans_give_the_encoder_nnunet_would_build() -> None:
    net = build("nnunet:PlainConvUNet", VOLUMES, CHANNELS, (8, 16, 16), (8, 8, 8), **PLAN)
    assert isinstance(net, PlansBackbone) and net.arch_kwargs == PLAN
    modules = {"conv_op": torch.nn.Conv3d, "norm_op": torch.nn.InstanceNorm3d, "nonlin": torch.nn.LeakyReLU}
    theirs = PlainConvUNet(input_channels=2, num_classes=2, **{**PLAN, **modules})
    theirs.encoder.load_state_dict(net.net.state_dict(), strict=True)
    x = torch.randn(2, 2, 8, 16, 16)
    found = net(View(x=x, channels=CHANNELS))
    expected = theirs.encoder(x)
    assert [stride for _, stride in found.pyramid] == [1, 2, 4] and found.grid == (4, 4, 4)
    for (ours, _), other in zip(found.pyramid, expected, strict=True):
        torch.testing.assert_close(ours, other)
    torch.testing.assert_close(found.pooled, expected[-1].mean((2, 3, 4)))


def test_without_a_plan_axes_are_halved_while_they_are_long_enough() -> None:
    net = build("nnunet:ResidualEncoderUNet", VOLUMES, ("c",), (16, 64, 32), (8, 8, 8), features_per_stage=[2] * 5)
    assert isinstance(net, PlansBackbone)
    strides = torch.tensor(net.arch_kwargs["strides"]).prod(0).tolist()
    assert strides == [4, 16, 8] and net.arch_kwargs["n_blocks_per_stage"] == [1, 3, 4, 6, 6]


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("nnunet:PlainConvUNet", {"conv_op": "torch.nn.Conv2d"}, "the data has 3 axes"),
        ("nnunet:PlainConvUNet", {"nonlin": "os.system"}, "os.system: plans may name .*LeakyReLU"),
        ("nnunet:PlainConvUNet", {"norm_op": "torch.nn.Module"}, "plans may name"),
        ("nnunet:PlainConvUNet", {"n_stages": 5}, "cannot build PlainConvUNet"),
        ("nnunet:PlainConvUNet", {"width": 5}, "cannot build PlainConvUNet .*width"),
        ("nnunet:PlainConvNet", {}, "did you mean 'PlainConvUNet'"),
    ],
)
def test_plans_that_cannot_be_built_are_one_line(name: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        build(name, VOLUMES, CHANNELS, (8, 16, 16), (8, 8, 8), **{**PLAN, **settings})
    assert "\n" not in str(error.value)


def test_the_command_line_knows_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["pretrain", "--domain", "medical3d", "--backbone", "nnunet:PlainConvUNet", "--objective", "simclr"]
    assert main([*words, "--print-config", "--run", str(tmp_path / "run"), "backbone.n_stages=3"]) == 0
    assert "n_stages: 3" in capsys.readouterr().out
    assert main(["domains", "show", "audio"]) == 0
    assert "nnunet:*" in capsys.readouterr().out
