"""What wholeslide declares. Importing this module imports nothing heavy."""

from __future__ import annotations

from ssl_platform.plugins import BackboneDeclaration, CheckDeclaration, DomainDeclaration, Setting, hookimpl

SSL_PLATFORM_API = 1


@hookimpl
def ssl_platform_domains() -> list[DomainDeclaration]:
    """The domain."""
    return [
        DomainDeclaration(
            name="wholeslide",
            factory="ssl_platform_wholeslide.domain:WholeSlide",
            summary="Whole-slide images: SVS, NDPI, MRXS, SCN, BIF, OME-TIFF, pyramidal TIFF and DICOM",
            axes="C H W",
            relations=("same", "overlap"),
            symmetries=("flip:H", "flip:W", "rot90:HW", "rotate:HW", "scale", "gain", "gamma", "blur", "cutout"),
            moves=("rot90:HW", "flip:H", "flip:W", "shuffle"),
            channels=3,
            tasks=("classification", "multi-label", "regression", "retrieval", "mil", "fewshot"),
            suffixes=(
                ".ome.tiff",
                ".ome.tif",
                ".tiff",
                ".tif",
                ".svs",
                ".ndpi",
                ".scn",
                ".bif",
                ".mrxs",
                ".vms",
                ".vmu",
                ".svslide",
                ".h5",
                ".hdf5",
                ".czi",
                ".dcm",
                ".dicom",
            ),
            default_objective="simclr",
            default_backbone="vit-pico",
            extras={"h5py": "pip install 'ssl-platform-wholeslide[hdf5]'"},
        )
    ]


@hookimpl
def ssl_platform_backbones() -> list[BackboneDeclaration]:
    """PathDino's shallow transformer. `timm:*` and the generic ViT are the core's."""
    return [
        BackboneDeclaration(
            name="pathdino",
            factory="ssl_platform.nn.vit:vit",
            summary="PathDino: a ViT of width 384 with 5 blocks, 9 M parameters; patch 16 at 512 pixels in the paper",
            offers=("tokens", "drop", "mask_token", "taps", "attention", "attn_mask"),
            ranks=(2,),
            settings=(
                Setting("patch", "int | list[int] | None", None, "pixels of a token; null: the domain's"),
                Setting("registers", "int", 0, "further prefix tokens", {"ge": 0}),
                Setting("pool", "Literal['cls', 'mean']", "mean", "pooled output: class token or mean of valid tokens"),
                Setting("drop_path", "float", 0.0, "probability at the last block", {"ge": 0, "lt": 1}),
            ),
            preset={"size_name": "small", "depth": 5},
        )
    ]


@hookimpl
def ssl_platform_checks() -> list[CheckDeclaration]:
    """What `ssl-platform doctor` tries."""
    return [
        CheckDeclaration(name=f"wholeslide-{name}", factory=f"ssl_platform_wholeslide.doctor:{name}", summary=summary)
        for name, summary in (
            ("openslide", "writes a pyramidal TIFF and reads a window of it through OpenSlide"),
            ("tiffslide", "writes an OME-TIFF and reads a window of it through tiffslide"),
            ("dicom", "writes a DICOM slide and reads a window of it"),
        )
    ]
