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
        from ssl_platform.encoder import build_backbone
        from ssl_platform.encoder_record import EncoderRecord
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


@pytest.fixture
def toy_masks(tmp_path: Path) -> Path:
    """Ten noisy volumes of 16 cells with a bright ball and its mask (7 is the ball), split 6/2/2; the manifest."""
    import numpy as np

    folder = tmp_path / "balls"
    folder.mkdir()
    rng, lines = np.random.default_rng(0), ["path,mask,split"]
    for i in range(10):
        cells = np.indices((16, 16, 16)) - rng.integers(5, 11, (3, 1, 1, 1))
        ball = (cells**2).sum(0) < 16
        np.save(folder / f"item{i}.npy", (0.3 * rng.normal(size=ball.shape) + 2 * ball).astype(np.float32))
        np.save(folder / f"ball{i}.npy", (7 * ball).astype(np.uint8))
        lines.append(f"item{i}.npy,ball{i}.npy,{'train' if i < 6 else 'val' if i < 8 else 'test'}")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest
