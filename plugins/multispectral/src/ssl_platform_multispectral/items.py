"""From files to catalog rows: the bands of a scene put together, large scenes cut into items."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssl_platform.data.fingerprint import fingerprint
from ssl_platform.errors import Aside, Unreadable
from ssl_platform.types import Row
from ssl_platform_multispectral.find import SUFFIXES, band_file, bands_by_scene, beside, is_product, way_out
from ssl_platform_multispectral.grid import place_of, spacing_of
from ssl_platform_multispectral.header import Header, read_header
from ssl_platform_multispectral.options import MultispectralOptions
from ssl_platform_multispectral.products import Product, from_metadata, from_name
from ssl_platform_multispectral.scene import SCENE, Scene, StoredBand, dump

TILED_ABOVE = 4096  # cells of the longer side
TILE = 2048
_APART = 0.5  # files of one scene may lie this part of the coarser cell apart


def rows_of(path: Path, options: MultispectralOptions) -> Iterator[Row]:
    """Rows of a file, of a product folder, or of a folder with one file a band; bands are named later, by `fit`.

    Raises:
        Aside: the file is no image but a map of classes or a quality layer.
        Unreadable: nothing (or not all) of it can be used.
    """
    if path.is_file():
        refused = way_out(path.name)
        if refused:
            raise Unreadable(refused)
        header = read_header(path)
        if beside(path):
            raise Aside("named as quality or land-cover layers")
        if header.classes:
            raise Aside(f"looking like label rasters (one nameless band of {header.classes} whole numbers)")
        yield from _items(_scene([header], header.product), path, path.stem, options)
        return
    failed: list[str] = []
    for name, files, metadata in _scenes(path):
        try:
            headers = [read_header(file, number) for number, file in enumerate(files)]
            product = from_metadata(metadata).over(from_name(path if is_product(path) else files[0]))
            yield from _items(_scene(headers, product), path, name, options)
        except Unreadable as error:
            failed.append(f"{name}: {error.why}")
    if failed:
        raise Unreadable("; ".join(failed))


def _scenes(folder: Path) -> Iterator[tuple[str, list[Path], list[Path]]]:
    """Name, band files and metadata files of each scene of a folder."""
    deep = is_product(folder)
    files = sorted(file for file in (folder.rglob("*") if deep else folder.iterdir()) if file.is_file())
    metadata = [file for file in files if file.suffix == ".xml" or file.name.endswith("_MTL.txt")]
    rasters = [f for f in files if f.suffix.lower() in SUFFIXES and band_file(f.name) and "QI_DATA" not in f.parts]
    if deep:
        bands = _finest(rasters)
        if not bands:
            raise Unreadable("a product folder without band files: was it unpacked completely?")
        yield folder.stem, bands, metadata
        return
    for scene, names in bands_by_scene(file.name for file in rasters).items():
        own = [file for file in metadata if len(metadata) == 1 or file.name.startswith(scene)]
        yield scene, _finest([folder / name for name in names]), own


def _finest(files: Sequence[Path]) -> list[Path]:
    """One file a band: of several resolutions (`_10m`, `_20m`) the finest."""
    chosen: dict[str, tuple[int, Path]] = {}
    for file in files:
        found = band_file(file.name)
        assert found is not None
        metres = int((found["metres"] or "_0m")[1:-1])
        band = found["band"].upper()
        if band not in chosen or metres < chosen[band][0]:
            chosen[band] = (metres, file)
    return [file for _, (_, file) in sorted(chosen.items())]


def _scene(headers: Sequence[Header], product: Product) -> Scene:
    """One scene of the files that hold its bands, on the grid of the finest."""
    finest = min(headers, key=lambda header: math.hypot(header.transform[0], header.transform[3]))
    for header in headers:
        _check_same_ground(header, finest)
    for header in headers:
        product = product.over(header.product)
    bands = [_stated(band, product) for header in headers for band in header.bands]
    return Scene(
        files=tuple(str(header.path.absolute()) for header in headers),
        bands=tuple(bands),
        height=finest.height,
        width=finest.width,
        transform=finest.transform,
        crs=finest.crs,
        warped=any(header.warped for header in headers),
        masked=any(header.masked for header in headers),
        sensor="generic" if not product.sensor and any(h.colours for h in headers) else product.sensor,
        level=product.level,
        collection=product.collection,
        baseline=product.baseline,
        time=product.time,
        box=(0, 0, finest.height, finest.width),
    )


def _stated(band: StoredBand, product: Product) -> StoredBand:
    """The band with the metadata file's factors where the raster states none."""
    told = product.scale(band.name.upper().removeprefix("SR_").removeprefix("ST_"))
    return band if told is None or band.scale is not None else replace(band, scale=told[0], offset=told[1])


def _check_same_ground(header: Header, finest: Header) -> None:
    """Refuse band files that do not cover the same ground.

    Raises:
        Unreadable: coordinate systems or corners differ; says both.
    """
    if header is finest:
        return
    if header.crs != finest.crs:
        raise Unreadable(
            f"{header.path.name} is in {header.crs or 'no coordinate system'}, {finest.path.name} in {finest.crs}"
        )
    coarse = _APART * abs(header.transform[0])
    own, other = _corners(header), _corners(finest)
    if any(abs(a - b) > coarse for a, b in zip(own, other, strict=True)):
        raise Unreadable(f"{header.path.name} and {finest.path.name} cover unlike ground: {_show(own)}, {_show(other)}")


def _corners(header: Header) -> tuple[float, float, float, float]:
    a, _, left, _, e, top = header.transform
    return left, top, left + a * header.width, top + e * header.height


def _show(box: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in box) + ")"


# ------------------------------------------------------------------------------------------------------ items of scenes
def _items(scene: Scene, path: Path, name: str, options: MultispectralOptions) -> Iterator[Row]:
    """The rows of a scene: one, or one for each tile of a large one."""
    content = _content(scene, path)
    size = int(options.tile) if options.tile != "auto" else TILE
    longest = max(scene.height, scene.width)
    if longest <= (TILED_ABOVE if options.tile == "auto" else size):
        yield _row(scene, path, name, content)
        return
    for y in _starts(scene.height, size):
        for x in _starts(scene.width, size):
            box = (y, x, min(size, scene.height - y), min(size, scene.width - x))
            yield _row(scene.part(box), path, f"{name}-y{y}-x{x}", f"{content}-{y}-{x}" if content else "")


def _starts(length: int, size: int) -> range:
    """First cells of the tiles along an axis; the last may be smaller."""
    return range(0, length, size)


def _row(scene: Scene, path: Path, name: str, content: str) -> Row:
    meta: dict[str, Any] = {SCENE: dump(scene), "crs": scene.crs or None, **place_of(scene)}
    if scene.time:
        meta["time"] = scene.time
        meta["year"], meta["day"] = int(scene.time[:4]), _day(scene.time)
    meta.update({k: v for k in ("sensor", "level", "baseline") if (v := getattr(scene, k))})
    return Row(
        id=name,
        path=str(path.absolute()),
        shape=(scene.box[2], scene.box[3]),
        spacing=spacing_of(scene) or (),
        channels=tuple(band.name or f"band-{n}" for n, band in enumerate(scene.bands, 1)),
        bytes=sum(Path(file).stat().st_size for file in scene.files),
        fingerprint=content,
        meta=meta,
    )


def _day(time: str) -> int:
    """Day of the year, 1 to 366."""
    from datetime import date

    return date.fromisoformat(time[:10]).timetuple().tm_yday


def _content(scene: Scene, path: Path) -> str:
    """Hash of the files of a scene that is not simply one file (the platform hashes that one itself)."""
    if scene.files == (str(path.absolute()),):
        return ""
    prints = [fingerprint(Path(file)) for file in scene.files]
    return hashlib.blake2b("".join(prints).encode(), digest_size=16).hexdigest()
