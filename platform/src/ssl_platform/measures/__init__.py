"""Measures of embeddings: tensors in, numbers out, no gradient."""

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

__all__ = [
    "alignment",
    "dimension_std",
    "effective_rank",
    "entropy",
    "knn_vote",
    "mean_reciprocal_rank",
    "norm_outliers",
    "uniformity",
]
