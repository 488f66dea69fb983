"""Masks travel with their images, whatever is done to them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import torch

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.data.cache import Cache
from ssl_platform.data.collate import collate
from ssl_platform.plan import Plan
from ssl_platform.testing.toy_domain import ToyDomain
from ssl_platform.transfer.dense_labels import carry_labels
from ssl_platform.transfer.masks import FOREGROUND, UNKNOWN, MaskedDomain
from ssl_platform.types import Row, Sample, Window
from ssl_platform.views.maker import ViewMaker


def masked(tmp_path: Path, mask: np.ndarray, image: np.ndarray | None = None) -> tuple[MaskedDomain, Row]:
    np.save(tmp_path / "a.npy", (mask if image is None else image).astype(np.float32))
    np.save(tmp_path / "m.npy", mask)
    domain = ToyDomain()
    domain.cache = Cache(tmp_path / "cache")
    (row,) = domain.scan(tmp_path / "a.npy")
    return MaskedDomain(domain, {row.id: str(tmp_path / "m.npy")}, (0, 3, 9)), row


def test_values_become_classes_and_the_rest_is_unknown(tmp_path: Path) -> None:
    mask = np.zeros((6, 6, 6), np.uint8)
    mask[0], mask[1], mask[2] = 3, 9, 255
    domain, row = masked(tmp_path, mask)
    domain = pickle.loads(pickle.dumps(domain))  # as workers get it
    part = domain.read(row, Window((-1, 0, 0), (5, 6, 6)))["mask"]
    assert part.data.dtype == np.int16 and part.origin == (-2.0, 0.0, 0.0)
    assert part.valid is not None and not part.valid[0].any() and part.valid[1:].all()
    np.testing.assert_array_equal(part.data[0, 1:, 0, 0], [1, 2, UNKNOWN, 0])


def test_labels_stay_on_their_cells_under_augmentation(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 2, (4, 4, 4)) * 3, np.ones((4, 4, 4), int)).astype(np.uint8)
    domain, row = masked(tmp_path, image)
    samples = [
        Sample(
            i, (domain.read(row, domain.place(row, (12, 12, 12), rng.random(5))),), meta={"brightness": 0.0}, position=i
        )
        for i in range(6)
    ]
    batch = collate(samples, domain.layout)
    plan = Plan.single()  # crops and flips, no intensity
    for scale in ((1.0, 1.0), (0.5, 0.9)):
        maker = ViewMaker(domain.layout, plan, ViewsConfig(global_scale=scale), window=(12, 12, 12))
        (view,) = maker(batch)
        assert view.geometry is not None
        labels = carry_labels(batch.reads[0]["mask"], view.geometry, maker.clean_size, UNKNOWN)
        assert labels.unique().tolist() == [0, 1]
        torch.testing.assert_close(view.x[:, 0], 3.0 * labels)  # the image is its own mask


def test_a_third_of_the_windows_hold_a_labelled_cell(tmp_path: Path) -> None:
    mask = np.zeros((40, 40, 40), np.uint8)
    mask[3, 4, 5] = 9
    domain, row = masked(tmp_path, mask)
    rng = np.random.default_rng(0)
    held = []
    for _ in range(600):
        window = domain.place(row, (8, 8, 8), rng.random(5))
        held.append(all(s <= c < s + 8 for s, c in zip(window.start, (3, 4, 5), strict=True)))
        assert all(0 <= s <= 32 for s in window.start)
    assert abs(np.mean(held) - FOREGROUND) < 0.06
