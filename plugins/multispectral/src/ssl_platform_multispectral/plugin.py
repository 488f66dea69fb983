"""What multispectral declares. Importing this module imports nothing heavy."""

from __future__ import annotations

from ssl_platform.plugins import DomainDeclaration, hookimpl

SSL_PLATFORM_API = 1


@hookimpl
def ssl_platform_domains() -> list[DomainDeclaration]:
    """The domain."""
    return [
        DomainDeclaration(
            name="multispectral",
            factory="ssl_platform_multispectral.domain:Multispectral",
            summary="Satellite and aerial scenes of any bands: GeoTIFF, COG, JP2, Sentinel and Landsat folders",
            axes="C H W",
            relations=("same", "overlap", "place"),
            symmetries=(
                "flip:H",
                "flip:W",
                "rot90:HW",
                "rotate:HW",
                "scale",
                "gain",
                "gamma",
                "blur",
                "noise",
                "channel-drop",
                "cutout",
            ),
            moves=("rot90:HW", "flip:H", "flip:W", "shuffle"),
            tasks=("classification", "multi-label", "regression", "segmentation"),
            suffixes=(".tif", ".tiff", ".jp2", ".j2k", ".vrt", ".img"),
            default_objective="mae",
            default_backbone="vit-pico",
        )
    ]
