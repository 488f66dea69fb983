"""Datasets of torchgeo as manifests, and torchgeo's samplers beside ours."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.sequential import Sequential
from ssl_platform.errors import DataError
from ssl_platform.opening import open_data
from ssl_platform_multispectral.testing import write_raster
from ssl_platform_multispectral.torchgeo_source import write_manifest

DATA = np.random.default_rng(0).integers(1200, 4000, (3, 64, 48)).astype(np.uint16)


def test_a_classification_dataset_keeps_its_classes(tmp_path):
    files = [write_raster(tmp_path / f"{name}/{name}_1.tif", DATA) for name in ("Forest", "River")]
    dataset = SimpleNamespace(
        samples=[(str(f), k) for k, f in enumerate(files)], classes=["Forest", "River"], all_bands=("B04", "B08", "B8a")
    )
    manifest = write_manifest(dataset, tmp_path / "m.csv", sensor="sentinel2", baseline="none", split="train")
    rows = list(csv.DictReader(manifest.open()))
    assert [row["label"] for row in rows] == ["Forest", "River"] and rows[0]["bands"] == "B04,B08,B8A"
    found = open_data(RunConfig(domain="multispectral", data={"manifest": str(manifest)}))
    assert [row.channels for row in found.rows] == [("S2-B04", "S2-B08", "S2-B8A")] * 2
    assert found.facts.label == ("Forest", "River")


def test_a_dataset_without_files_is_refused(tmp_path):
    with pytest.raises(DataError, match="SimpleNamespace names no files"):
        write_manifest(SimpleNamespace(), tmp_path / "m.csv")


@pytest.mark.slow
def test_a_raster_dataset_gives_the_same_cells_and_the_grid_of_its_sampler(tmp_path):
    from torchgeo.datasets import RasterDataset
    from torchgeo.samplers import GridGeoSampler

    class Scenes(RasterDataset):
        filename_glob = "*.tif"
        all_bands = ("B02", "B03", "B04")

    write_raster(tmp_path / "in/x.tif", DATA)
    dataset = Scenes(str(tmp_path / "in"))
    manifest = write_manifest(dataset, tmp_path / "m.csv", sensor="sentinel2", baseline="none")
    found = open_data(RunConfig(domain="multispectral", data={"manifest": str(manifest)}))
    passes = Sequential(found.catalog, found.domain, window=(16, 16), batch_size=64, windows="grid")
    ours = np.concatenate([batch.reads[0]["main"].data.numpy() for batch in passes])
    theirs = np.stack([dataset[box]["image"].numpy() for box in GridGeoSampler(dataset, size=16, stride=16)]) * 1e-4
    assert ours.shape == theirs.shape == (12, 3, 16, 16)

    def ordered(windows):
        return windows[np.lexsort(windows[:, :, 0, 0].T)]

    assert np.allclose(ordered(ours), ordered(theirs), atol=1e-6)
