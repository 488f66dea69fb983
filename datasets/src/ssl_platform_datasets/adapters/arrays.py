"""Labels of downloads that keep all their items in HDF5 files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssl_platform.errors import DataError


def labels_of(path: Path, name: str, classes: int) -> list[int]:
    """The class of every item of a file.

    Args:
        path: HDF5 file.
        name: of the dataset in it: N numbers, whatever their shape.
        classes: how many there are.

    Raises:
        DataError: h5py or the file is missing, it is damaged, or a number is no class.
    """
    try:
        import h5py
    except ModuleNotFoundError:
        raise DataError(f"{path.name} is HDF5, which needs h5py: pip install 'ssl-platform-datasets[hdf5]'") from None
    if not path.is_file():
        raise DataError(f"{path}: missing; it is in the download, gunzipped or unpacked")
    try:
        with h5py.File(path, "r") as file:
            if name not in file:
                raise DataError(f"{path}: has no dataset {name!r} (it has {', '.join(file) or 'none'})")
            found = np.asarray(file[name]).reshape(-1)
    except (OSError, RuntimeError) as error:
        raise DataError(f"{path}: cannot be read ({' '.join(str(error).split())[:120]}); download it again") from None
    odd = next((value for value in found.tolist() if value not in range(classes)), None)
    if odd is not None:
        raise DataError(f"{path}: label {odd} is not among 0 to {classes - 1}; download it again")
    return [int(value) for value in found]
