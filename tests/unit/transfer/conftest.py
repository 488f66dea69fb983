"""Encoder files of the toy domain, written without training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

TOY = """
from ssl_platform.plugins import DomainDeclaration, hookimpl

SSL_PLATFORM_API = 1


@hookimpl
def ssl_platform_domains():
    return [DomainDeclaration(name="toy", factory="ssl_platform.testing.toy_domain:ToyDomain", axes="C D H W")]
"""


@pytest.fixture
def toy_encoder(install: Callable[..., str], tmp_path: Path) -> Callable[..., Path]:
    """`toy_encoder("a", seed=1)` writes an encoder of random weights as the run folder `a`, and returns it."""
    install("ssl-platform-toy", TOY)

    def write(name: str = "encoder", seed: int = 0, domain: str = "toy", backbone: str = "vit-pico") -> Path:
        import torch

        from ssl_platform import encoder as files
        from ssl_platform.encoder import EncoderRecord, build_backbone
        from ssl_platform.input_contract import InputContract
        from ssl_platform.nn.spec import BackboneSpec
        from ssl_platform.testing.toy_domain import ToyDomain

        torch.manual_seed(seed)
        settings = {"dim": 24, "depth": 1, "heads": 2} if backbone == "vit-pico" else {}
        spec = BackboneSpec(backbone, ToyDomain.layout, ("c0",), (16, 16, 16), (8, 8, 8), settings)
        model = build_backbone(spec)
        model.normaliser.set(torch.tensor([0.1]), torch.tensor([1.3]))
        contract = InputContract("C D H W", ("c0",), ("",), (2.0, 2.0, 2.0), "mm", (16, 16, 16), {})
        folder = tmp_path / name
        folder.mkdir()
        files.write(folder, model, EncoderRecord(spec, contract, domain, "mae", 7))
        return folder

    return write


@pytest.fixture
def toy_data(tmp_path: Path) -> Path:
    """The toy domain's sample set: eight items of two classes; the manifest."""
    from ssl_platform.testing.toy_domain import ToyDomain

    return ToyDomain(ToyDomain.Options()).sample_data(tmp_path / "data")
