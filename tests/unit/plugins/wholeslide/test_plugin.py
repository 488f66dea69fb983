"""What is declared is what the domain is."""

import subprocess
import sys

import torch

from ssl_platform.encoder import build_backbone
from ssl_platform.nn.spec import BackboneSpec
from ssl_platform.types import View
from ssl_platform_wholeslide import plugin
from ssl_platform_wholeslide.domain import WholeSlide


def test_declaration_and_domain_agree():
    (declared,) = plugin.ssl_platform_domains()
    assert declared.name == WholeSlide.name
    assert declared.axes == WholeSlide.layout.axes
    assert set(declared.symmetries) == WholeSlide.layout.symmetries
    assert set(declared.moves) == WholeSlide.layout.moves
    assert declared.relations == WholeSlide.layout.relations
    assert set(declared.suffixes) == set(WholeSlide.suffixes)
    assert declared.tasks == WholeSlide.tasks
    assert (declared.default_objective, declared.default_backbone) == (
        WholeSlide.default_objective,
        WholeSlide.default_backbone,
    )


def test_importing_the_plugin_and_the_domain_is_light():
    heavy = {"torch", "openslide", "tiffslide", "tifffile", "pydicom", "scipy", "PIL", "zarr", "pandas"}
    for module, also in (("plugin", {"numpy", "pydantic"}), ("domain", set())):
        code = f"import sys, ssl_platform_wholeslide.{module}; print(*sorted({heavy | also} & set(sys.modules)))"
        run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert run.stdout.split() == []


def test_pathdino_is_the_papers():
    layout, channels = WholeSlide.layout, ("red", "green", "blue")
    spec = BackboneSpec("pathdino", layout, channels, (64, 64), (16, 16), {"pool": "cls"})
    net = build_backbone(spec)
    assert len(net.blocks) == 5 and net.embed_dim == 384
    assert 8.1e6 < sum(p.numel() for p in net.parameters()) < 9.9e6
    for size in (64, 96):
        x = torch.rand(1, 3, size, size) * 255
        assert net(View(x, channels=channels, spacing=torch.ones(1, 2))).tokens.shape == (1, (size // 16) ** 2, 384)
