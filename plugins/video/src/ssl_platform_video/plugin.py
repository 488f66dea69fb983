"""What video declares. Importing this module imports nothing heavy."""

from __future__ import annotations

from ssl_platform.plugins import (
    BackboneDeclaration,
    CheckDeclaration,
    DomainDeclaration,
    ProtocolDeclaration,
    TaskDeclaration,
    hookimpl,
)

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
            channels=3,
            tasks=("classification", "multi-label", "regression", "retrieval", "fewshot", "label-propagation"),
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


@hookimpl
def ssl_platform_backbones() -> list[BackboneDeclaration]:
    """Pytorchvideo's nets by name: `pytorchvideo:x3d_s`, `pytorchvideo:slowfast_r50`.."""
    return [
        BackboneDeclaration(
            name="pytorchvideo:*",
            factory="ssl_platform_video.backbones:pytorchvideo_backbone",
            summary="Nets of pytorchvideo without weights: x3d_s, slow_r50, slowfast_r50, csn_r101, mvit_base_16x4",
            offers=("tokens", "pyramid"),
            ranks=(3,),
            open_settings=True,
            requires={"pytorchvideo": "pip install pytorchvideo"},
        )
    ]


@hookimpl
def ssl_platform_tasks() -> list[TaskDeclaration]:
    """Label propagation, besides the core's tasks."""
    return [
        TaskDeclaration(
            name="label-propagation",
            factory="ssl_platform_video.label_propagation:label_propagation",
            summary="The first frame's masks or points follow features through the video (DAVIS: J, F; JHMDB: PCK)",
            labels="mask",
            metrics=("j_and_f", "j", "f", "pck@0.1", "pck@0.2"),
            protocols=("label-propagation",),
            sample="ssl_platform_video.objects:write_objects",
        )
    ]


@hookimpl
def ssl_platform_protocols() -> list[ProtocolDeclaration]:
    """What label propagation runs."""
    return [
        ProtocolDeclaration(
            name="label-propagation",
            factory="ssl_platform_video.label_propagation:label_propagation",
            summary="The first frame's masks or points follow features through the video; nothing is learnt",
            tasks=("segmentation",),
            offers=("tokens",),
            features="encoder",
        )
    ]


@hookimpl
def ssl_platform_checks() -> list[CheckDeclaration]:
    """What `ssl-platform doctor` tries."""
    return [
        CheckDeclaration(name=f"video-{name}", factory=f"ssl_platform_video.doctor:{name}", summary=summary)
        for name, summary in (
            ("pyav", "writes a video and reads its frames"),
            ("decord", "decodes a frame with decord"),
            ("torchcodec", "decodes a frame with torchcodec"),
            ("containers", "writes MP4, MKV, WebM and AVI"),
            ("pytorchvideo", "runs a small net of pytorchvideo"),
        )
    ]
