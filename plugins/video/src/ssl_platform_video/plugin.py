"""What video declares. Importing this module imports nothing heavy."""

from __future__ import annotations

from ssl_platform.plugins import BackboneDeclaration, CheckDeclaration, DomainDeclaration, hookimpl

SSL_PLATFORM_API = 1


@hookimpl
def ssl_platform_domains() -> list[DomainDeclaration]:
    """The domain."""
    return [
        DomainDeclaration(
            name="video",
            factory="ssl_platform_video.domain:Video",
            summary="Videos: MP4, WebM, MKV, AVI, MOV and others, and folders of frames",
            axes="C T H W",
            relations=("same", "overlap", "time", "speed"),
            symmetries=("flip:W", "scale:HW", "gain", "offset", "gamma", "blur:HW", "noise", "cutout"),
            moves=("flip:T", "rot90:HW", "flip:H", "shuffle"),
            tasks=("classification", "regression"),
            suffixes=(
                ".mp4",
                ".m4v",
                ".mov",
                ".webm",
                ".mkv",
                ".avi",
                ".mpg",
                ".mpeg",
                ".wmv",
                ".flv",
                ".ts",
                ".m2ts",
                ".3gp",
                ".ogv",
            ),
            default_objective="mae",
            default_backbone="vit-pico",
            extras={"av": "pip install av", "decord": "pip install decord", "torchcodec": "pip install torchcodec"},
        )
    ]
