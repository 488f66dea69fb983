"""Doctor checks: each does what a run would do, in a temporary folder, and says what worked in one line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np


def raster() -> str:
    """A GeoTIFF with named bands is written, scanned, and a window of it is read as reflectance."""
    import rasterio

    from ssl_platform.types import Window
    from ssl_platform_multispectral.domain import Multispectral
    from ssl_platform_multispectral.fields import stored_values, write_scene

    values = np.linspace(0.05, 0.5, 2 * 32 * 32, dtype=np.float32).reshape(2, 32, 32)
    with tempfile.TemporaryDirectory() as folder:
        tags = {"SENSOR": "Sentinel-2", "PROCESSING_BASELINE": "05.10"}
        path = Path(folder, "scene.tif")
        write_scene(path, stored_values(values, "05.10"), 32633, (500_000, 5_000_000), ("B04", "B08"), tags=tags)
        domain = Multispectral()
        row = domain.fit(next(iter(domain.scan(path))))
        part = domain.read(row, Window((4, 8), (16, 16)))["main"]
    if not np.allclose(part.data, values[:, 4:20, 8:24], atol=1e-4):
        raise RuntimeError("a window was read differently from what was written")
    return f"rasterio {rasterio.__version__} (GDAL {rasterio.__gdal_version__}) read a window of a GeoTIFF back"


def jpeg2000() -> str:
    """The JPEG 2000 driver that Sentinel-2 products need."""
    import rasterio

    values = np.arange(64 * 64, dtype=np.uint16).reshape(1, 64, 64)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x_B04.jp2")
        size = {"height": 64, "width": 64, "count": 1, "dtype": "uint16"}
        with rasterio.open(path, "w", driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES", **size) as out:
            out.write(values)
        with rasterio.open(path) as source:
            if not np.array_equal(source.read(), values):
                raise RuntimeError("JPEG 2000 was read differently from what was written")
    return "JPEG 2000 read back without loss"


def torchgeo() -> str:
    """torchgeo, whose nets are offered as `torchgeo:*`."""
    import torch
    import torchgeo as library

    from ssl_platform.types import Layout, View
    from ssl_platform_multispectral.nets.backbones import torchgeo_backbone

    names = ("S2-B02", "S2-B03", "S2-B04", "S2-B08")
    net = torchgeo_backbone(Layout(axes="C H W"), names, (64, 64), (8, 8), model="resnet18").eval()
    with torch.no_grad():
        features = net(View(torch.zeros(1, 4, 64, 64), channels=names))
    return f"torchgeo {library.__version__} ran resnet18 on 4 bands, {tuple(features.pooled.shape)}"
