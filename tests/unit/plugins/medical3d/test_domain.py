"""The domain through the platform's own scan, cache and windows; real volumes where they lie beside the checkout."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.data.box import parse_box
from ssl_platform.data.cache import Cache
from ssl_platform.data.scan import scan
from ssl_platform.errors import DataError
from ssl_platform.transfer.label_windows import cells_of
from ssl_platform.types import Window
from ssl_platform_medical3d.domain import Medical3D
from ssl_platform_medical3d.intensity import unlike_set
from ssl_platform_medical3d.options import Medical3DOptions
from ssl_platform_medical3d.orientation import affine_of_codes
from ssl_platform_medical3d.readers import nifti
from ssl_platform_medical3d.testing import write_dicom_series

REAL = (
    Path(os.environ.get("SSL_PLATFORM_REAL_DATA", Path(__file__).resolve().parents[5] / "shared" / "data"))
    / "medical3d"
)


@pytest.fixture
def domain(tmp_path):
    made = Medical3D(Medical3DOptions(modality="ct", spacing="native"))
    made.cache = Cache(tmp_path / "cache")
    return made


def test_windows_come_from_the_cache(domain, tmp_path):
    data = np.random.default_rng(0).integers(-1000, 1000, (20, 18, 16)).astype(np.int16)
    row = next(iter(domain.scan(nifti.write(tmp_path / "x.nii.gz", data, np.eye(4)))))
    part = domain.read(row, Window((2, 3, 4), (8, 8, 8)))["main"]
    assert part.data.shape == (1, 8, 8, 8) and part.data.dtype == np.int16 and part.valid is None
    assert np.array_equal(part.data[0], data.transpose(2, 1, 0)[2:10, 3:11, 4:12])
    beyond = domain.read(row, Window((12, -2, 0), (8, 8, 8)))["main"]
    assert beyond.valid is not None and beyond.valid[:4, 2:, :].all() and not beyond.valid[4:].any()


@pytest.mark.parametrize("codes", ["LPS", "IRP", "SAR"])
def test_windows_of_labels_follow_orientation_and_spacing(codes, tmp_path):
    domain = Medical3D(Medical3DOptions(modality="ct", spacing=(1.0, 1.5, 2.0)))
    data = np.full((20, 18, 16), -1000, np.int16)
    data[2:7, 3:9, 4:10] = 1000
    affine = affine_of_codes(codes, (2.0, 3.0, 1.0))
    row = next(iter(domain.scan(nifti.write(tmp_path / "x.nii.gz", data, affine))))
    cells = cells_of(domain, row, parse_box("2:7,3:9,4:10", ""))
    bright = np.argwhere(domain.prepare(row).data[0] > 0)
    found = list(zip(bright.min(0).tolist(), (bright.max(0) + 1).tolist(), strict=True))
    # A cell the window ends within is read: it may be bright by less than half.
    assert all(low <= a <= low + 1 and b <= high <= b + 1 for (low, high), (a, b) in zip(cells, found, strict=True))
    with pytest.raises(DataError, match="ends at voxel 17 of 16 along k; correct the row"):
        cells_of(domain, row, parse_box("2:7,3:9,4:17", ""))


def test_windows_favour_the_body(domain, tmp_path):
    data = np.full((60, 60, 60), -1000, np.int16)
    data[40:56, 40:56, 40:56] = 50
    row = next(iter(domain.scan(nifti.write(tmp_path / "x.nii.gz", data, np.eye(4)))))
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(60):
        window = domain.place(row, (12, 12, 12), rng.random(5))
        assert all(0 <= start <= 48 for start in window.start)
        hits.append((domain.read(row, window)["main"].data > 0).any())
    assert np.mean(hits) > 0.7
    plain = Medical3D(Medical3DOptions(modality="ct", spacing="native", foreground="none"))
    plain.cache = domain.cache
    row = next(iter(plain.scan(tmp_path / "x.nii.gz")))
    assert (
        np.mean(
            [(plain.read(row, plain.place(row, (12, 12, 12), rng.random(5)))["main"].data > 0).any() for _ in range(60)]
        )
        < 0.4
    )


def test_options_that_do_not_change_the_stored_item_keep_its_entry(domain):
    key = domain.prepare_key()
    assert Medical3D(Medical3DOptions(modality="ct", hu_window=(0, 80), foreground_fraction=0.1)).prepare_key() == key
    assert Medical3D(Medical3DOptions(modality="ct", percentiles=(1, 99))).prepare_key() != key


def test_the_sample_set_is_scanned_with_its_masks_aside(tmp_path):
    from ssl_platform_medical3d.phantom import write_sample_set

    manifest = write_sample_set(tmp_path / "set", seed=0, items=8)
    domain = Medical3D()
    found = scan([tmp_path / "set"], domain, folder=tmp_path / "cache", workers=1)
    assert len(found.catalog) == 8 and len(found.masks) == 8 and not found.quarantined
    rows = [found.catalog.row(at) for at in range(8)]
    settled = domain.settle(rows)
    assert settled["spacing"][0] == "native" and all(row.channels == ("ct",) for row in rows)
    domain = Medical3D(Medical3DOptions(**{name: value for name, (value, _) in settled.items()}))
    masks = {Path(row["path"]).name: tmp_path / "set" / row["mask"] for row in csv.DictReader(manifest.open())}
    for row in map(domain.fit, rows):
        prepared = domain.prepare(row)
        assert prepared.channels == ("ct",) and domain.checks(row, prepared.facts) is None
        mask = domain.read_mask(row, masks[Path(row.path).name])
        assert mask.shape == row.shape == prepared.data.shape[1:]
        # The spine (bone) is behind the middle, wherever the file's axes point.
        assert np.argwhere(prepared.data[0] > 300)[:, 1].mean() < row.shape[1] / 2


def test_a_bad_series_costs_only_itself(tmp_path):
    volume = np.random.default_rng(0).integers(0, 100, (6, 5, 8)).astype(np.int16)
    for number in range(4):
        write_dicom_series(tmp_path / "in", volume, np.eye(4), series=f"1.2.{number}", name=f"s{number}-")
    write_dicom_series(tmp_path / "in", volume, np.eye(4), series="1.2.9", name="s9-", skip=(3,))
    found = scan([tmp_path / "in"], Medical3D(), folder=tmp_path / "cache", workers=1, max_bad_fraction=0.5)
    assert len(found.catalog) == 4 and len({row.id for row in found.catalog.rows()}) == 4
    assert len(found.quarantined) == 1 and "a slice missing between" in found.quarantined[0].reason


def test_a_manifest_gives_arrays_their_spacing(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        np.save(folder / f"{number}.npy", np.random.default_rng(number).random((6, 6, 6)))
    told = [(0, {"spacing": "2x1x1"}), (2, {"spacing": "2x1x1", "modality": "CT"})]
    cache = tmp_path / "cache"
    fitted = scan([folder], Medical3D(), folder=cache, overrides=lambda _: told, max_bad_fraction=0.5)
    assert [row.spacing for row in fitted.catalog.rows()] == [(2.0, 1.0, 1.0)] * 2
    assert len(fitted.quarantined) == 1 and "data.spacing=[z,y,x]" in fitted.quarantined[0].reason
    with pytest.raises(DataError, match=r"3 of 3 items.*data\.spacing"):
        scan([folder], Medical3D(), folder=cache)
    # One is said to be CT, the other is not: both come to one scale.
    assert fitted.settled["modality"][0] == "intensity" and fitted.domain.options.modality == "intensity"
    assert {row.channels for row in fitted.catalog.rows()} == {("intensity",)}


# ---------------------------------------------------------------------------------------------------------- real files
@pytest.mark.real
@pytest.mark.skipif(not REAL.exists(), reason="no real data beside the checkout")
def test_real_hippocampus_volumes(tmp_path):
    domain = Medical3D()
    found = scan([REAL / "hippocampus"], domain, folder=tmp_path / "cache")
    assert len(found.catalog) == 192 and len(found.masks) == 191 and not found.quarantined
    rows = list(found.catalog.rows())
    assert {row.spacing for row in rows} == {(1.0, 1.0, 1.0)}
    assert domain.settle(rows[:40])["spacing"][0] == "native"
    facts = {}
    for row in rows[::4]:
        prepared = domain.prepare(row)
        assert prepared.data.dtype == np.float16 and 0 <= prepared.data.min() < prepared.data.max() <= 1
        facts[row.id] = prepared.facts
    # Ranges differ by four orders of magnitude: percentiles bring all to one scale, the odd ones are named.
    assert max(f["max"] for f in facts.values()) > 1000 * min(f["max"] for f in facts.values())
    assert unlike_set(facts)
    row = next(row for row in rows if (REAL / "hippocampus" / "labels" / Path(row.path).name).exists())
    mask_path = REAL / "hippocampus" / "labels" / Path(row.path).name
    mask = domain.read_mask(row, mask_path)
    written = domain.write_prediction(row, mask, tmp_path / "out.nii.gz")
    import nibabel

    assert np.array_equal(np.asarray(nibabel.load(written).dataobj), np.asarray(nibabel.load(mask_path).dataobj))
    assert np.allclose(nibabel.load(written).affine, nibabel.load(row.path).affine)


@pytest.mark.real
@pytest.mark.skipif(not REAL.exists(), reason="no real data beside the checkout")
def test_real_dicom_series(tmp_path):
    domain = Medical3D()
    found = scan([REAL / "dicom"], domain, folder=tmp_path / "cache")
    rows = {Path(row.path).name: row for row in found.catalog.rows()}
    assert len(rows) == 3 and len({row.group for row in rows.values()}) == 1
    assert not any("PGBM" in str(row) or "Dumbledore" in str(row) for row in rows.values())
    first, second = rows["11-T1post-18670"], rows["37830-T2reg-78532"]
    assert first.shape == second.shape == (22, 320, 280) and first.spacing[0] == pytest.approx(6.5, abs=1e-3)
    prepared = domain.prepare(first)
    assert domain.prepare(second).data.shape == prepared.data.shape
    # SimpleITK reads the same series: same values at the same places.
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(first.path))
    image = reader.Execute()
    reference = SimpleITK.GetArrayFromImage(image)[:, ::-1, ::-1].astype(np.float32)
    low, high = prepared.facts["low"], prepared.facts["high"]
    assert np.abs(((reference - low) / (high - low)).clip(0, 1) - prepared.data[0]).max() < 1e-3
    affine = np.array(prepared.geometry["affine"])
    assert np.allclose(affine[:3, 3] * (-1, -1, 1), image.GetOrigin(), atol=1e-3)
