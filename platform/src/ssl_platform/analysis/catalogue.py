"""The analyses by name: what each needs, and how it is run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ssl_platform.analysis import (
    attention,
    equivariance,
    frequency,
    invariance,
    layer_clusters,
    layer_knn,
    probing,
    spread,
    tokens,
)
from ssl_platform.analysis.looks import Collector
from ssl_platform.analysis.reading import Reading
from ssl_platform.analysis.subject import Subject
from ssl_platform.errors import ConfigError, did_you_mean

CKA = "cka"
"""The one analysis that is of encoders together."""


def _always(subject: Subject) -> None:
    return None


@dataclass(frozen=True)
class Analysis:
    """What can be asked about an encoder.

    Attributes:
        name: what `analyze.measures` takes.
        unfit: why it does not fit an encoder and its data, in a few words, or None.
        collect: makes what a pass over clean views feeds, or None.
        run: anything that needs passes of its own, or None.
    """

    name: str
    unfit: Callable[[Subject], str | None] = _always
    collect: Callable[[Subject], Collector] | None = None
    run: Callable[[Subject], list[Reading]] | None = None


ANALYSES = (
    Analysis("spread", collect=spread.Spread),
    Analysis("alignment", run=spread.align),
    Analysis("knn", layer_knn.unfit, collect=layer_knn.LayerKnn),
    Analysis("clusters", layer_clusters.unfit, collect=layer_clusters.LayerClusters),
    Analysis("tokens", tokens.unfit, collect=tokens.TokenNorms),
    Analysis("frequency", frequency.unfit, collect=frequency.Frequency),
    Analysis("attention", attention.unfit, run=attention.attend),
    Analysis("invariance", invariance.unfit, run=invariance.vary),
    Analysis("equivariance", equivariance.unfit, run=equivariance.move),
    Analysis("calibration", probing.unfit_for_confidence, run=probing.calibrate),
    Analysis("robustness", probing.unfit_for_changes, run=probing.withstand),
)
NAMES = (*(analysis.name for analysis in ANALYSES), CKA)


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """The analyses asked for, in their own order; all of them when none is named.

    Raises:
        ConfigError: there is none of that name.
    """
    for name in names:
        if name not in NAMES:
            raise ConfigError(
                f"analyze.measures: no analysis {name!r}{did_you_mean(name, NAMES)}; there are {', '.join(NAMES)}"
            )
    return tuple(name for name in NAMES if not names or name in names)
