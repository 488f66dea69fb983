"""BigEarthNet v2 (reBEN), Sentinel-2: a folder a patch, a GeoTIFF a band; `metadata.parquet` has labels and split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ssl_platform.errors import DataError

_SPLITS = {"train": "train", "validation": "val", "test": "test"}
_COLUMNS = ["patch_id", "labels", "split", "country"]


def rows(folder: Path) -> Iterator[dict[str, str]]:
    """A row for each patch of the published split, the folder of its bands, and its land covers as several labels.

    The patches were made from L1C products anew, so `N9999` in their names is no processing baseline: their values
    carry no offset. A patch is a group of its own: the published split follows places already.

    Raises:
        DataError: `metadata.parquet` is missing, damaged or another table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(folder) / "metadata.parquet"
    try:
        table = pq.ParquetFile(path)
        for batch in table.iter_batches(columns=_COLUMNS):
            for patch, labels, split, country in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield {
                    "path": f"BigEarthNet-S2/{patch.rsplit('_', 2)[0]}/{patch}",
                    "id": patch,
                    "label": "|".join(labels) or "|",
                    "split": _SPLITS[split],
                    "group": patch,
                    "sensor": "sentinel2",
                    "baseline": "none",
                    "country": country,
                }
    except FileNotFoundError:
        raise DataError(f"{path}: missing; it is published beside the archives") from None
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise DataError(f"{path}: not the metadata of BigEarthNet v2 ({error}); download it again") from None
