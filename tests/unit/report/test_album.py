from __future__ import annotations

from pathlib import Path

import numpy as np

from ssl_platform.report import album as albums
from ssl_platform.testing.run_folder import album


def test_an_album_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    before = album(12, evaluated=True)
    albums.save(before, tmp_path)
    after = albums.load(tmp_path)
    assert after is not None and after.embedding is not None and before.embedding is not None
    assert after.facts == before.facts and after.missing == before.missing
    assert np.array_equal(after.embedding.places, before.embedding.places)
    assert after.embedding.neighbours == before.embedding.neighbours
    assert after.embedding.classes == before.embedding.classes
    assert [p.tolist() for p in after.embedding.thumbnails.values()] == [
        p.tolist() for p in before.embedding.thumbnails.values()
    ]
    assert [(e.item, e.true, e.right) for e in after.examples] == [(e.item, e.true, e.right) for e in before.examples]
    assert len(after.examples) == 4
    assert np.array_equal(after.examples[2].pictures[0][1], before.examples[2].pictures[0][1])
    assert np.array_equal(after.looks[1].attention, before.looks[1].attention) and after.looks[1].top == 0.31
    assert np.array_equal(after.reconstructions[1].visible, before.reconstructions[1].visible)
    assert [name for name, _ in after.views[0].views] == ["as read", "global"]


def test_half_an_album_is_none(tmp_path: Path) -> None:
    assert albums.load(tmp_path) is None
    albums.save(album(3), tmp_path)
    arrays = tmp_path / "report" / "album.npz"
    arrays.write_bytes(arrays.read_bytes()[:100])
    assert albums.load(tmp_path) is None
