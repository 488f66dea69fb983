from __future__ import annotations

import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from ssl_platform.data.cache import Cache
from ssl_platform.data.catalog import Catalog
from ssl_platform.data.loader import Loader, _Make
from ssl_platform.data.reader import Reader
from ssl_platform.data.scan import scan
from ssl_platform.data.schedule import Schedule
from ssl_platform.domain import Domain
from ssl_platform.errors import DataError
from ssl_platform.plan import Plan, Reads
from ssl_platform.testing.toy_domain import ToyDomain, ToyImages
from ssl_platform.types import Batch

PLAN = Plan.single()


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, ToyDomain]:
    """Seven volumes of unlike sizes whose values say item and cell."""
    folder = tmp_path_factory.mktemp("set")
    for i in range(7):
        shape = (10 + i, 12, 9)
        values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 10000 * i
        np.save(folder / f"{'pq'[i % 2]}__{i}.npy", values)
    domain = ToyDomain()
    domain.cache = Cache(folder / "cache")
    return scan([folder], domain, folder=folder / "cache").catalog, domain


def take(data: tuple[Catalog, ToyDomain], n: int, plan: Plan = PLAN, **settings: object) -> list[Batch]:
    values = {"window": (8, 8, 8), "batch_size": 4, "seed": 1, **settings}
    return list(itertools.islice(Loader(*data, plan, **values), n))  # type: ignore[arg-type]


def equal(a: Batch, b: Batch) -> bool:
    same = torch.equal(a.index, b.index) and torch.equal(a.position, b.position) and torch.equal(a.group, b.group)
    for x, y in zip(a.reads, b.reads, strict=True):
        p, q = x["main"], y["main"]
        same &= torch.equal(p.data, q.data) and torch.equal(p.origin, q.origin)
        same &= (p.valid is None) == (q.valid is None) and (p.valid is None or torch.equal(p.valid, q.valid))  # type: ignore[arg-type]
    return same


def test_windows_hold_what_the_file_holds(volumes: tuple[Catalog, ToyDomain]) -> None:
    for batch in take(volumes, 5):
        part = batch.reads[0]["main"]
        for i, index in enumerate(batch.index.tolist()):
            start = [round(v / 2.0) for v in part.origin[i].tolist()]  # spacing 2 mm
            whole = np.load(volumes[0].row(index).path)
            assert np.array_equal(part.data[i, 0].numpy(), whole[tuple(slice(s, s + 8) for s in start)])


def test_workers_change_nothing(volumes: tuple[Catalog, ToyDomain]) -> None:
    alone = take(volumes, 6)
    assert all(map(equal, alone, take(volumes, 6, workers=2, start_method="fork")))


def test_what_a_spawned_worker_is_sent_makes_the_same_batches(volumes: tuple[Catalog, ToyDomain]) -> None:
    make = _Make(Reader(*volumes, Reads(), (8, 8, 8), 1), Schedule(volumes[0], 4, 1), (), {})
    sent = pickle.loads(pickle.dumps(make))
    assert all(equal(batch, sent(m).batch) for m, batch in enumerate(take(volumes, 3)))


@pytest.mark.slow
def test_spawned_workers_change_nothing(volumes: tuple[Catalog, ToyDomain]) -> None:
    assert all(map(equal, take(volumes, 6), take(volumes, 6, workers=2, start_method="spawn")))


def test_resuming_anywhere_goes_on_exactly(volumes: tuple[Catalog, ToyDomain]) -> None:
    plan = Plan.single(reads=Reads(2, "overlap"))
    whole = take(volumes, 9, plan)
    loader = Loader(*volumes, plan, window=(8, 8, 8), batch_size=4, seed=1)
    first = list(itertools.islice(loader, 5))
    assert loader.position == 20
    rest = take(volumes, 4, plan, start=loader.position)
    assert all(map(equal, whole, [*first, *rest]))
    assert all(map(equal, whole[5:], list(itertools.islice(loader, 4)))), "iterating again goes on too"


def test_ranks_share_the_global_batch(volumes: tuple[Catalog, ToyDomain]) -> None:
    whole = take(volumes, 4, batch_size=6)
    ranks = [take(volumes, 4, batch_size=2, rank=r, world=3) for r in range(3)]
    for m, batch in enumerate(whole):
        assert batch.position.tolist() == [p for rank in ranks for p in rank[m].position.tolist()]
        assert batch.index.tolist() == [i for rank in ranks for i in rank[m].index.tolist()]
        parts = torch.cat([rank[m].reads[0]["main"].data for rank in ranks])
        assert torch.equal(batch.reads[0]["main"].data, parts)


def test_every_epoch_visits_every_item_and_windows_differ(volumes: tuple[Catalog, ToyDomain]) -> None:
    batches = take(volumes, 28, batch_size=1)
    order = [int(b.index[0]) for b in batches]
    assert all(sorted(order[e : e + 7]) == list(range(7)) for e in (0, 7, 14, 21))
    origins = {tuple(b.reads[0]["main"].origin[0].tolist()) for b in batches if b.index[0] == 3}
    assert len(origins) == 4


def test_stable_identities_see_the_same_window_in_every_epoch(volumes: tuple[Catalog, ToyDomain]) -> None:
    batches = take(volumes, 56, Plan.single(stable=True), batch_size=1, windows_per_item=2)
    seen: dict[int, set[tuple[float, ...]]] = {}
    for batch in batches:
        seen.setdefault(int(batch.index[0]), set()).add(tuple(batch.reads[0]["main"].origin[0].tolist()))
    assert sorted(seen) == list(range(14)) and all(len(origins) == 1 for origins in seen.values())
    assert any(seen[2 * i] != seen[2 * i + 1] for i in range(7)), "slots of an item are windows of their own"


def test_seeds_differ_and_groups_are_shared(volumes: tuple[Catalog, ToyDomain]) -> None:
    a, b = take(volumes, 6), take(volumes, 6, seed=2)
    assert not any(map(equal, a, b))
    groups = {int(i): int(g) for batch in a for i, g in zip(batch.index, batch.group, strict=True)}
    assert len(set(groups.values())) == 2 and min(groups.values()) >= 0
    assert a[0].meta["brightness"].tolist() == [8.0] * 4


def test_labels_reach_only_plans_that_ask(volumes: tuple[Catalog, ToyDomain]) -> None:
    labels = np.array([0, 1, -1, 0, 1, -1, 2])
    assert all(b.label is None for b in take(volumes, 3, labels=labels))
    for batch in take(volumes, 3, Plan.single(labels="optional"), labels=labels):
        assert batch.label is not None and batch.label.tolist() == labels[batch.index.numpy()].tolist()


def test_overlapping_reads_overlap_and_same_reads_are_one(volumes: tuple[Catalog, ToyDomain]) -> None:
    for batch in take(volumes, 4, Plan.single(reads=Reads(2, "overlap"))):
        a, b = (read["main"].origin for read in batch.reads)
        assert ((a - b).abs() <= 8.0).all()  # half of eight cells of 2 mm
    (batch,) = take(volumes, 1, Plan.single(reads=Reads(2, "same")))
    assert torch.equal(batch.reads[0]["main"].data, batch.reads[1]["main"].data)
    with pytest.raises(DataError, match="offers no windows related by 'time'"):
        take(volumes, 1, Plan.single(reads=Reads(2, "time")))


def test_buckets_are_never_mixed_and_evenly_visited(tmp_path: Path) -> None:
    for i in range(6):
        np.save(tmp_path / f"one{i}.npy", np.zeros((9, 9, 9), np.float32))
    for i in range(3):
        np.save(tmp_path / f"two{i}.npy", np.zeros((2, 9, 9, 9), np.float32))
    domain = ToyDomain()
    domain.cache = Cache(tmp_path / "cache")
    data = scan([tmp_path], domain, folder=tmp_path / "cache").catalog, domain
    batches = take(data, 400, batch_size=2, window=(2, 2, 2))
    counts = np.zeros(9)
    for batch in batches:
        counts[batch.index.numpy()] += 1
        assert len(set((batch.index >= 6).tolist())) == 1
        assert batch.reads[0]["main"].data.shape[1] == (2 if batch.index[0] >= 6 else 1)
    assert counts.max() / counts.min() < 1.5
    ranks = [take(data, 20, batch_size=1, window=(2, 2, 2), rank=r, world=2) for r in range(2)]
    assert all(equal_bucket(a, b) for a, b in zip(*ranks, strict=True)), "all ranks draw from one bucket"
    assert all(map(equal, batches[40:50], take(data, 10, batch_size=2, window=(2, 2, 2), start=80)))


def equal_bucket(a: Batch, b: Batch) -> bool:
    return a.reads[0]["main"].channels == b.reads[0]["main"].channels


def test_layouts_that_pad_mix_channel_sets(tmp_path: Path) -> None:
    for i in range(4):
        np.save(tmp_path / f"{i}.npy", np.full((i + 1, 9, 9), i, np.float32))
    domain = ToyImages()
    domain.cache = Cache(tmp_path / "cache")
    data = scan([tmp_path], domain, folder=tmp_path / "cache").catalog, domain
    (batch,) = take(data, 1, window=(4, 4))
    part = batch.reads[0]["main"]
    assert part.channels == ("c0", "c1", "c2", "c3") and part.channel_valid is not None
    assert part.channel_valid.sum(1).tolist() == (batch.index + 1).tolist()


def test_sources_mix_by_weight(tmp_path: Path) -> None:
    for name, count in (("many", 20), ("few", 2)):
        (tmp_path / name).mkdir()
        for i in range(count):
            np.save(tmp_path / name / f"{name}{i}.npy", np.zeros((4, 4, 4), np.float32))
    domain = ToyDomain()
    domain.cache = Cache(tmp_path / "cache")
    catalog = scan([tmp_path / "many", tmp_path / "few"], domain, folder=tmp_path / "cache").catalog
    settings = {"window": (2, 2, 2), "batch_size": 64, "sources": {"many": 1.0, "few": 3.0}}
    index = torch.cat([b.index for b in take((catalog, domain), 16, **settings)])
    assert (index >= 20).float().mean().item() == pytest.approx(0.75, abs=0.03)
    for sources, message in (
        ({"fwe": 1}, "did you mean 'few'"),
        ({"few": 1}, "no weight to"),
        ({"few": 0}, "positive"),
    ):
        with pytest.raises(DataError, match=message):
            take((catalog, domain), 1, **{**settings, "sources": sources})


def test_the_global_generator_is_left_alone(volumes: tuple[Catalog, ToyDomain]) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    take(volumes, 3)
    take(volumes, 3, workers=1)
    assert torch.equal(before, torch.get_rng_state())


def test_waiting_is_counted(volumes: tuple[Catalog, ToyDomain]) -> None:
    loader = Loader(*volumes, PLAN, window=(8, 8, 8), batch_size=4)
    list(itertools.islice(loader, 3))
    assert 0 < loader.wait_seconds < 5 and loader.positions_per_epoch == 7


def test_an_empty_catalog_is_one_line(volumes: tuple[Catalog, ToyDomain]) -> None:
    with pytest.raises(DataError, match="no item to train on"):
        take((volumes[0].select([]), volumes[1]), 1)


def test_the_domain_meets_the_catalog_that_windows_are_drawn_from(tmp_path: Path) -> None:
    class Knowing(ToyDomain):
        known: tuple[str, ...] = ()

        def among(self, catalog: Catalog) -> Domain:
            copy = Knowing(self.options)
            copy.cache, copy.known = self.cache, tuple(catalog.column("id"))
            return copy

    for i in range(4):
        np.save(tmp_path / f"{i}.npy", np.full((8, 8, 8), i, np.float32))
    domain = Knowing()
    catalog = scan([tmp_path], domain, folder=tmp_path / "cache").catalog
    parts = [Reader(catalog.select(rows), domain, Reads(), (4, 4, 4), seed=0).domain for rows in ([0, 1], [2, 3])]
    assert [part.known for part in parts] == [("0.npy", "1.npy"), ("2.npy", "3.npy")]
    assert domain.known == ()
