"""From headers to catalog rows and back.

A row carries what is needed to say its normalised grid under other options without opening the file again:
`native_shape` and `native_spacing` along D, H, W.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_platform.errors import DataError, Unreadable
from ssl_platform.types import Row
from ssl_platform_medical3d.intensity import is_hounsfield
from ssl_platform_medical3d.options import Medical3DOptions, parse_spacing
from ssl_platform_medical3d.orientation import affine_of_codes, codes_of, orientation_of
from ssl_platform_medical3d.readers import reader_of, stem
from ssl_platform_medical3d.readers.header import Header
from ssl_platform_medical3d.resample import target_grid

if TYPE_CHECKING:
    from ssl_platform.data.box import Box

_SUBJECT = re.compile(r"(?:^|[_/\\])(sub-[A-Za-z0-9]+)(?=[_/\\.]|$)")
_NNUNET_FOLDER = re.compile(r"images(Tr|Ts|Val)$")
_NNUNET_CHANNEL = re.compile(r"_\d{4}$")
_SERIES = "series"
_MODALITY_WORDS = {
    "ct": ("ct",),
    "mr": ("mr", "mri", "t1", "t1w", "t2", "t2w", "flair", "dwi", "adc", "bold", "t1gd", "pd", "pdw", "mp2rage", "asl"),
    "pt": ("pt", "pet"),
    "us": ("us", "ultrasound"),
}


def modality_name(text: str) -> str:
    """One word for a modality however it is written: `MRI`, `T1w` and `FLAIR` are `mr`, `PET` is `pt`."""
    word = re.sub(r"[^a-z0-9]", "", text.lower())
    return next((name for name, words in _MODALITY_WORDS.items() if word in words), word)


# ---------------------------------------------------------------------------------------------------- headers to rows
def rows_of(path: Path, options: Medical3DOptions) -> Iterator[Row]:
    """A row for each volume in a file or folder, in its own spacing and with all it needs for `fit`.

    Raises:
        Unreadable: nothing (or not all) of it can be used.
    """
    for header in reader_of(path).read_headers(path):
        turned = directed(header, options)
        frames: list[int | None] = [None]
        if header.frames > 1 and options.frames == "items":
            frames = list(range(header.frames))
        # The platform hashes the path itself; a series shares its folder, a detached header tells nothing of its data.
        content = _content(header) if header.files != (path,) else ""
        for frame in frames:
            yield _row(turned, frame, content)


def _row(header: Header, frame: int | None, content: str) -> Row:
    group, rule = group_of(header)
    # What tells apart the rows of one path; short, and no UID where ids are shown.
    fragments = [hashlib.blake2b(header.series.encode(), digest_size=4).hexdigest()] if header.series else []
    fragments += [] if frame is None else [f"{frame:04d}"]
    orientation = orientation_of(header.affine)
    meta: dict[str, Any] = {
        "format": header.format,
        "orientation": codes_of(header.affine),
        "native_shape": "x".join(str(n) for n in orientation.shape(header.shape)),
        "native_spacing": "x".join(f"{mm:.7g}" for mm in header.spacing) if header.spaced else None,
        "frames": header.frames,
        "group_rule": rule,
    }
    further = {
        "modality": header.modality or modality_beside(header.path),
        _SERIES: header.series or None,
        "frame": frame,
        "note": "; ".join((*header.notes, *_split_notes(header, frame))) or None,
    }
    meta.update({name: value for name, value in further.items() if value is not None})
    return Row(
        id="-".join(fragments) or header.path.name,
        path=str(header.path),
        shape=orientation.shape(header.shape),
        spacing=header.spacing if header.spaced else (),
        bytes=header.bytes,
        fingerprint=content and "-".join([content, *([] if frame is None else [str(frame)])]),
        group=group,
        meta=meta,
    )


def _split_notes(header: Header, frame: int | None) -> tuple[str, ...]:
    """What is said of one of several frames that became items."""
    return () if frame is None else (f"one of {header.frames} volumes of a 4-D file, data.frames=channels joins them",)


def _content(header: Header) -> str:
    """Hash of the files of a volume that is not simply one file."""
    from ssl_platform.data.fingerprint import fingerprint

    files = list(dict.fromkeys(header.files))
    try:
        prints = [fingerprint(file) for file in files]
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror})") from None
    return prints[0] if len(prints) == 1 else hashlib.blake2b("".join(prints).encode(), digest_size=16).hexdigest()


def group_of(header: Header) -> tuple[str | None, str]:
    """The patient of a volume and the rule that found it.

    PatientID (salted hash) for DICOM; `sub-XX` of BIDS; the case of nnU-Net's `images*/CASE_0000.nii.gz`.
    """
    if header.group:
        return header.group, header.group_rule
    subject = _SUBJECT.findall(header.path.as_posix())
    if subject:
        return subject[-1], "BIDS subject"
    name = stem(header.path)
    if _NNUNET_FOLDER.search(header.path.parent.name) and _NNUNET_CHANNEL.search(name):
        return _NNUNET_CHANNEL.sub("", name), "nnU-Net case"
    return None, "file"


def modality_beside(path: Path) -> str | None:
    """What lies around a file without a modality of its own says of it.

    In this order: `Modality` in the BIDS sidecar, the last word of a BIDS name, the only channel of the
    `dataset.json` (Decathlon, nnU-Net) beside or above its folder.
    """
    sidecar = path.with_name(f"{stem(path)}.json")
    if sidecar.is_file():
        try:
            word = json.loads(sidecar.read_text(encoding="utf-8-sig")).get("Modality")
        except (OSError, ValueError, AttributeError):
            word = None
        if isinstance(word, str) and word:
            return modality_name(word)
    word = modality_name(stem(path).rpartition("_")[2])
    return word if word in _MODALITY_WORDS and "_" in stem(path) else _dataset_modality(path.parent)


@lru_cache(maxsize=64)
def _dataset_modality(folder: Path) -> str | None:
    from ssl_platform.data.dataset_json import find_dataset_json

    try:
        found = find_dataset_json(folder)
    except DataError:  # whoever needs its classes says so; here it is one of several hints
        return None
    word = modality_name(found.channels[0]) if found and len(found.channels) == 1 else None
    return word if word in _MODALITY_WORDS else None


# ------------------------------------------------------------------------------------------------------- rows to grids
def modality_of(row: Row, options: Medical3DOptions) -> str | None:
    """The modality a row is treated as: `data.modality`, else the manifest's or the file's, else None."""
    if options.modality != "auto":
        return modality_name(options.modality)
    known = row.meta.get("modality")
    return modality_name(str(known)) if known else None


def native_spacing(row: Row, options: Medical3DOptions) -> tuple[float, float, float]:
    """Spacing of the source in mm along D, H, W: the manifest's, the file's, or `data.spacing` for plain arrays.

    Raises:
        Unreadable: nothing says it.
    """
    # The manifest's column overrules the header.
    for name in ("spacing", "native_spacing"):
        text = row.meta.get(name)
        if text:
            try:
                d, h, w = parse_spacing(text)
            except ValueError as error:
                raise Unreadable(f"manifest column 'spacing' is {text!r}: {error}") from None
            return d, h, w
    if isinstance(options.spacing, tuple):
        return options.spacing
    raise Unreadable("its voxel size is not stored: set data.spacing=[z,y,x] in mm, or a manifest column 'spacing'")


def label_box(row: Row, box: Box, options: Medical3DOptions) -> Box:
    """A box of source voxels in cells of the row's normalised grid D, H, W.

    Args:
        row: fitted.
        box: start and end along the source's index axes i, j, k.
        options: the domain's.

    Raises:
        DataError: it ends outside the source.
    """
    orientation = orientation_of(affine_of_codes(str(row.meta["orientation"]), (1.0, 1.0, 1.0)))
    native = tuple(int(n) for n in str(row.meta["native_shape"]).split("x"))
    spacing = native_spacing(row, options)
    cells = []
    for k, (axis, flip) in enumerate(zip(orientation.axes, orientation.flips, strict=True)):
        low, high = box[axis]
        if high > native[k]:
            raise DataError(f"ends at voxel {high:g} of {native[k]} along {'ijk'[axis]}; correct the row")
        if flip:
            low, high = native[k] - high, native[k] - low
        step = 1.0 if native[k] == row.shape[k] else row.spacing[k] / spacing[k]
        cells.append((low / step, high / step))
    return tuple(cells)


def fit(row: Row, options: Medical3DOptions) -> Row:
    """The row in its normalised grid: shape, spacing, channels and storage type under the options.

    Raises:
        Unreadable: its spacing is unknown, or resampling would make it absurdly large.
    """
    native = tuple(int(n) for n in str(row.meta["native_shape"]).split("x"))
    target = options.spacing if isinstance(options.spacing, tuple) else None
    shape, spacing = target_grid(native, native_spacing(row, options), target)
    modality = modality_of(row, options)
    name = modality or "intensity"
    frames = int(row.meta.get("frames") or 1)
    joined = tuple(part.removeprefix("channel:") for part in row.parts if part.startswith("channel:"))
    channels: tuple[str, ...] = (name,)
    if joined:
        channels = row.channels or joined
    elif frames > 1 and options.frames == "channels":
        channels = tuple(f"{name}-{number}" for number in range(frames))
    dtype = "int16" if is_hounsfield(modality) else "float16"
    return row.replace(shape=shape, spacing=spacing, channels=channels, dtype=dtype)


# ---------------------------------------------------------------------------------------------------- rows to sources
def header_of(row: Row, options: Medical3DOptions, path: Path | None = None) -> Header:
    """The header of a row's source, with the manifest's or the options' spacing where they overrule it.

    Args:
        row: the item.
        options: the domain's.
        path: another file of the item (a channel) instead of `row.path`.

    Raises:
        Unreadable: the source is gone, or is no longer what it was.
    """
    place = path or Path(row.path)
    for header in reader_of(place).read_headers(place):
        if header.series and row.meta.get(_SERIES) not in (None, header.series):
            continue
        turned = directed(header, options)
        if row.meta.get("spacing") or not header.spaced:
            turned = turned.respaced(native_spacing(row, options))
        return turned
    raise Unreadable(f"series {row.meta.get(_SERIES)} is no longer there")


def directed(header: Header, options: Medical3DOptions) -> Header:
    """The header with the axes of plain arrays as `data.array_axes` says; other formats know theirs."""
    is_array = header.format in ("npy", "npz", "zarr")
    return header.directed(options.array_axes) if is_array and options.array_axes != "SAR" else header
