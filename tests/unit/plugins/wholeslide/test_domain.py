"""The domain through the platform's own scan, windows and loader; real slides where they lie beside the checkout."""

import csv
import pickle

import numpy as np
import pytest
from PIL import Image

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data import labels
from ssl_platform.data.loader import Loader
from ssl_platform.data.manifest import read_manifest
from ssl_platform.data.scan import scan
from ssl_platform.data.sequential import Sequential
from ssl_platform.errors import DataError, Unreadable
from ssl_platform.plan import Plan, Reads
from ssl_platform.types import Window
from ssl_platform_wholeslide.testing import tissue_picture, write_dicom, write_ome, write_svs
from ssl_platform_wholeslide.writing import write_tiff

TISSUE = (slice(128, 384), slice(160, 480))  # of the picture


@pytest.fixture
def opened(domain_of, slide_file):
    domain = domain_of(mpp=0.5)
    return domain, domain.fit(next(iter(domain.scan(slide_file))))


def test_a_window_is_rgb_at_the_scale_asked_for(opened, picture, domain_of, slide_file):
    domain, row = opened
    assert row.shape == (512, 640) and row.spacing == (0.5, 0.5) and row.channels == ("red", "green", "blue")
    part = domain.read(row, Window((140, 170), (64, 96)))["main"]
    assert part.data.shape == (3, 64, 96) and part.data.dtype == np.uint8 and part.valid is None
    assert np.abs(part.data.transpose(1, 2, 0) - picture[140:204, 170:266].astype(float)).mean() < 6
    assert part.spacing == (0.5, 0.5) and part.origin == (70.0, 85.0)
    coarse = domain_of(mpp=1.6)
    row = coarse.fit(row)
    assert row.shape == (160, 200) and row.spacing == (1.6, 1.6)
    whole = coarse.read(row, Window((0, 0), (160, 200)))["main"].data.transpose(1, 2, 0)
    expected = np.asarray(Image.fromarray(picture).resize((200, 160), Image.Resampling.BILINEAR))
    assert np.abs(whole.astype(float) - expected).mean() < 4


def test_beyond_the_slide_is_white_and_invalid(opened):
    domain, row = opened
    part = domain.read(row, Window((-10, 620), (40, 40)))["main"]
    assert part.valid[10:, :20].all() and part.valid.sum() == 30 * 20
    assert (part.data[:, ~part.valid] == 255).all()
    part = domain.read(row, Window((900, 900), (8, 8)))["main"]
    assert not part.valid.any()


def test_windows_lie_on_tissue_anywhere_on_it(domain_of, slide_file):
    domain = domain_of(mpp=0.5, align=False)
    row = domain.fit(next(iter(domain.scan(slide_file))))
    rng, found = np.random.default_rng(0), []
    tissue = np.zeros(row.shape, bool)
    tissue[TISSUE] = True
    for _ in range(300):
        window = domain.place(row, (64, 64), rng.random(4))
        y, x = window.start
        assert 0 <= y <= 448 and 0 <= x <= 576
        assert tissue[y : y + 64, x : x + 64].mean() > 0.6  # 0.7, less what a place of the overview, 4 cells, blurs
        found.append(window.start)
    found = np.array(found)
    assert (found.min(0) < (124, 150)).all() and (found.max(0) > (328, 420)).all()
    assert len(set((found[:, 0] % 4).tolist())) == 4  # not on a raster
    same = [domain.place(row, (64, 64), np.full(4, 0.3)) for _ in range(2)]
    assert same[0] == same[1]


def test_aligned_windows_are_on_tissue_too_and_most_cross_no_tile(opened):
    domain, row = opened
    assert (row.meta["tile_y"], row.meta["tile_x"]) == (256, 256)
    tissue = np.zeros(row.shape, bool)
    tissue[TISSUE] = True
    crossed = []
    for uniforms in np.random.default_rng(0).random((200, 4)):
        y, x = domain.place(row, (64, 64), uniforms).start
        assert 0 <= y <= 448 and 0 <= x <= 576 and tissue[y : y + 64, x : x + 64].mean() > 0.6
        crossed.append(y // 256 != (y + 63) // 256 or x // 256 != (x + 63) // 256)
    assert np.mean(crossed) < 0.2


def test_without_tissue_detection_windows_lie_anywhere(domain_of, slide_file):
    domain = domain_of(mpp=0.5, tissue="none")
    row = domain.fit(next(iter(domain.scan(slide_file))))
    starts = np.array([domain.place(row, (64, 64), u).start for u in np.random.default_rng(0).random((200, 4))])
    assert starts.min() < 15 and starts[:, 1].max() > 560
    assert len(domain.cover(row, (64, 64))) == 64  # data.tiles of the 80 tiles


def test_related_windows_share_half_and_do_not_leave_the_slide(opened):
    domain, row = opened
    uniforms = np.random.default_rng(1).random((2, 4))
    (_, first), (_, second) = domain.related(row, Reads(2, "overlap"), (64, 64), uniforms)
    assert max(abs(a - b) for a, b in zip(first.start, second.start, strict=True)) <= 32
    with pytest.raises(DataError, match="no windows related by 'time'"):
        domain.related(row, Reads(2, "time"), (64, 64), uniforms)


def test_tiles_that_stand_for_a_slide_are_tissue_and_few(opened, domain_of):
    domain, row = opened
    tiles = domain.cover(row, (32, 32))
    assert 60 <= len(tiles) == len({tile.start for tile in tiles}) <= 64
    tissue = np.zeros(row.shape, bool)
    tissue[TISSUE] = True
    for tile in tiles:
        y, x = tile.start
        assert tissue[y : y + 32, x : x + 32].mean() > 0.6
    assert [tile.start for tile in domain.cover(row, (32, 32))] == [tile.start for tile in tiles]
    assert len(domain_of(mpp=0.5, tiles=10).cover(row, (32, 32))) == 10
    (middle,) = domain.cover(row, (64, 64), whole=False)
    assert np.abs(np.array(middle.start) + 32 - (256, 320)).max() <= 64
    (only,) = domain.cover(row, (600, 700))
    assert only.size == (600, 700)


def test_own_tissue_masks_by_manifest_column(tmp_path, domain_of, picture):
    write_tiff(tmp_path / "slides" / "a.tif", picture, 0.5)
    mask = np.zeros((64, 80), np.uint8)
    mask[16:32, 20:40] = 255
    (tmp_path / "own").mkdir()
    Image.fromarray(mask).save(tmp_path / "own" / "a.png")
    (tmp_path / "m.csv").write_text("path,tissue_mask\nslides/a.tif,own/a.png\n")
    found = through_manifest(tmp_path, domain_of())
    row = found.catalog.row(0)
    for uniforms in np.random.default_rng(0).random((50, 4)):
        y, x = found.domain.place(row, (64, 64), uniforms).start
        assert 104 < y < 216 and 136 < x < 280
    (tmp_path / "m.csv").write_text("path,tissue_mask\nslides/a.tif,own/b.png\n")
    with pytest.raises(DataError, match=r"tissue_mask own/b.png is not there"):
        through_manifest(tmp_path, domain_of())


def through_manifest(folder, domain):
    """What the commands do with `--manifest m.csv`."""
    manifest = read_manifest(folder / "m.csv", LabelsConfig(), declared=domain.columns)

    def overrides(catalog):
        rows = list(catalog.rows())
        return labels.resolve(rows, LabelsConfig(), manifest=manifest.claims, domain=domain).overrides(domain)

    where = domain.cache.folder
    found = scan([folder / "m.csv"], domain, folder=where, items=manifest.items, overrides=overrides)
    found.domain.cache = domain.cache
    return found


def test_a_manifest_says_the_scale_of_a_slide_that_stores_none(tmp_path, domain_of, picture):
    write_svs(tmp_path / "a.svs", picture, None)
    write_svs(tmp_path / "b.svs", picture, 0.25)
    (tmp_path / "m.csv").write_text("path,mpp\na.svs,0.25\nb.svs,\n")
    found = through_manifest(tmp_path, domain_of())
    assert {row.shape for row in found.catalog.rows()} == {(256, 320)} and found.settled["mpp"][0] == 0.5


def test_a_mixed_folder_is_one_set(tmp_path, domain_of, picture):
    """Every container and scale, masks set aside, the bad ones named: a run goes on."""
    folder = tmp_path / "in"
    large = np.asarray(Image.fromarray(picture).resize((1280, 1024)))
    write_svs(folder / "a.svs", large, 0.25)
    write_tiff(folder / "b.tif", picture, 0.5)
    write_ome(folder / "c.ome.tif", picture, 0.5)
    write_dicom(folder / "d", picture, 0.5)
    write_svs(folder / "bad.svs", picture, None)
    write_tiff(folder / "b_mask.tif", picture, 0.5)
    found = scan([folder], domain_of(), folder=tmp_path / "cache", max_bad_fraction=0.5)
    assert sorted(row.id for row in found.catalog.rows()) == ["a.svs", "b.tif", "c.ome.tif", "d"]
    assert {row.shape for row in found.catalog.rows()} == {(512, 640)}
    assert [name.rpartition("/")[2] for name in found.masks] == ["b_mask.tif"]
    (bad,) = found.quarantined
    assert bad.path.endswith("bad.svs") and "objective 20x, often 0.5" in bad.reason
    found.domain.cache = domain_of().cache
    parts = [found.domain.read(row, Window((200, 200), (64, 64)))["main"].data for row in found.catalog.rows()]
    assert max(np.abs(part.astype(float) - parts[1]).mean() for part in parts) < 8


def test_a_second_scan_reads_nothing_again(tmp_path, domain_of, picture, monkeypatch):
    from ssl_platform_wholeslide import overview

    write_tiff(tmp_path / "in" / "a.tif", picture, 0.5)
    domain = domain_of()
    scan([tmp_path / "in"], domain, folder=domain.cache.folder)
    monkeypatch.setattr(overview, "look", lambda _: pytest.fail("looked at again"))
    again = scan([tmp_path / "in"], domain_of(), folder=domain.cache.folder)
    assert again.reused == 1 and again.read == 0 and len(again.catalog) == 1


@pytest.mark.parametrize(("workers", "method"), [(2, "fork"), pytest.param(2, "spawn", marks=pytest.mark.slow)])
def test_windows_do_not_depend_on_workers(tmp_path, domain_of, picture, workers, method):
    for i in range(3):
        write_tiff(tmp_path / "in" / f"{i}.tif", tissue_picture(256, 256, i), 0.5)
    domain = domain_of(open_slides=2)
    found = scan([tmp_path / "in"], domain, folder=tmp_path / "cache")
    found.domain.cache = domain.cache

    def take(workers, method):
        loader = Loader(
            found.catalog,
            found.domain,
            Plan.single(),
            window=(32, 32),
            batch_size=4,
            workers=workers,
            start_method=method,
        )
        batches = iter(loader)
        return np.concatenate([next(batches).reads[0]["main"].data.numpy() for _ in range(2)])

    assert np.array_equal(take(workers, method), take(0, None))
    assert pickle.loads(pickle.dumps(found.domain)).options == found.domain.options


def test_evaluation_reads_the_tiles_that_stand_for_a_slide(opened, tmp_path, slide_file):
    domain, _ = opened
    found = scan([slide_file], domain, folder=tmp_path / "cache")
    found.domain.cache = domain.cache
    whole = Sequential(found.catalog, found.domain, window=(64, 64), batch_size=100, windows="grid")
    (batch,) = whole
    assert len(batch) == whole.total == len(found.domain.cover(found.catalog.row(0), (64, 64)))
    assert batch.reads[0]["main"].data.float().std(dim=(1, 2, 3)).min() > 5  # no glass
    assert len(next(iter(Sequential(found.catalog, found.domain, window=(64, 64), batch_size=9)))) == 1


def test_what_is_damaged_inside_is_found_before_a_run_and_costs_only_itself(tmp_path, domain_of, picture):
    good = write_tiff(tmp_path / "in" / "good.tif", picture, 0.5, (1, 4), tile=128)
    bad = tmp_path / "in" / "bad.tif"
    raw = bytearray(good.read_bytes())
    at = raw.find(b"\xff\xd8\xff", len(raw) // 3)  # a tile of the finest level
    raw[at : at + 3000] = bytes(3000)
    bad.write_bytes(raw)
    domain = domain_of()
    found = scan([tmp_path / "in"], domain, folder=tmp_path / "cache")
    found.domain.cache = domain.cache
    rows = {row.id: row for row in found.catalog.rows()}
    assert found.domain.verify(rows["good.tif"]) == {}
    failed = 0
    for window in found.domain.cover(rows["bad.tif"], (64, 64)):
        try:
            found.domain.read(rows["bad.tif"], window)
        except Unreadable as error:
            failed += "decoded" in error.why
    assert failed > 0
    found.domain.read(rows["good.tif"], Window((200, 200), (64, 64)))


def test_zeros_are_refused_when_read(opened, monkeypatch):
    from ssl_platform_wholeslide.slides import Region
    from ssl_platform_wholeslide.slides.openslide_reader import OpenSlideReader

    domain, row = opened
    monkeypatch.setattr(
        OpenSlideReader, "read", lambda self, level, top, left, h, w: Region(np.zeros((h, w, 3), np.uint8))
    )
    with pytest.raises(Unreadable, match="every pixel of its rows 0 to 64, columns 0 to 64 is zero"):
        domain.read(row, Window((0, 0), (64, 64)))


def test_a_slide_that_changed_is_not_read(tmp_path, domain_of, picture):
    path = write_tiff(tmp_path / "a.tif", picture, 0.5)
    domain = domain_of(mpp=0.5)
    row = domain.fit(next(iter(domain.scan(path))))
    write_tiff(path, picture[:256], 0.5)
    with pytest.raises(Unreadable, match="no longer those that were scanned"):
        domain.verify(row)


def test_a_picture_is_what_the_microscope_shows(opened):
    domain, row = opened
    part = domain.read(row, Window((140, 170), (32, 48)))["main"]
    shown = domain.render(part.data.astype(np.float32), part.channels)
    assert shown.shape == (32, 48, 3) and shown.dtype == np.uint8
    assert np.array_equal(shown, part.data.transpose(1, 2, 0))
    wild = np.full((3, 2, 2), np.nan, np.float32)
    wild[0, 0] = (-50, 300)
    assert domain.render(wild, part.channels)[0, :, 0].tolist() == [0, 255]


# --------------------------------------------------------------------------------------------------------- real files
@pytest.mark.real
def test_real_slides(real_data, tmp_path, domain_of):
    domain = domain_of()
    found = scan([real_data / "wholeslide"], domain, folder=tmp_path / "cache", max_bad_fraction=0.9)
    (row,) = found.catalog.rows()
    assert row.id == "cmu-1-small-region.svs" and row.shape == (2967, 2220) and row.spacing == (0.499, 0.499)
    why = {item.path.rpartition("/")[2]: item.reason for item in found.quarantined}
    assert "no TIFF file although its name says so" in why["broken.svs"]
    assert "data.missing_mpp=NUMBER" in why["kidney-48-5.tif"]
    found.domain.cache = domain.cache
    means = [
        found.domain.read(row, found.domain.place(row, (224, 224), u))["main"].data.mean()
        for u in np.random.default_rng(0).random((20, 4))
    ]
    assert max(means) < 225  # tissue, not glass
    other = domain_of(missing_mpp=0.5)
    found = scan([real_data / "wholeslide"], other, folder=tmp_path / "cache", max_bad_fraction=0.5)
    rows = {row.id: row for row in found.catalog.rows()}
    assert rows["kidney-48-5.tif"].shape == (901, 1493) and rows["kidney-48-5.tif"].meta["reader"] == "tiffslide"


@pytest.mark.real
def test_real_pixels_are_those_of_openslide(real_data, domain_of):
    import openslide

    domain = domain_of()
    path = real_data / "wholeslide" / "cmu-1-small-region.svs"
    row = domain.fit(next(iter(domain.scan(path))))
    part = domain.read(row, Window((1000, 500), (256, 256)))["main"]
    theirs = np.asarray(openslide.OpenSlide(path).read_region((500, 1000), 0, (256, 256)))[..., :3]
    assert np.array_equal(part.data.transpose(1, 2, 0), theirs)


def test_the_sample_set_is_the_domains(domain_of, tmp_path, monkeypatch):
    from ssl_platform_wholeslide import phantom

    write = phantom.write_sample_set
    monkeypatch.setattr(phantom, "write_sample_set", lambda folder, seed: write(folder, seed, items=8))
    manifest = domain_of().sample_data(tmp_path / "set")
    assert len(list(csv.DictReader(manifest.open()))) == 8
