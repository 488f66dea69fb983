"""The domain through the platform's own scan, cache and batches; real clouds where they lie beside the checkout."""

import pickle

import numpy as np
import pytest
import torch

from ssl_platform.data.cache import Cache
from ssl_platform.data.collate import collate
from ssl_platform.data.scan import scan
from ssl_platform.errors import DataError
from ssl_platform.plan import Reads
from ssl_platform.types import Sample, Window
from ssl_platform_pointcloud import writers
from ssl_platform_pointcloud.domain import PointCloud
from ssl_platform_pointcloud.options import PointCloudOptions

RNG = np.random.default_rng(0)
XYZ = RNG.normal(size=(300, 3))
COLOURS = {name: RNG.integers(0, 256, 300).astype(np.uint8) for name in ("red", "green", "blue")}


@pytest.fixture
def mixed(tmp_path):
    """A set of clouds with and without colours, scanned."""
    (tmp_path / "in").mkdir()
    writers.write_ply(tmp_path / "in" / "plain.ply", XYZ)
    writers.write_ply(tmp_path / "in" / "colour.ply", XYZ, COLOURS)
    writers.write_text(tmp_path / "in" / "grey.xyz", np.c_[XYZ, XYZ[:, 0]], header=False)
    wanted = PointCloud(PointCloudOptions(features=["colour", "intensity"]))
    found = scan([tmp_path / "in"], wanted, folder=tmp_path / "cache", workers=1)
    found.domain.cache = Cache(tmp_path / "cache")
    return found


def test_unlike_channels_share_a_batch(mixed):
    rows = list(mixed.catalog.rows())
    samples = [Sample(i, (mixed.domain.read(row, Window((0,), (128,))),)) for i, row in enumerate(rows)]
    batch = collate(samples, mixed.domain.layout, mixed.catalog.channels).reads[0]["main"]
    assert batch.channels == ("x", "y", "z", "red", "green", "blue", "intensity")
    by_name = {row.id: batch.channel_valid[i].tolist() for i, row in enumerate(rows)}
    assert by_name["plain.ply"] == [True] * 3 + [False] * 4
    assert by_name["colour.ply"] == [True] * 6 + [False] and by_name["grey.xyz"] == [True] * 3 + [False] * 3 + [True]


def test_reads_that_overlap_share_points(mixed):
    row = next(row for row in mixed.catalog.rows() if row.id == "plain.ply")
    pairs = mixed.domain.related(row, Reads(2, "overlap"), (128,), RNG.random((2, 5)))
    first, second = ({tuple(p) for p in mixed.domain.read(*pair)["main"].data.tolist()} for pair in pairs)
    assert len(first & second) >= 64
    with pytest.raises(DataError, match="offers same, overlap"):
        mixed.domain.related(row, Reads(2, "time"), (128,), RNG.random((2, 5)))


def test_a_copy_in_another_process_reads_the_same(mixed):
    row = mixed.catalog.row(0)
    copy = pickle.loads(pickle.dumps(mixed.domain))
    assert np.array_equal(
        copy.read(row, Window((5,), (50,), 9))["main"].data, mixed.domain.read(row, Window((5,), (50,), 9))["main"].data
    )


def test_options_that_do_not_change_the_stored_item_keep_its_entry():
    key = PointCloud(PointCloudOptions()).prepare_key()
    assert PointCloud(PointCloudOptions(label_field="part", min_points=40)).prepare_key() == key
    for changed in ({"thin": 2}, {"up": "y"}, {"colour_max": 1.0}, {"kind": "scenes"}, {"features": "colour"}):
        assert PointCloud(PointCloudOptions(**changed)).prepare_key() != key


def test_manifest_columns_overrule_the_files(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        writers.write_ply(tmp_path / "in" / f"{number}.ply", XYZ * [1, 2, 3])
    told = [(1, {"unit": "mm", "up": "x"})]
    options = PointCloudOptions(scale="metric", kind="scenes")
    found = scan([tmp_path / "in"], PointCloud(options), folder=tmp_path / "c", overrides=lambda _: told)
    plain, changed = (found.domain.prepare(found.catalog.row(i)) for i in (0, 1))
    extent = np.ptp(np.asarray(plain.data), axis=1)
    assert np.allclose(np.ptp(np.asarray(changed.data), axis=1), extent[[1, 2, 0]] / 1000, rtol=1e-5)


def test_odd_items_are_named(mixed):
    row = mixed.catalog.row(0)
    assert "80% of its points are copies" in mixed.domain.checks(row, {"repeated": 0.8})
    assert mixed.domain.checks(row, {"repeated": 0.1}) is None
    facts = {str(i): {"extent": 2.0 + i / 10} for i in range(5)} | {"mm": {"extent": 2000.0}}
    assert PointCloud(PointCloudOptions(scale="unit")).unlike(facts) == {}
    odd = PointCloud(PointCloudOptions(scale="metric")).unlike(facts)
    assert list(odd) == ["mm"] and "another unit? data.unit" in odd["mm"]


def test_text_that_is_no_cloud_is_no_candidate(tmp_path):
    (tmp_path / "readme.txt").write_text("A set of chairs.\n")
    (tmp_path / "labels.csv").write_text("path,label\nx.ply,chair\n")
    writers.write_text(tmp_path / "cloud.txt", XYZ)
    assert [path.name for path in PointCloud().find(tmp_path)] == ["cloud.txt"]


def test_mae_learns_chamfer_targets_on_unlike_clouds(mixed):
    """A few steps on the set: the loss falls, and only through the masked groups' points."""
    from ssl_platform.config.schema import ViewsConfig
    from ssl_platform.nn.backbones import build
    from ssl_platform.objectives.load import load_objective
    from ssl_platform.views.maker import ViewMaker

    rows = list(mixed.catalog.rows())
    kind = load_objective("mae")
    objective = kind(kind.Config(decoder_dim=32, decoder_depth=1, decoder_heads=2))
    channels = mixed.catalog.channels
    torch.manual_seed(0)
    net = build("vit-pico", mixed.domain.layout, channels, (256,), (16,), dim=48, depth=2, heads=3)
    objective.build(net, {})
    maker = ViewMaker(
        mixed.domain.layout, kind.plan(objective.config), ViewsConfig(rotate=180.0), mixed.domain.views(), window=(256,)
    )
    optimiser = torch.optim.AdamW([*net.parameters(), *objective.parameters()], lr=3e-3)
    losses = []
    for step in range(25):
        positions = range(6 * step, 6 * step + 6)
        samples = [
            Sample(p % 3, (mixed.domain.read(rows[p % 3], Window((p % 40,), (256,), p)),), position=p)
            for p in positions
        ]
        loss = objective(net, maker(collate(samples, mixed.domain.layout, channels))).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all() and np.mean(losses[-5:]) < 0.7 * losses[0]
    assert np.mean(losses[-5:]) < kind(kind.Config()).trivial(6), "better than every point at its centre"


# ---------------------------------------------------------------------------------------------------------- real files
@pytest.mark.real
def test_real_depth_frames(real_data, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("learn0", "learn11", "learn14"):
        (folder / f"{name}.pcd").symlink_to(real_data / "pointcloud" / "mosd" / "learn" / f"{name}.pcd")
    found = scan([folder], PointCloud(), folder=tmp_path / "cache")
    settled = {name: value for name, (value, _) in found.settled.items()}
    assert settled["kind"] == "scenes" and settled["up"] == "-y" and settled["label_field"] == "label"
    found.domain.cache = Cache(tmp_path / "cache")
    row = found.catalog.row(0)
    assert 0.3 < float(row.meta["dropped"]) / 307_200 < 0.5, "about 40 % of the pixels saw nothing"
    part = found.domain.read(row, Window((4000,), (1024,), 3))["main"]
    assert part.channels == ("x", "y", "z", "red", "green", "blue") and np.isfinite(part.data).all()
    whole = found.domain.read(row, Window((0,), row.shape))["main"].data
    assert np.ptp(part.data[:, :3], axis=0).prod() < 0.3 * np.ptp(whole[:, :3], axis=0).prod()
    labels = found.domain.read_mask(row, folder / "learn0.pcd")
    assert labels.shape == row.shape and set(np.unique(labels)) - {0, 1} and (labels == 1).mean() > 0.1
    # Objects (labels from 20 on) stand on the support: with up settled they lie above it.
    assert whole[labels >= 20, 2].mean() > whole[labels == 1, 2].mean()
