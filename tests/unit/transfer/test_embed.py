"""Embeddings as a table: the right means, the right places, one file or none."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from ssl_platform import api
from ssl_platform.errors import UsageError
from ssl_platform.transfer.embedding_rows import RunningMeans
from ssl_platform.transfer.embedding_table import Moments

Write = Callable[..., Path]


def test_running_means_are_means_however_batches_are_cut() -> None:
    rows = np.repeat([0, 2, 3, 7], [1, 5, 2, 4])
    vectors = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    expected = np.stack([vectors[rows == r].mean(0) for r in (0, 2, 3, 7)])
    for size in (1, 2, 3, 5, 12):
        means, numbers, found = RunningMeans(), [], []
        for at in range(0, 12, size):
            number, mean = means.add(rows[at : at + size], vectors[at : at + size])
            numbers += number.tolist()
            found.append(mean)
        number, mean = means.rest()
        assert [*numbers, *number] == [0, 2, 3, 7]
        np.testing.assert_allclose(np.concatenate([*found, mean]), expected, atol=1e-6)


def test_moments_give_principal_components_far_from_the_origin() -> None:
    x = np.random.default_rng(0).normal(size=(200, 5)) * [1, 4, 2, 0.1, 0.1] + 1000
    moments = Moments(5)
    for part in np.array_split(x, 7):
        moments.add(part)
    mean, axes = moments.axes()
    np.testing.assert_allclose(mean, x.mean(0))
    _, _, oracle = np.linalg.svd(x - x.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs((oracle[:2] @ axes).diagonal()), 1, atol=1e-6)


def test_items_are_means_of_the_windows_that_cover_them(toy_encoder: Write, toy_data: Path, tmp_path: Path) -> None:
    encoder = toy_encoder()
    tables = {}
    for level in ("item", "window", "token"):
        out = tmp_path / "new" / f"{level}.parquet"
        result = api.embed(encoder=encoder, manifest=toy_data, out=out, level=level)
        tables[level] = pq.read_table(out).to_pydict()
        assert (result["status"], result["items"], result["rows"]) == ("done", 8, len(tables[level]["id"]))
    items, windows, tokens = tables["item"], tables["window"], tables["token"]
    assert list(items) == ["id", "group", "split", "label", "vector", "x", "y"]
    assert set(items["label"]) == {"ball", "box"}
    assert all(split.startswith("fold ") for split in items["split"])  # eight groups are cross-validated
    assert len(windows["id"]) == 8 * 8  # 24 cells an axis are covered by two windows of 16
    first = [i for i, name in enumerate(windows["id"]) if name == items["id"][0]]
    starts = [tuple(windows["start"][i]) for i in first]
    assert sorted(starts) == list(product((0, 8), repeat=3))
    assert windows["size"][0] == [16, 16, 16]
    vectors = np.array([windows["vector"][i] for i in first])
    for name in ("x", "y"):  # every level has its projection
        assert np.std(windows[name]) > 0 and np.std(tokens[name]) > 0
    np.testing.assert_allclose(items["vector"][0], vectors.mean(0), atol=1e-6)
    # A token's place is physical: 2 mm cells, patches of 8 cells, so centres lie 8 mm from the window's edge.
    assert len(tokens["id"]) == 64 * 8 and tokens["coords"][0] == [8.0, 8.0, 8.0]
    np.testing.assert_allclose(vectors[0], np.mean(tokens["vector"][:8], 0), atol=1e-5)
    # and the vector is what the encoder says of the same cells
    loaded = api.load_encoder(encoder)
    cells = np.load(toy_data.parent / items["id"][0])[:16, :16, :16]
    oracle = loaded(torch.from_numpy(cells)[None, None]).pooled[0]
    np.testing.assert_allclose(vectors[starts.index((0, 0, 0))], oracle, atol=1e-5)


def test_one_line_errors(toy_encoder: Write, toy_data: Path, tmp_path: Path) -> None:
    encoder = toy_encoder()
    taken = tmp_path / "taken.parquet"
    taken.mkdir()
    (tmp_path / "file").touch()
    for out, words in {
        taken: "is a folder",
        tmp_path / "a.csv": "let the name end in .parquet",
        tmp_path / "file" / "a.parquet": "cannot be written",
    }.items():
        with pytest.raises(UsageError, match=words):
            api.embed(encoder=encoder, manifest=toy_data, out=out)
    with pytest.raises(UsageError, match="trained on domain 'other', the data is 'toy'"):
        api.embed(encoder=toy_encoder("b", domain="other"), domain="toy", out=tmp_path / "a.parquet")
    assert list(tmp_path.glob("*.parquet")) == [taken]
    assert not list(tmp_path.glob(".*.tmp"))
