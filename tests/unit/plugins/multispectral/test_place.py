"""Where windows lie: with data, on ground drawn once, and again at another time."""

import itertools

import numpy as np
import pytest

from ssl_platform.data.reader import Reader
from ssl_platform.data.scan import scan
from ssl_platform.errors import DataError
from ssl_platform.plan import Reads
from ssl_platform.types import Window
from ssl_platform_multispectral.domain import Multispectral
from ssl_platform_multispectral.ground import free_starts
from ssl_platform_multispectral.options import MultispectralOptions
from ssl_platform_multispectral.place import Neighbourhood, at_ground
from ssl_platform_multispectral.read import read, valid_share
from ssl_platform_multispectral.testing import write_raster

RNG = np.random.default_rng(0)
NAMES = ("B02", "B03", "B04")


def write(path, corner=(500_000, 5_000_000), time="2023-05-01T10:00:00", data=None, edge=100, **profile):
    values = RNG.integers(1200, 4000, (3, edge, edge)).astype(np.uint16) if data is None else data
    tags = {"SENSOR": "Sentinel-2", "PROCESSING_BASELINE": "02.09", "DATETIME": time}
    return write_raster(path, values, names=NAMES, tags=tags, corner=corner, **profile)


def look(folder, **options):
    return scan([folder], Multispectral(MultispectralOptions(**options)), folder=folder.parent / "cache")


def windows(domain, row, count=60, size=(20, 20)):
    uniforms = np.random.default_rng(1).random((count, 4))
    return [domain.place(row, size, u) for u in uniforms]


def test_windows_hold_data_where_there_is_any(tmp_path):
    data = RNG.integers(1200, 4000, (3, 100, 100)).astype(np.uint16)
    data[:, :, :60] = 0  # beyond the swath
    write(tmp_path / "in/x.tif", data=data)
    found = look(tmp_path / "in")
    row = found.catalog.row(0)
    shares = [valid_share(row, window) for window in windows(found.domain, row)]
    assert min(shares) >= 0.5
    anywhere = look(tmp_path / "in", min_valid=0.0)
    assert np.mean([valid_share(row, window) < 0.5 for window in windows(anywhere.domain, row)]) > 0.3
    assert windows(found.domain, row) == windows(found.domain, row)


def test_a_scene_with_hardly_any_data_still_gives_its_best_window(tmp_path):
    data = np.zeros((3, 100, 100), np.uint16)
    data[:, 50, 50] = 2000
    write(tmp_path / "in/x.tif", data=data)
    found = look(tmp_path / "in")
    assert len(windows(found.domain, found.catalog.row(0), count=4)) == 4


def test_ground_that_two_scenes_of_a_day_share_is_drawn_from_one(tmp_path):
    write(tmp_path / "in/a.tif")
    write(tmp_path / "in/b.tif", corner=(500_600, 5_000_000))  # 40 of its 100 columns are also in a
    write(tmp_path / "in/c.tif", time="2023-08-01T10:00:00")  # the same place, another day
    found = look(tmp_path / "in")
    domain, (a, b, c) = found.domain.among(found.catalog), found.catalog.rows()
    centres = [window.start[1] + 10 for window in windows(domain, b, size=(10, 20))]
    assert min(centres) >= 40 and max(centres) > 80
    for row in (a, c):
        assert min(window.start[1] for window in windows(domain, row)) < 20
    both = look(tmp_path / "in", revisit=True)
    assert min(w.start[1] for w in windows(both.domain.among(both.catalog), b)) < 20
    # Read alone, the second scene has all its ground to itself.
    alone = found.domain.among(found.catalog.select([1]))
    assert min(window.start[1] for window in windows(alone, b)) < 20


def test_every_free_place_is_drawn_and_no_other(tmp_path):
    """Starts left free by two boxes, counted cell by cell."""
    write(tmp_path / "in/a.tif", edge=12)
    row = look(tmp_path / "in").catalog.row(0)
    taken = [(500_000.0, 4_999_950.0, 500_060.0, 5_000_000.0), (500_040.0, 4_999_880.0, 500_080.0, 4_999_970.0)]
    free = free_starts(row, (3, 4), taken)
    wanted = set()
    for y, x in itertools.product(range(10), range(9)):
        east, north = 500_000 + 10 * (x + 2), 5_000_000 - 10 * (y + 1.5)
        if not any(left <= east < right and bottom < north <= top for left, bottom, right, top in taken):
            wanted.add((y, x))
    assert len(free) == len(wanted)
    drawn = [free.at((n + 0.5) / len(free), (3, 4)).start for n in range(len(free))]
    assert len(drawn) == len(set(drawn)) and set(drawn) == wanted
    assert len(free_starts(row, (3, 4), [(0.0, 0.0, 1e6, 1e7)])) == 0


def test_other_bands_of_a_scene_take_no_ground_and_copies_are_named(tmp_path):
    write(tmp_path / "in/a.tif")
    write(tmp_path / "in/copy.tif")
    write_raster(
        tmp_path / "in/swir.tif",
        RNG.integers(1200, 4000, (1, 100, 100)).astype(np.uint16),
        names=("B11",),
        tags={"SENSOR": "Sentinel-2", "PROCESSING_BASELINE": "02.09", "DATETIME": "2023-05-01"},
    )
    found = look(tmp_path / "in")
    assert set(Neighbourhood(found.catalog).taken) == {"copy.tif"}
    value, why = found.settled["revisit"]
    assert value is False and why.startswith(
        "1 scene lies wholly inside others of the same day and bands, such as copy"
    )
    copy = next(row for row in found.catalog.rows() if row.id == "copy.tif")
    starts = [window.start for window in windows(found.domain.among(found.catalog), copy)]
    assert min(y for y, _ in starts) < 20 and max(x for _, x in starts) > 60
    assert "revisit" not in look(tmp_path / "in", revisit=True).settled


def test_scenes_in_two_coordinate_systems_share_ground_too(tmp_path):
    from rasterio.warp import transform

    write(tmp_path / "in/a.tif", corner=(300_000, 5_000_000))
    (x,), (y,) = transform("EPSG:32633", "EPSG:32632", [300_000], [5_000_000])
    write(tmp_path / "in/b.tif", corner=(x, y), crs="EPSG:32632")
    found = look(tmp_path / "in")
    near = Neighbourhood(found.catalog)
    assert [len(near.taken.get(row.id, ())) for row in found.catalog.rows()] == [0, 1]


def test_the_same_place_at_another_time(tmp_path):
    pattern = RNG.integers(1200, 4000, (3, 140, 140)).astype(np.uint16)
    for n, (dx, dy) in enumerate(((0, 0), (7, 3), (4, 11))):
        corner = (500_000 + 10 * dx, 5_000_000 - 10 * dy)
        write(tmp_path / f"in/{n}.tif", corner, f"2023-0{n + 3}-01", pattern[:, dy : dy + 100, dx : dx + 100])
    write(tmp_path / "in/far.tif", corner=(700_000, 5_000_000))
    found = look(tmp_path / "in")
    reader = Reader(found.catalog, found.domain, Reads(2, "place"), (24, 24), seed=0)
    same = []
    for position in range(40):
        first, second = (read["main"].data for read in reader.sample(position, position % 3, 0).reads)
        same.append(np.array_equal(first, second))
    assert np.mean(same) > 0.5  # the rest lies where the partner ends, and was moved inside
    row = found.catalog.row(0)
    near = Neighbourhood(found.catalog)
    other, window = near.elsewhen(row, Window((40, 40), (24, 24)), 1, np.array([0.0]), (24, 24))[0]
    assert other.id != row.id
    assert np.array_equal(read(row, Window((40, 40), (24, 24))).data, read(other, window).data)
    far = reader.sample(0, 3, 0).reads  # seen once: the same window again
    assert np.array_equal(far[0]["main"].data, far[1]["main"].data)


def test_season_pairs_need_places_seen_twice(tmp_path):
    write(tmp_path / "in/a.tif")
    write(tmp_path / "in/b.tif", corner=(700_000, 5_000_000))
    found = look(tmp_path / "in")
    with pytest.raises(DataError, match="need places seen twice"):
        Reader(found.catalog, found.domain, Reads(2, "place"), (24, 24), seed=0).sample(0, 0, 0)


def test_partners_come_from_the_items_that_are_read(tmp_path):
    """A test scene is never the partner of a training scene: neighbourhoods are those of the catalog given."""
    for n in range(3):
        write(tmp_path / f"in/{n}.tif", time=f"2023-0{n + 3}-01")
    found = look(tmp_path / "in")
    part = found.catalog.select([0, 2])
    near = Neighbourhood(part)
    names = {near.elsewhen(part.row(0), Window((0, 0), (8, 8)), 1, np.array([u]), (8, 8))[0][0].id for u in (0.0, 0.99)}
    assert names == {"2.tif"}


def test_a_window_around_a_point_stays_inside(tmp_path):
    write(tmp_path / "in/x.tif")
    row = look(tmp_path / "in").catalog.row(0)
    assert at_ground(row, 500_500, 4_999_500, (20, 20)) == Window((40, 40), (20, 20))
    assert at_ground(row, 500_000, 5_000_000, (20, 20)).start == (0, 0)
    assert at_ground(row, 501_000, 4_999_000, (20, 20)).start == (80, 80)
    assert at_ground(row, 500_500, 4_999_500, (120, 20)).start == (-10, 40)
