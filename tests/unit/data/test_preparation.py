from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.data.cache import Cache
from ssl_platform.data.catalog import Catalog
from ssl_platform.data.preparation import prepare, verify
from ssl_platform.data.scan import scan
from ssl_platform.data.upkeep import list_items
from ssl_platform.domain import Domain
from ssl_platform.errors import CacheError
from ssl_platform.testing.toy_domain import ToyDomain
from ssl_platform.types import Part, Row, Window


class Checking(ToyDomain):
    def checks(self, row: Row, facts: Mapping[str, float]) -> str | None:
        return "too bright" if facts["max"] > 100 else None

    def unlike(self, facts: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
        mean = np.mean([f["mean"] for f in facts.values()])
        return {name: "darker than its set" for name, f in facts.items() if f["mean"] < mean - 30}


def ready(tmp_path: Path, domain: ToyDomain) -> Catalog:
    (tmp_path / "set").mkdir()
    for i, value in enumerate((1.0, 2.0, 200.0, 3.0)):
        np.save(tmp_path / f"set/{i}.npy", np.full((8, 8, 8), value, np.float32))
    domain.cache = Cache(tmp_path / "cache")
    return scan([tmp_path / "set"], domain, folder=tmp_path / "cache").catalog


def test_fills_the_cache_and_names_absurd_items(tmp_path: Path) -> None:
    domain = Checking()
    catalog, seen = ready(tmp_path, domain), []
    found = prepare(catalog, domain, progress=lambda done, total: seen.append((done, total)))
    assert found.prepared == 4 and seen == [(4, 4)] and not found.unreadable
    assert found.odd == {
        "0.npy": "darker than its set",
        "1.npy": "darker than its set",
        "2.npy": "too bright",
        "3.npy": "darker than its set",
    }
    assert len(list_items(domain.cache.folder)) == 4  # type: ignore[union-attr]


def test_what_cannot_be_read_is_quarantined(tmp_path: Path) -> None:
    domain = ToyDomain()
    catalog = ready(tmp_path, domain)
    (tmp_path / "set/1.npy").write_bytes(b"damaged")
    found = prepare(catalog, domain)
    assert found.prepared == 3 and list(found.unreadable) == [1]


def test_a_cache_that_is_too_small_is_the_runs_failure(tmp_path: Path) -> None:
    domain = ToyDomain()
    catalog = ready(tmp_path, domain)
    domain.cache = Cache(tmp_path / "cache", max_gb=8e-6)
    with pytest.raises(CacheError, match=r"cache\.max_gb"):
        prepare(catalog, domain)


@pytest.mark.slow
def test_processes_do_the_same(tmp_path: Path) -> None:
    domain = ToyDomain()
    catalog = ready(tmp_path, domain)
    (tmp_path / "set/1.npy").write_bytes(b"damaged")
    found = prepare(catalog, domain, workers=2)
    assert found.prepared == 3 and list(found.unreadable) == [1]


def test_verifying_finds_the_same_and_keeps_nothing(tmp_path: Path) -> None:
    domain = Checking()
    catalog, seen = ready(tmp_path, domain), []
    (tmp_path / "set/1.npy").write_bytes(b"damaged")
    found = verify(catalog, domain, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(4, 4)] and found.prepared == 3 and list(found.unreadable) == [1]
    assert found.odd["2.npy"] == "too bright"
    assert not (tmp_path / "cache" / "prepared").exists()


class Windowed(ToyDomain):
    """Reads windows straight from the file, like domains that prepare nothing."""

    prepare = Domain.prepare

    def read(self, row: Row, window: Window) -> dict[str, Part]:
        assert window.start == (4, 4, 4), "the far end"
        return {"main": Part(np.load(row.path)[None, 4:8, 4:8, 4:8])}


def test_domains_that_prepare_nothing_are_read_at_their_far_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Windowed, "window", (4, 4, 4))
    domain = Windowed()
    catalog = ready(tmp_path, domain)
    whole = (tmp_path / "set/3.npy").read_bytes()
    (tmp_path / "set/3.npy").write_bytes(whole[:-8])
    found = verify(catalog, domain)
    assert list(found.unreadable) == [3] and found.odd == {}
