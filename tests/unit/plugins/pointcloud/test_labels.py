"""Labels of points follow them into their cells; instance IoU by hand."""

import numpy as np
import pytest

from ssl_platform.errors import DataError, Misfit, Unreadable
from ssl_platform.types import Window
from ssl_platform_pointcloud import writers
from ssl_platform_pointcloud.domain import PointCloud
from ssl_platform_pointcloud.labels import part_iou
from ssl_platform_pointcloud.options import PointCloudOptions

RNG = np.random.default_rng(0)
XYZ = RNG.uniform(-1, 1, (700, 3))
LABEL = (XYZ[:, 0] > 0).astype(np.uint8) + 2 * (XYZ[:, 2] > 0).astype(np.uint8)


@pytest.mark.parametrize("kind", ["scenes", "objects"])
@pytest.mark.parametrize("thin", [1, 3])
def test_labels_belong_to_the_points_that_are_read(tmp_path, kind, thin):
    from ssl_platform.data.cache import Cache

    xyz = XYZ.copy()
    xyz[::9] = np.nan
    path = writers.write_pcd(tmp_path / "x.pcd", xyz, {"label": LABEL, "intensity": XYZ[:, 1].astype(np.float32)})
    domain = PointCloud(PointCloudOptions(kind=kind, thin=thin, up="-y", scale="metric", colour_max=1.0))
    domain.cache = Cache(tmp_path / "cache")
    (row,) = domain.scan(path)
    mask = domain.read_mask(row, path)
    data = domain.read(row, Window((0,), row.shape))["main"].data
    assert mask.shape == row.shape and row.channels == ("x", "y", "z", "intensity")
    # Up is -y: what was z lies along -y or y, x stays; intensity names the point.
    source = {np.float32(y): label for y, label in zip(XYZ[:, 1].astype(np.float32), LABEL, strict=True)}
    assert [source[value] for value in data[:, 3]] == mask.tolist()


@pytest.mark.parametrize("thin", [1, 3])
def test_predictions_are_written_for_the_points_of_the_file(tmp_path, thin):
    path = writers.write_ply(tmp_path / "x.ply", XYZ + 500, {"label": LABEL})
    domain = PointCloud(PointCloudOptions(kind="objects", thin=thin, up="-y", unit="cm"))
    (row,) = domain.scan(path)
    assert row.parts["label"] == str(path)
    mask = domain.read_mask(row, path)
    stored = np.load(domain.write_prediction(row, mask, tmp_path / "out" / "x.ply"))
    np.testing.assert_allclose(stored["points"], (XYZ + 500).astype(np.float32))
    # Every thin-th point has its own label, the others that of the first in their cell.
    assert (stored["labels"] == LABEL).mean() == 1 if thin == 1 else (stored["labels"] == LABEL).mean() > 1 / 3
    again = PointCloud(PointCloudOptions(kind="objects", thin=thin, up="-y", unit="cm"))
    (other,) = again.scan(tmp_path / "out" / "x.npz")
    assert np.array_equal(again.read_mask(other, tmp_path / "out" / "x.npz"), mask)
    path.unlink()
    with pytest.raises(DataError, match=r"x\.ply is not there: predict from the source"):
        domain.write_prediction(row, mask, tmp_path / "out" / "x.ply")


def test_what_has_no_labels_is_named(tmp_path):
    domain = PointCloud(PointCloudOptions(kind="objects", thin=1))
    plain = writers.write_ply(tmp_path / "x.ply", XYZ)
    (row,) = domain.scan(plain)
    with pytest.raises(Unreadable, match=r"no field of labels .*data\.label_field"):
        domain.read_mask(row, plain)
    with pytest.raises(Misfit, match=r"600 points, x\.ply has 700"):
        domain.read_mask(row, writers.write_ply(tmp_path / "y.ply", XYZ[:600], {"label": LABEL[:600]}))
    with pytest.raises(Unreadable, match="holds fractions"):
        domain.read_mask(row, writers.write_ply(tmp_path / "z.ply", XYZ, {"label": XYZ[:, 0].astype(np.float32)}))


def test_iou_by_hand():
    target = np.array([0, 0, 0, 1, 1, 2, -1, -1])
    predicted = np.array([0, 0, 1, 1, 1, 0, 2, 2])
    found = part_iou(target, predicted, {0: "seat", 1: "leg", 2: "back", 3: "arm"})
    assert found["instance_iou_seat"] == pytest.approx(2 / 4) and found["instance_iou_leg"] == pytest.approx(2 / 3)
    assert found["instance_iou_back"] == 0 and found["instance_iou_arm"] == 1, "a part neither has was rightly left out"
    assert found["instance_miou"] == pytest.approx((0.5 + 2 / 3 + 0 + 1) / 4)
    assert np.isnan(part_iou(target, predicted, {})["instance_miou"])
