"""What medical3d declares. Importing this module imports nothing heavy."""

from __future__ import annotations

from ssl_platform.plugins import BackboneDeclaration, CheckDeclaration, DomainDeclaration, hookimpl
from ssl_platform_medical3d.axes import MOVES, SYMMETRIES, TASKS
from ssl_platform_medical3d.readers import SUFFIXES

SSL_PLATFORM_API = 1


@hookimpl
def ssl_platform_domains() -> list[DomainDeclaration]:
    """The domain."""
    return [
        DomainDeclaration(
            name="medical3d",
            factory="ssl_platform_medical3d.domain:Medical3D",
            summary="3-D medical volumes: NIfTI, DICOM series, NRRD, MetaImage, NPY, NPZ and Zarr",
            axes="C D H W",
            relations=("same", "overlap"),
            symmetries=SYMMETRIES,
            moves=MOVES,
            tasks=TASKS,
            suffixes=SUFFIXES,
            default_objective="mae",
            default_backbone="vit-pico",
        )
    ]


@hookimpl
def ssl_platform_backbones() -> list[BackboneDeclaration]:
    """MONAI's nets by name: `monai:SwinUNETR`, `monai:UNet`, `monai:resnet18`.."""
    return [
        BackboneDeclaration(
            name="monai:*",
            factory="ssl_platform.nn.adapters.monai:monai_backbone",
            summary="Encoders of MONAI: SwinUNETR, UNet, resnet10 to resnet200; feature maps fine to coarse",
            offers=("tokens", "pyramid"),
            ranks=(2, 3),
            open_settings=True,
            requires={"monai": "pip install monai"},
        )
    ]


@hookimpl
def ssl_platform_checks() -> list[CheckDeclaration]:
    """What `ssl-platform doctor` tries."""
    return [
        CheckDeclaration(name=f"medical3d-{name}", factory=f"ssl_platform_medical3d.doctor:{name}", summary=summary)
        for name, summary in (
            ("nifti", "writes and reads a NIfTI file"),
            ("dicom", "writes and reads a DICOM series"),
            ("itk", "writes and reads NRRD and MetaImage"),
            ("zarr", "writes and reads a Zarr store"),
            ("monai", "imports MONAI and runs one of its layers"),
        )
    ]
