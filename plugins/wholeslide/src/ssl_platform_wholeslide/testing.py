"""Makers of small real slides, for tests and doctor checks."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssl_platform_wholeslide.writing import reduced, write_tiff


def tissue_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """`[h, w, 3]` uint8: stained stripes in the middle of white glass, of which a quarter on each side is left."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 240, dtype=np.uint8)
    top, left = height // 4, width // 4
    rows = np.arange(top, height - top)[:, None]
    stripes = np.sin(2 * np.pi * rows / rng.uniform(24, 40)) * np.ones((1, width - 2 * left))
    colours = np.array([150.0, 80.0, 160.0]) + stripes[..., None] * np.array([40.0, 40.0, 20.0])
    picture[top : height - top, left : width - left] = colours.round().astype(np.uint8)
    return picture


def write_svs(path: Path, rgb: np.ndarray, mpp: float | None, steps: Sequence[int] = (1, 4), power: int = 20) -> Path:
    """Write an Aperio SVS: its scale stands in the description of the first page."""
    scale = "" if mpp is None else f"|MPP = {mpp:.4f}"
    height, width = rgb.shape[:2]
    words = f"Aperio Image Library v11.2.1\r\n{width}x{height} [0,0 {width}x{height}] (256x256) JPEG/RGB Q=90"
    return write_tiff(path, rgb, None, steps, description=f"{words}|AppMag = {power}{scale}")


def write_ome(path: Path, rgb: np.ndarray, mpp: float | None, steps: Sequence[int] = (1, 2, 4)) -> Path:
    """Write an OME-TIFF whose lower levels are sub-images of the first, as Bio-Formats does."""
    import tifffile

    metadata: dict[str, Any] = {"axes": "YXS"}
    for axis in "XY" if mpp is not None else "":
        metadata |= {f"PhysicalSize{axis}": mpp, f"PhysicalSize{axis}Unit": "µm"}
    settings: dict[str, Any] = {
        "tile": (256, 256),
        "photometric": "rgb",
        "compression": "jpeg",
        "compressionargs": {"level": 90},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(rgb, subifds=len(steps) - 1, metadata=metadata, **settings)
        for step in steps[1:]:
            file.write(reduced(rgb, step), subfiletype=1, **settings)
    return path


def write_dicom(
    folder: Path,
    rgb: np.ndarray,
    mpp: float,
    steps: Sequence[int] = (1, 2),
    *,
    series: str = "1.2.826.0.1.3680043.8.498.77",
    patient: str = "patient-1",
    tile: int = 256,
) -> Path:
    """Write a DICOM slide, one tiled JPEG file a level; return the folder."""
    import pydicom
    from PIL import Image
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, JPEGBaseline8Bit

    folder.mkdir(parents=True, exist_ok=True)
    for number, step in enumerate(steps):
        level = reduced(rgb, step)
        height, width = level.shape[:2]
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.77.1.6")
        meta.MediaStorageSOPInstanceUID = UID(f"{series}.{number + 1}")
        meta.TransferSyntaxUID = JPEGBaseline8Bit
        path = folder / f"{series.rpartition('.')[2]}_{len(steps) - number}.dcm"
        out = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        out.SOPClassUID, out.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        out.SeriesInstanceUID, out.StudyInstanceUID, out.FrameOfReferenceUID = series, f"{series}.9", f"{series}.8"
        out.PatientID, out.PatientName, out.Modality = patient, "Secret^Name", "SM"
        out.ImageType = [
            "ORIGINAL" if step == 1 else "DERIVED",
            "PRIMARY",
            "VOLUME",
            "NONE" if step == 1 else "RESAMPLED",
        ]
        out.TotalPixelMatrixColumns, out.TotalPixelMatrixRows = width, height
        out.Rows = out.Columns = tile
        out.SamplesPerPixel, out.PhotometricInterpretation, out.PlanarConfiguration = 3, "RGB", 0
        out.BitsAllocated = out.BitsStored = 8
        out.HighBit, out.PixelRepresentation = 7, 0
        out.DimensionOrganizationType = "TILED_FULL"
        out.NumberOfOpticalPaths = out.TotalPixelMatrixFocalPlanes = 1
        optical, measures, shared = Dataset(), Dataset(), Dataset()
        optical.OpticalPathIdentifier = "1"
        out.OpticalPathSequence = [optical]
        measures.PixelSpacing, measures.SliceThickness = [f"{mpp * step / 1000:.9g}"] * 2, "0.001"
        shared.PixelMeasuresSequence = [measures]
        out.SharedFunctionalGroupsSequence = [shared]
        frames = []
        for top in range(0, height, tile):
            for left in range(0, width, tile):
                piece = np.full((tile, tile, 3), 255, dtype=np.uint8)
                found = level[top : top + tile, left : left + tile]
                piece[: found.shape[0], : found.shape[1]] = found
                stream = io.BytesIO()
                Image.fromarray(piece).save(stream, "JPEG", quality=90, subsampling=0, keep_rgb=True)
                frames.append(stream.getvalue())
        out.NumberOfFrames = len(frames)
        out.PixelData = encapsulate(frames)
        out["PixelData"].VR = "OB"
        pydicom.dcmwrite(path, out, enforce_file_format=True)
    return folder


def write_ndpi(path: Path, rgb: np.ndarray, mpp: float, steps: Sequence[int] = (1, 2, 4), power: int = 20) -> Path:
    """Write a Hamamatsu NDPI: a TIFF whose offsets have 64 bits, each level one JPEG with restart markers.

    Args:
        path: of the file.
        rgb: `[h, w, 3]` uint8; the width of every level is a multiple of 8.
        mpp: microns a pixel.
        steps: downsample of each level.
        power: of the objective.
    """
    from PIL import Image

    forms = {"H": (3, 1, "Hxx"), "HHH": (3, 3, "I"), "I": (4, 1, "I"), "R": (5, 1, "I"), "i": (9, 1, "i")}
    forms["f"] = (11, 1, "f")
    path.parent.mkdir(parents=True, exist_ok=True)
    out = bytearray(b"II*\0" + bytes(8))
    link = 4  # where the place of the next directory stands
    for step in steps:
        level = reduced(rgb, step)
        height, width = level.shape[:2]
        stream = io.BytesIO()
        # markers cut all rows of 8 x 8 blocks alike
        Image.fromarray(level).save(stream, "JPEG", quality=90, subsampling=0, restart_marker_blocks=width // 8)
        picture, bits = len(out), len(out) + stream.tell()
        out += stream.getvalue() + struct.pack("<3H2I", 8, 8, 8, round(1e4 / (mpp * step)), 1)
        tags: list[tuple[int, str, float]] = [(256, "I", width), (257, "I", height), (258, "HHH", bits), (259, "H", 7)]
        tags += [(262, "H", 6), (273, "I", picture), (277, "H", 3), (278, "I", height), (279, "I", stream.tell())]
        tags += [(282, "R", bits + 6), (283, "R", bits + 6), (296, "H", 3)]  # pixels a centimetre
        tags += [(65420, "I", 1), (65421, "f", power / step), *((code, "i", 0) for code in (65422, 65423, 65424))]
        struct.pack_into("<Q", out, link, len(out))
        out += struct.pack("<H", len(tags))
        for code, kind, value in tags:
            number, count, form = forms[kind]
            out += struct.pack(f"<HHI{form}", code, number, count, value)
        link = len(out)
        out += bytes(8 + 4 * len(tags))  # of every tag the upper half of its offset
    path.write_bytes(out)
    return path


def write_mrxs(path: Path, rgb: np.ndarray, mpp: float, steps: Sequence[int] = (1, 2, 4), edge: int = 128) -> Path:
    """Write a 3DHISTECH MRXS: a file and beside it a folder of images, their index and a table of contents.

    Args:
        path: of the file.
        rgb: `[h, w, 3]` uint8.
        mpp: microns a pixel.
        steps: downsample of each level, each twice the one before.
        edge: of an image in pixels.
    """
    from PIL import Image

    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    down, across = (-(-n // edge) for n in rgb.shape[:2])
    name = hashlib.blake2b(str(path).encode(), digest_size=16).hexdigest().upper()
    index, data, levels = bytearray(f"01.02{name}".encode() + bytes(8)), bytearray(), []
    table = len(index)
    struct.pack_into("<i", index, table - 8, table)
    index += bytes(4 * len(steps))
    for number, step in enumerate(steps):
        level, entries = reduced(rgb, step), []
        for y in range(0, down, step):
            for x in range(0, across, step):
                tile = np.full((edge, edge, 3), 255, dtype=np.uint8)
                found = level[y * edge // step :, x * edge // step :][:edge, :edge]
                tile[: found.shape[0], : found.shape[1]] = found
                stream = io.BytesIO()
                Image.fromarray(tile).save(stream, "JPEG", quality=90, subsampling=0)
                entries.append(struct.pack("<4i", y * across + x, len(data), stream.tell(), 0))
                data += stream.getvalue()
        struct.pack_into("<i", index, table + 4 * number, len(index))
        index += struct.pack("<4i", 0, len(index) + 8, len(entries), 0) + b"".join(entries)
        levels.append(
            f"[LEVEL_{number}]\nOVERLAP_X = 0\nOVERLAP_Y = 0\nMICROMETER_PER_PIXEL_X = {mpp * step}\n"
            f"MICROMETER_PER_PIXEL_Y = {mpp * step}\nIMAGE_FORMAT = JPEG\nIMAGE_FILL_COLOR_BGR = 16777215\n"
            f"DIGITIZER_WIDTH = {edge}\nDIGITIZER_HEIGHT = {edge}\nIMAGE_CONCAT_FACTOR = {int(number > 0)}"
        )
    contents = [
        f"[GENERAL]\nSLIDE_ID = {name}\nIMAGENUMBER_X = {across}\nIMAGENUMBER_Y = {down}\nOBJECTIVE_MAGNIFICATION = 20",
        "[HIERARCHICAL]\nHIER_COUNT = 1\nNONHIER_COUNT = 0\nINDEXFILE = Index.dat\nHIER_0_NAME = Slide zoom level",
        f"HIER_0_COUNT = {len(steps)}",
        *(f"HIER_0_VAL_{number}_SECTION = LEVEL_{number}" for number in range(len(steps))),
        "[DATAFILE]\nFILE_COUNT = 1\nFILE_0 = Data0000.dat",
    ]
    (folder / "Slidedat.ini").write_text("\n".join([*contents, *levels, ""]), encoding="utf-8")
    (folder / "Index.dat").write_bytes(index)
    (folder / "Data0000.dat").write_bytes(data)
    return path
