"""Measures of embeddings: tensors in, numbers out, no gradient."""

from ssl_platform.measures.attention import (
    aligned_attention,
    attention_distance,
    attention_nmi,
    offset_heads,
    place_attention,
    uniform_distance,
)
from ssl_platform.measures.calibration import calibration_error, overconfidence
from ssl_platform.measures.invariance import Concordance, concordance, firing_invariance
from ssl_platform.measures.neighbours import knn_vote
from ssl_platform.measures.ranking import mean_reciprocal_rank
from ssl_platform.measures.representation import (
    alignment,
    dimension_std,
    effective_rank,
    entropy,
    norm_outliers,
    uniformity,
)
from ssl_platform.measures.similarity import MinibatchCKA, linear_cka, unbiased_cka
from ssl_platform.measures.spectrum import log_amplitude
from ssl_platform.measures.tokens import token_similarity

__all__ = [
    "Concordance",
    "MinibatchCKA",
    "aligned_attention",
    "alignment",
    "attention_distance",
    "attention_nmi",
    "calibration_error",
    "concordance",
    "dimension_std",
    "effective_rank",
    "entropy",
    "firing_invariance",
    "knn_vote",
    "linear_cka",
    "log_amplitude",
    "mean_reciprocal_rank",
    "norm_outliers",
    "offset_heads",
    "overconfidence",
    "place_attention",
    "token_similarity",
    "unbiased_cka",
    "uniform_distance",
    "uniformity",
]
