"""The nastiest real files of each domain: used by a rule that is said, or refused in one line with a way out.

What each is like is described in the domains' pages; damaged and truncated files are in the modules beside this one.
"""

from __future__ import annotations

import contextlib
import csv
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.cli.main import main

RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class Told:
    """What a scan of a folder said.

    Attributes:
        text: printed.
        used: names of the files that became items.
        refused: the reason of each of the others, by name.
    """

    text: str
    used: frozenset[str]
    refused: dict[str, str]


def pointer(path: Path) -> None:
    """What git leaves of a large file that was never fetched."""
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n", encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------- medical3d
def volume(seed: int = 0, shape: tuple[int, ...] = (12, 13, 14)) -> np.ndarray:
    return np.random.default_rng(seed).normal(300, 60, shape).astype(np.float32)


def nifti(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> None:
    import nibabel

    nibabel.save(nibabel.Nifti1Image(values, np.diag([1, 1, 1.4, 1]) if affine is None else affine), path)


def two_orientations(path: Path) -> None:
    import nibabel

    image = nibabel.Nifti1Image(volume(), np.eye(4))
    image.header.set_qform(np.diag([-1, -1, 1, 1]), 1)
    image.header.set_sform(np.eye(4), 2)
    nibabel.save(image, path)


def no_orientation(path: Path) -> None:
    import nibabel

    image = nibabel.Nifti1Image(volume(), None)
    image.header.set_sform(None, 0)
    image.header.set_qform(None, 0)
    nibabel.save(image, path)


def holes(path: Path) -> None:
    values = volume()
    values[:3] = np.nan
    nifti(path, values)


def compressed_without_saying_so(path: Path) -> None:
    nifti(path.with_name("t.nii.gz"), volume())
    path.with_name("t.nii.gz").rename(path)


def patient_with_mask(path: Path) -> None:
    nifti(path.with_name("brats_001_flair.nii.gz"), volume(5))
    nifti(path, RNG.integers(0, 3, (12, 13, 14)).astype(np.uint8))


MEDICAL3D = {
    "pointer.nii.gz": (pointer, False, "a Git LFS pointer, not the file itself: fetch it with git lfs pull"),
    "metres.nii.gz": (
        lambda path: nifti(path, volume(), np.diag([1e-3, 1e-3, 1e-3, 1])),
        False,
        "are its voxels really 0.001x0.001x0.001 mm? a manifest column 'spacing' overrules the header",
    ),
    "compressed.nii": (compressed_without_saying_so, False, "end its name in .nii.gz"),
    "two_orientations.nii.gz": (two_orientations, True, "noted: sform and qform disagree, the sform was used"),
    "no_orientation.nii.gz": (no_orientation, True, "noted: neither sform nor qform is set: orientation unknown"),
    "series.nii.gz": (
        lambda path: nifti(path, volume(7, (12, 13, 14, 3))),
        True,
        "noted: one of 3 volumes of a 4-D file, data.frames=channels joins them (3 items, such as series.nii.gz#0000)",
    ),
    "raw_units.nii.gz": (
        lambda path: nifti(path, 2e5 * volume()),
        True,
        "unlike its set: raw_units.nii.gz: values span",
    ),
    "holes.nii.gz": (holes, True, "holes.nii.gz: 25 % of its voxels are NaN or infinite: they count as missing"),
    "case12.nii.gz": (
        lambda path: nifti(path, RNG.integers(0, 3, (12, 13, 14)).astype(np.uint8)),
        True,
        "case12.nii.gz: only 3 whole numbers from 0 to 2: a label mask? give it to --labels",
    ),
    "brats_001_seg.nii.gz": (patient_with_mask, None, "1 file named like masks, such as brats_001_seg.nii.gz"),
}

# ------------------------------------------------------------------------------------------------------ multispectral
TAGS = {"SENSOR": "Sentinel-2 MSI L2A", "PROCESSING_BASELINE": "05.10"}


def raster(path: Path, values: np.ndarray | None = None, **profile: object) -> None:
    from ssl_platform_multispectral.testing import write_raster

    chosen = np.random.default_rng(3).integers(1200, 4000, (4, 24, 24)).astype(np.uint16) if values is None else values
    write_raster(path, chosen, **{"names": ("B02", "B03", "B04", "B08"), "tags": TAGS, **profile})


def counts() -> np.ndarray:
    return RNG.integers(1200, 4000, (4, 24, 24))


def border(kind: type) -> np.ndarray:
    values = counts().astype(kind)
    values[:, :, :8] = -9999
    return values


MULTISPECTRAL = {
    "before_2022.tif": (
        lambda path: raster(path, tags={**TAGS, "PROCESSING_BASELINE": "02.14"}),
        True,
        "1 scene: baseline 02.14: values x 0.0001, no offset",
    ),
    "reflectance.tif": (
        lambda path: raster(path, (counts() / 1e4).astype(np.float32)),
        True,
        "1 scene: floating-point values in the range of reflectance already: not scaled again",
    ),
    "coarse.tif": (lambda path: raster(path, metres=300.0), True, "1 scene enlarged up to 30 times"),
    "per_cent.tif": (lambda path: raster(path, (counts() / 1e2).astype(np.float32)), False, "(per cent?): set data.sc"),
    "border.tif": (
        lambda path: raster(path, border(np.int16)),
        False,
        "its lowest value -9999 usually marks missing data, but the file does not say so: set data.nodata=-9999",
    ),
    "S2B_MSIL2A_20230501T100031.SAFE.zip": (
        lambda path: path.write_bytes(b"PK\3\4"),
        False,
        "a packed product: unpack it (unzip, tar -xf) and scan the folder",
    ),
    "MOD09GA.A2021001.h18v04.hdf": (lambda path: path.write_bytes(b"\x0e\3"), False, "HDF and NetCDF are not read"),
    "LULC.tif": (
        lambda path: raster(path, RNG.integers(0, 5, (1, 24, 24)).astype(np.uint8), names=(), tags={}),
        None,
        "1 file named as quality or land-cover layers, such as LULC.tif",
    ),
    "pointer.tif": (pointer, False, "a Git LFS pointer"),
}


# --------------------------------------------------------------------------------------------------------- wholeslide
def slide(path: Path, seed: int = 0) -> None:
    from ssl_platform_wholeslide.testing import tissue_picture
    from ssl_platform_wholeslide.writing import write_tiff

    write_tiff(path, tissue_picture(384, 384, seed), 0.5)


def in_millimetres(path: Path) -> None:
    from ssl_platform_wholeslide.testing import tissue_picture, write_svs

    write_svs(path, tissue_picture(384, 384), 0.0005)


def fluorescence(path: Path) -> None:
    import tifffile

    tifffile.imwrite(path, RNG.integers(0, 255, (384, 384), dtype=np.uint8), tile=(128, 128))


WHOLESLIDE = {
    "lonely.mrxs": (lambda path: path.write_bytes(b"\xff\xd8"), False, "its data folder lonely/ is not beside it"),
    "olympus.vsi": (lambda path: path.write_bytes(b"II*\0"), False, "VSI is not read: convert it to OME-TIFF"),
    "millimetres.svs": (in_millimetres, False, "the stored 0.0005 um a pixel is no microscope's"),
    "fluorescence.tif": (fluorescence, False, "it has 1 channel where brightfield slides have red, green, blue"),
    "web_page.svs": (lambda path: path.write_text("<html>"), False, "no TIFF file although its name says so (it"),
    "pointer.svs": (pointer, False, "a Git LFS pointer"),
}

# -------------------------------------------------------------------------------------------------------------- video
FRAMES = [RNG.integers(0, 255, (32, 48, 3), dtype=np.uint8) for _ in range(16)]


def video(path: Path, frames: list[np.ndarray] = FRAMES, rate: float = 8, **words: object) -> None:
    from ssl_platform_video.encode import write_video

    write_video(path, frames, rate, **words)  # type: ignore[arg-type]


def album_cover(path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        sound, cover = container.add_stream("aac", rate=16000), container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 48, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        tone.sample_rate = 16000
        picture = av.VideoFrame.from_ndarray(FRAMES[0], "rgb24").reformat(format="yuvj420p")
        for packets in (sound.encode(tone), cover.encode(picture), cover.encode(), sound.encode()):
            container.mux(packets)


UNEVEN = [0, 0.1, 0.2, 0.5, 0.6, 1.5, 1.6, 2, 2.2, 2.3, 2.4, 3, 3.1, 3.2, 3.3, 4]
VIDEO = {
    "phone.mp4": (lambda path: video(path, rotation=90), True, "noted: turned by 270 degrees (1 item, such as phone.m"),
    "screen.mp4": (lambda path: video(path, times=UNEVEN), True, "noted: variable frame rate (1 item, such as screen"),
    "blink.mp4": (lambda path: video(path, FRAMES[:3], 30), True, "1 shorter than half a window (padded, the rest is"),
    "lens_cap.mp4": (
        lambda path: video(path, [np.zeros((32, 48, 3), np.uint8)] * 16),
        False,
        "every pixel of every frame is 0: nothing was recorded",
    ),
    "album.mp4": (album_cover, False, "it has no video stream (there is 1 audio, 1 cover picture)"),
    "pointer.mp4": (pointer, False, "a Git LFS pointer"),
}


# -------------------------------------------------------------------------------------------------------------- audio
def tone(seconds: float = 1.0, rate: int = 16000) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * 300 * t) + 0.01 * RNG.standard_normal(len(t))).astype(np.float32)


def sound(path: Path, samples: np.ndarray | None = None, rate: int = 16000, **words: str) -> None:
    import soundfile

    soundfile.write(path, tone() if samples is None else samples, rate, **words)


def dropouts(path: Path) -> None:
    samples = tone()
    samples[100:200] = np.nan
    sound(path, samples, subtype="FLOAT")


def recorder_cut_off(path: Path) -> None:
    sound(path)
    raw = path.read_bytes()
    path.write_bytes(raw[:4] + bytes(4) + raw[8:40] + bytes(4) + raw[44:])


def from_a_pipe(path: Path) -> None:
    sound(path)
    raw = path.read_bytes()
    path.write_bytes(raw[:4] + b"\xff" * 4 + raw[8:40] + b"\xff" * 4 + raw[44:])


def misnamed(path: Path) -> None:
    sound(path.with_suffix(".mp3"), tone(2.0))
    path.with_suffix(".mp3").rename(path)


AUDIO = {
    "dropouts.wav": (dropouts, True, "dropouts.wav: 100 of its samples are NaN or infinite: they count as missing"),
    "whole_numbers.wav": (
        lambda path: sound(path, 32000 * tone(), subtype="FLOAT"),
        True,
        "times full scale: the whole item was scaled down to it",
    ),
    "offset.wav": (lambda path: sound(path, 0.2 * tone() + 0.6), True, "a constant offset of 60 % of full scale was t"),
    "phone.wav": (
        lambda path: sound(path, tone(1, 8000), 8000, subtype="ULAW"),
        True,
        "the upper bands of 1 at lower rates stay empty",
    ),
    "pipe.wav": (from_a_pipe, True, "quarantined: 3"),
    "really_mp3.wav": (misnamed, True, "quarantined: 3"),
    "cut_off.wav": (recorder_cut_off, False, "the recorder was cut off; repair it, e.g. ffmpeg -ignore_length 1"),
    "no_rate.wav": (lambda path: sound(path, rate=1), False, "a sample rate of 1 Hz: state the true one in a manifest"),
    "pointer.wav": (pointer, False, "a Git LFS pointer"),
}


# --------------------------------------------------------------------------------------------------------- pointcloud
def cloud(count: int = 600) -> np.ndarray:
    return RNG.normal(size=(count, 3))


def decimal_commas(path: Path) -> None:
    lines = [";".join(f"{v:.3f}" for v in point).replace(".", ",") for point in cloud(60)]
    path.write_text("\n".join(["x;y;z", *lines]), encoding="utf-8")


def half_nan(path: Path) -> None:
    points = cloud()
    points[::2] = np.nan
    np.save(path, points)


def glued_header(path: Path) -> None:
    """ModelNet40 has such files: the counts stand behind OFF without a line break."""
    path.write_text("OFF4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n", encoding="utf-8")


POINTCLOUD = {
    "modelnet.off": (glued_header, True, "quarantined: 3"),
    "half_nan.npy": (half_nan, True, "noted: points that are NaN or infinite are left out (1 item, such as half_nan."),
    "depth.npy": (
        lambda path: np.save(path, cloud(40 * 64).reshape(40, 64, 3)),
        True,
        "noted: one of 40 clouds of 64 points in one array (40 items",
    ),
    "stray.npy": (
        lambda path: np.save(path, np.r_[cloud(), [[1e6, 0, 0]]]),
        True,
        "of its extent: remove the stray points far away",
    ),
    "rounded.npy": (
        lambda path: np.save(path, (RNG.uniform(0, 1, (600, 3)) + np.array([5e5, 4.5e6, 100])).astype(np.float32)),
        True,
        "rounded.npy: its coordinates come in steps of 0.5 m, far from the origin: rounded to float32?",
    ),
    "commas.csv": (decimal_commas, False, "its numbers have decimal commas"),
    "one_place.xyz": (lambda path: path.write_text("1 1 1\n" * 100), False, "points lie in one place"),
    "pointer.ply": (pointer, False, "a Git LFS pointer"),
}


def points(path: Path, seed: int = 0) -> None:
    from ssl_platform_pointcloud.writers import write_ply

    write_ply(path, np.random.default_rng(seed).normal(size=(500, 3)))


Nasty = dict[str, tuple[Callable[[Path], object], bool | None, str]]
NASTIEST: dict[str, tuple[str, Callable[[Path], object], Nasty]] = {
    "medical3d": ("good{}.nii.gz", lambda path: nifti(path, volume(int(path.name[4]))), MEDICAL3D),
    "multispectral": ("good{}.tif", raster, MULTISPECTRAL),
    "wholeslide": ("good{}.tif", slide, WHOLESLIDE),
    "video": ("good{}.mp4", video, VIDEO),
    "audio": ("good{}.wav", sound, AUDIO),
    "pointcloud": ("good{}.ply", points, POINTCLOUD),
}


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Told]:
    """Scans a folder of four good files and all nasty ones of a domain, once."""
    done: dict[str, Told] = {}

    def scan(domain: str) -> Told:
        if domain not in done:
            good, write, nasty = NASTIEST[domain]
            folder, out = tmp_path_factory.mktemp(domain), tmp_path_factory.mktemp("out")
            for number in range(4):
                write(folder / good.format(number))
            for name, (make, _, _) in nasty.items():
                make(folder / name)
            words = ["scan", str(folder), "--domain", domain, "--out", str(out / "m.csv"), f"cache.dir={out / 'cache'}"]
            text = io.StringIO()
            with contextlib.redirect_stdout(text):
                assert main([*words, "data.max_bad_fraction=0.9"]) == 0
            with (out / "m.csv").open(encoding="utf-8") as used, (out / "m_quarantine.csv").open() as refused:
                names = frozenset(Path(row["path"]).name for row in csv.DictReader(used))
                reasons = {Path(row["path"]).name: row["reason"] for row in csv.DictReader(refused)}
            done[domain] = Told(text.getvalue(), names, reasons)
            shutil.rmtree(folder)
        return done[domain]

    return scan


@pytest.mark.parametrize(
    ("domain", "name"), [(domain, name) for domain, (_, _, nasty) in NASTIEST.items() for name in nasty]
)
def test_it_is_used_by_a_rule_or_refused_with_a_way_out(domain: str, name: str, scanned) -> None:
    told = scanned(domain)
    _, used, words = NASTIEST[domain][2][name]
    assert (name in told.used, name in told.refused) == (used is True, used is False)
    assert words in (told.refused[name] if used is False else told.text)
    assert "\n" not in told.refused.get(name, "") and "Traceback" not in told.text


@pytest.mark.parametrize("domain", NASTIEST)
def test_the_good_ones_beside_them_are_used(domain: str, scanned) -> None:
    good = NASTIEST[domain][0]
    assert {good.format(number) for number in range(4)} <= scanned(domain).used
