"""What audio declares. Importing this module imports nothing heavy."""

from __future__ import annotations

from ssl_platform.plugins import CheckDeclaration, DomainDeclaration, hookimpl

SSL_PLATFORM_API = 1


@hookimpl
def ssl_platform_domains() -> list[DomainDeclaration]:
    """The domain."""
    return [
        DomainDeclaration(
            name="audio",
            factory="ssl_platform_audio.domain:Audio",
            summary="Recordings: WAV, FLAC, OGG, MP3, AIFF and others, as log-mel spectrograms",
            axes="C F T",
            relations=("same", "overlap", "time"),
            symmetries=("scale", "gain", "noise"),
            moves=("flip:T", "shuffle"),
            channels=1,
            tasks=("classification", "multi-label", "regression", "retrieval", "fewshot"),
            suffixes=(
                ".wav",
                ".flac",
                ".ogg",
                ".oga",
                ".opus",
                ".mp3",
                ".aiff",
                ".aif",
                ".au",
                ".caf",
                ".w64",
                ".rf64",
            ),
            default_objective="mae",
            default_backbone="vit-pico",
            extras={"soundfile": "pip install soundfile", "soxr": "pip install soxr"},
        )
    ]


@hookimpl
def ssl_platform_checks() -> list[CheckDeclaration]:
    """What `ssl-platform doctor` tries."""
    return [
        CheckDeclaration(name=f"audio-{name}", factory=f"ssl_platform_audio.doctor:{name}", summary=summary)
        for name, summary in (
            ("formats", "writes and reads WAV, FLAC, OGG and MP3"),
            ("spectrogram", "finds a tone in its mel bin"),
        )
    ]
