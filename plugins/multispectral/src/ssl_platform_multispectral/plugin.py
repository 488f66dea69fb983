"""What multispectral declares. Importing this module imports nothing heavy."""

from __future__ import annotations

from ssl_platform.plugins import BackboneDeclaration, CheckDeclaration, DomainDeclaration, Setting, hookimpl

SSL_PLATFORM_API = 1

_VIT_OFFERS = ("tokens", "drop", "mask_token", "taps", "attention", "attn_mask")
_VIT_SETTINGS = (
    Setting("patch", "int | list[int] | None", None, "cells of a token along each axis; null: the domain's"),
    Setting("cls", "int", 1, "class tokens", {"ge": 0}),
    Setting("registers", "int", 0, "further prefix tokens", {"ge": 0}),
    Setting("pool", "Literal['cls', 'mean']", "mean", "pooled output: first class token or mean of valid tokens"),
    Setting("mlp_ratio", "float", 4.0, "width of the MLPs over D", {"gt": 0}),
    Setting("layer_scale", "float | None", None, "start of the layer scale; null for none"),
    Setting("drop_path", "float", 0.0, "probability at the last block, rising linearly", {"ge": 0, "lt": 1}),
    Setting("min_valid", "float", 0.0, "least valid fraction of a valid token", {"ge": 0, "le": 1}),
    Setting("norm_pix", "bool", True, "reconstruction targets are normalised by token"),
)


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
            tasks=("classification", "multi-label", "regression", "segmentation", "retrieval", "fewshot"),
            suffixes=(".tif", ".tiff", ".jp2", ".j2k", ".vrt", ".img"),
            default_objective="mae",
            default_backbone="vit-pico",
        )
    ]


@hookimpl
def ssl_platform_backbones() -> list[BackboneDeclaration]:
    """Nets for bands of many sensors, by size (`spectral:small`, `dofa:base`), and torchgeo's by name."""
    groups = Setting("groups", "list[list[int]] | None", None, "positions of the bands of each group; null: by range")
    tokens = Setting("weight_tokens", "int", 128, "learned tokens of the kernel's generator", {"ge": 1})
    return [
        BackboneDeclaration(
            name="spectral:*",
            factory="ssl_platform_multispectral.nets.backbones:spectral_vit",
            summary="ViT with a token for each place and spectral group of bands (SatMAE): spectral:small",
            offers=_VIT_OFFERS,
            ranks=(2,),
            settings=(*_VIT_SETTINGS, groups),
            tokens_grid=False,
        ),
        BackboneDeclaration(
            name="dofa:*",
            factory="ssl_platform_multispectral.nets.backbones:dofa_vit",
            summary="ViT whose patch embedding is generated from the bands' wavelengths (DOFA): dofa:base",
            offers=_VIT_OFFERS,
            ranks=(2,),
            settings=(*_VIT_SETTINGS, tokens),
        ),
        BackboneDeclaration(
            name="torchgeo:*",
            factory="ssl_platform_multispectral.nets.backbones:torchgeo_backbone",
            summary="Nets of torchgeo for any bands, random weights: torchgeo:resnet50, torchgeo:swin_v2_t",
            offers=("tokens", "pyramid"),
            ranks=(2,),
            settings=_VIT_SETTINGS[:1],
            open_settings=True,
            requires={"torchgeo": "pip install torchgeo", "timm": "pip install 'ssl-platform[timm]'"},
        ),
    ]


@hookimpl
def ssl_platform_checks() -> list[CheckDeclaration]:
    """What `ssl-platform doctor` tries."""
    return [
        CheckDeclaration(
            name=f"multispectral-{name}", factory=f"ssl_platform_multispectral.doctor:{name}", summary=text
        )
        for name, text in (
            ("raster", "writes, scans and reads a GeoTIFF"),
            ("jpeg2000", "writes and reads JPEG 2000"),
            ("torchgeo", "runs a net of torchgeo"),
        )
    ]
