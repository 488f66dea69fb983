"""The nastiest volumes: used by a rule that is said, or refused in one line with a way out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

RNG = np.random.default_rng(0)


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


def good(path: Path) -> None:
    nifti(path, volume(int(path.name[4])))


GOOD = "good{}.nii.gz"
NASTIEST = {
    "pointer.nii.gz": (None, False, "a Git LFS pointer, not the file itself: fetch it with git lfs pull"),
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


def test_it_is_used_by_a_rule_or_refused_with_a_way_out(told, nasty: str) -> None:
    told.check(nasty)
