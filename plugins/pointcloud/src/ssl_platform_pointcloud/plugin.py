"""What pointcloud declares. Importing this module imports nothing heavy."""

from __future__ import annotations

from ssl_platform.plugins import CheckDeclaration, DomainDeclaration, hookimpl

SSL_PLATFORM_API = 1


@hookimpl
def ssl_platform_domains() -> list[DomainDeclaration]:
    """The domain."""
    return [
        DomainDeclaration(
            name="pointcloud",
            factory="ssl_platform_pointcloud.domain:PointCloud",
            summary="Point clouds and meshes: PLY, PCD, LAS, LAZ, NPY, NPZ, XYZ, CSV, PTS, OFF, OBJ and STL",
            axes="N C",
            relations=("same", "overlap"),
            symmetries=("rotate:XY", "scale", "noise", "cutout"),
            tasks=("classification", "multi-label", "regression", "segmentation", "retrieval", "fewshot"),
            suffixes=(
                ".ply",
                ".pcd",
                ".las",
                ".laz",
                ".npy",
                ".npz",
                ".h5",
                ".hdf5",
                ".xyz",
                ".txt",
                ".csv",
                ".pts",
                ".asc",
                ".off",
                ".obj",
                ".stl",
            ),
            default_objective="simclr",
            default_backbone="vit-pico",
            extras={"h5py": "pip install 'ssl-platform-pointcloud[hdf5]'"},
        )
    ]


@hookimpl
def ssl_platform_checks() -> list[CheckDeclaration]:
    """What `ssl-platform doctor` tries."""
    return [
        CheckDeclaration(name=f"pointcloud-{name}", factory=f"ssl_platform_pointcloud.doctor:{name}", summary=summary)
        for name, summary in (
            ("ply", "writes and reads PLY and PCD files"),
            ("las", "writes and reads LAS and LAZ files"),
            ("mesh", "reads a mesh and draws points on it"),
            ("tokens", "groups points on the device"),
        )
    ]
