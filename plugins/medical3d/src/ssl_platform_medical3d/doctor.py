"""Doctor checks: each does what a run would do, in a temporary folder, and says what worked in one line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from ssl_platform_medical3d.items import fit, rows_of
from ssl_platform_medical3d.options import Medical3DOptions
from ssl_platform_medical3d.orientation import affine_of_codes
from ssl_platform_medical3d.prepare import prepare

_VOLUME = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
_AFFINE = affine_of_codes("LPS", (1.0, 1.5, 2.0))


def _read(path: Path) -> str:
    options = Medical3DOptions(modality="ct", spacing="native")
    row = next(iter(rows_of(path, options)))
    data = np.asarray(prepare(fit(row, options), options).data)
    if not np.array_equal(data[0], _VOLUME.transpose(2, 1, 0)[:, ::-1, ::-1]):
        raise RuntimeError(f"{path.name} was read differently from what was written")
    return "x".join(str(n) for n in data.shape[1:])


def nifti() -> str:
    """NIfTI, gzipped."""
    from ssl_platform_medical3d.readers import nifti as reader

    with tempfile.TemporaryDirectory() as folder:
        return f"NIfTI read back, {_read(reader.write(Path(folder, 'x.nii.gz'), _VOLUME, _AFFINE))}"


def itk() -> str:
    """NRRD and MetaImage through SimpleITK."""
    from ssl_platform_medical3d.readers import metaimage, nrrd

    with tempfile.TemporaryDirectory() as folder:
        _read(nrrd.write(Path(folder, "x.nrrd"), _VOLUME, _AFFINE))
        return f"NRRD and MetaImage read back, {_read(metaimage.write(Path(folder, 'x.mha'), _VOLUME, _AFFINE))}"


def dicom() -> str:
    """A DICOM series, one file a slice."""
    from ssl_platform_medical3d.testing import write_dicom_series

    with tempfile.TemporaryDirectory() as folder:
        return f"DICOM read back, {_read(write_dicom_series(Path(folder), _VOLUME, _AFFINE))}"


def zarr() -> str:
    """A Zarr store with its spacing."""
    from ssl_platform_medical3d.testing import write_zarr

    with tempfile.TemporaryDirectory() as folder:
        canonical = np.ascontiguousarray(_VOLUME.transpose(2, 1, 0)[:, ::-1, ::-1])
        return f"Zarr read back, {_read(write_zarr(Path(folder, 'x.zarr'), canonical, (2.0, 1.5, 1.0)))}"


def monai() -> str:
    """MONAI, which backbones and transforms come from."""
    import monai
    import torch
    from monai.networks.blocks.convolutions import Convolution

    with torch.no_grad():
        out = Convolution(3, 1, 2)(torch.zeros(1, 1, 4, 4, 4))
    return f"MONAI {monai.__version__} ran a convolution, {tuple(out.shape)}"
