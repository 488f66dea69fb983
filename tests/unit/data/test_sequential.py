from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from ssl_platform.data.cache import Cache
from ssl_platform.data.catalog import Catalog
from ssl_platform.data.loader import Loader
from ssl_platform.data.scan import scan
from ssl_platform.data.sequential import Sequential
from ssl_platform.plan import Plan
from ssl_platform.testing.toy_domain import ToyDomain
from ssl_platform.types import Row, Window


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, ToyDomain]:
    folder = tmp_path_factory.mktemp("set")
    for i in range(7):
        np.save(folder / f"{i}.npy", np.random.default_rng(i).normal(size=(8 + 2 * i, 8, 8)).astype(np.float32))
    domain = ToyDomain()
    domain.cache = Cache(folder / "cache")
    return scan([folder], domain, folder=folder / "cache").catalog, domain


@pytest.mark.parametrize("workers", [0, 1])
def test_every_item_once_in_order(volumes: tuple[Catalog, ToyDomain], workers: int) -> None:
    loader = Sequential(*volumes, window=(8, 8, 8), batch_size=3, workers=workers)
    batches = list(loader)
    assert len(batches) == len(loader) == 3
    assert torch.cat([b.index for b in batches]).tolist() == list(range(7))
    middle = np.load(volumes[0].row(4).path)[4:12]
    assert np.array_equal(batches[1].reads[0]["main"].data[1, 0].numpy(), middle)


def test_ranks_have_shares_of_known_lengths(volumes: tuple[Catalog, ToyDomain]) -> None:
    loaders = [Sequential(*volumes, window=(8, 8, 8), batch_size=2, rank=r, world=3) for r in range(3)]
    assert [loader.lengths for loader in loaders] == [[3, 2, 2]] * 3 and loaders[0].total == 7
    index = [torch.cat([b.index for b in loader]).tolist() for loader in loaders]
    assert index == [[0, 1, 2], [3, 4], [5, 6]]
    assert [sum(len(b) for b in loader) for loader in loaders] == [3, 2, 2]
    alone = Sequential(volumes[0].select([0]), volumes[1], window=(8, 8, 8), batch_size=2, rank=1, world=2)
    assert len(alone) == 0 and list(alone) == []


def test_grid_windows_cover_each_item(volumes: tuple[Catalog, ToyDomain]) -> None:
    loader = Sequential(*volumes, window=(8, 8, 8), batch_size=4, windows="grid", rows=[0, 6])
    batches = list(loader)
    index = torch.cat([b.index for b in batches])
    assert index.tolist() == [0, 6, 6, 6] and loader.total == 4
    starts = torch.cat([b.reads[0]["main"].origin for b in batches])[1:, 0] / 2
    assert starts.tolist() == [0.0, 6.0, 12.0]
    assert torch.cat([b.position for b in batches]).tolist() == [0, 1, 2, 3]


def test_slots_are_the_windows_stable_training_sees(volumes: tuple[Catalog, ToyDomain]) -> None:
    settings = {"window": (4, 4, 4), "batch_size": 14, "windows_per_item": 2, "seed": 9}
    trained = next(iter(Loader(*volumes, Plan.single(stable=True), **settings)))  # type: ignore[arg-type]
    (clean,) = Sequential(*volumes, windows="slots", **settings)  # type: ignore[arg-type]
    order = trained.index.argsort()
    assert clean.index.tolist() == list(range(14))
    assert torch.equal(trained.reads[0]["main"].data[order], clean.reads[0]["main"].data)


def test_labels_are_served_for_monitors(volumes: tuple[Catalog, ToyDomain]) -> None:
    labels = np.array([0, 1, -1, 0, 1, -1, 2])
    (batch,) = Sequential(*volumes, window=(8, 8, 8), batch_size=7, labels=labels)
    assert batch.label is not None and batch.label.tolist() == labels.tolist()


def test_what_cannot_be_read_is_left_out_and_listed(tmp_path: Path) -> None:
    for i in range(4):
        np.save(tmp_path / f"{i}.npy", np.full((8, 8, 8), i, np.float32))
    domain = ToyDomain()
    domain.cache = Cache(tmp_path / "cache")
    catalog = scan([tmp_path], domain, folder=tmp_path / "cache").catalog
    for gone in (1, 2, 3):
        (tmp_path / f"{gone}.npy").unlink()
    loader = Sequential(catalog, domain, window=(8, 8, 8), batch_size=2)
    assert [b.index.tolist() for b in loader] == [[0]]
    assert [(f.failed, f.reason) for f in loader.failures] == [
        (f"{i}.npy", "no such file or directory") for i in (1, 2, 3)
    ]


def test_mixed_channel_sets_have_batches_of_their_own(tmp_path: Path) -> None:
    for i in range(5):
        shape = (2, 8, 8, 8) if i % 2 else (8, 8, 8)
        np.save(tmp_path / f"{i}.npy", np.zeros(shape, np.float32))
    domain = ToyDomain()
    domain.cache = Cache(tmp_path / "cache")
    catalog = scan([tmp_path], domain, folder=tmp_path / "cache").catalog
    batches = list(Sequential(catalog, domain, window=(8, 8, 8), batch_size=2))
    assert [b.index.tolist() for b in batches] == [[0, 2], [4], [1, 3]]
    assert [b.position.tolist() for b in batches] == [[0, 2], [4], [1, 3]]


def test_a_domain_may_name_the_windows_that_stand_for_its_items(volumes: tuple[Catalog, ToyDomain]) -> None:
    class Corners(ToyDomain):
        def cover(self, row: Row, size: Sequence[int], whole: bool = True) -> list[Window]:
            ends = [(0, 0, 0), tuple(n - s for n, s in zip(row.shape, size, strict=True))]
            return [Window(start, tuple(size)) for start in (ends if whole else ends[1:])]

    domain = Corners()
    domain.cache = volumes[1].cache
    for windows, origins in (("grid", [0.0, 12.0, 0.0, 24.0]), ("center", [12.0, 24.0])):
        loader = Sequential(volumes[0], domain, window=(8, 8, 8), batch_size=9, windows=windows, rows=[3, 6])  # type: ignore[arg-type]
        (batch,) = loader
        assert batch.reads[0]["main"].origin[:, 0].tolist() == origins and loader.total == len(origins)


def test_windows_of_an_item_are_laid_out_once(volumes: tuple[Catalog, ToyDomain], monkeypatch) -> None:
    catalog, domain = volumes
    passed = Sequential(catalog, domain, window=(8, 8, 8), batch_size=4, windows="grid")
    assert passed.total > len(catalog)
    seen: list[str] = []
    cover = type(domain).cover
    monkeypatch.setattr(
        type(domain), "cover", lambda self, row, *a, **k: seen.append(row.id) or cover(self, row, *a, **k)
    )
    list(passed)
    assert sorted(seen) == sorted(catalog.row(i).id for i in range(len(catalog)))
