"""Losses: pure functions of tensors, exact under data parallelism, at least float32 inside."""

from ssl_platform.losses.adversarial import critic_loss, fooling_loss
from ssl_platform.losses.clustering import (
    cluster_cross_entropy,
    cross_view_cross_entropy,
    soft_cross_entropy,
    swapped_prediction,
)
from ssl_platform.losses.codes import commitment, one_minus_cosine, share_used, token_cross_entropy
from ssl_platform.losses.contrastive import info_nce, key_logits, nt_xent, picked
from ssl_platform.losses.counting import counting_loss
from ssl_platform.losses.crossmodal import clip_loss
from ssl_platform.losses.decorrelation import (
    TicoTerms,
    VicregTerms,
    barlow_twins,
    covariance,
    invariance,
    second_moment,
    tico_terms,
    variance,
    vicreg,
    vicreg_terms,
)
from ssl_platform.losses.denoising import component_error, noisy_components
from ssl_platform.losses.dense import place_consistency
from ssl_platform.losses.distillation import (
    byol_regression,
    centred_softmax,
    dino_cross_entropy,
    masked_distillation,
    moved_centre,
    negative_cosine,
    sharpened,
)
from ssl_platform.losses.entropy import koleo, mean_entropy_gap
from ssl_platform.losses.frequency import spectrum_error
from ssl_platform.losses.latent import (
    instance_normalised,
    pairwise_similarity,
    patch_discrimination,
    scaled_square_error,
)
from ssl_platform.losses.masked import (
    masked_error,
    masked_mean,
    normalised_patches,
    patch_mse,
    smooth_l1_tokens,
)
from ssl_platform.losses.memory import (
    estimated_log_normaliser,
    memory_contrast,
    memory_softmax,
    noise_contrast,
)
from ssl_platform.losses.mixing import Hard, hardest, mix_pairs, mix_with_query
from ssl_platform.losses.pairs import debiased_nt_xent, kernel_info_nce, supcon
from ssl_platform.losses.power_spherical import log_power_spherical, log_uniform_sphere
from ssl_platform.losses.precision import full_precision, widen
from ssl_platform.losses.quantised import annealed_mean, binned_cross_entropy, rebalanced, soft_bins
from ssl_platform.losses.relation import relation_loss
from ssl_platform.losses.sequence import future_info_nce
from ssl_platform.losses.sigreg import sigreg, view_mean_mse
from ssl_platform.losses.supervised import masked_cross_entropy
from ssl_platform.losses.whitening import w_mse, whitened

__all__ = [
    "Hard",
    "TicoTerms",
    "VicregTerms",
    "annealed_mean",
    "barlow_twins",
    "binned_cross_entropy",
    "byol_regression",
    "centred_softmax",
    "clip_loss",
    "cluster_cross_entropy",
    "commitment",
    "component_error",
    "counting_loss",
    "covariance",
    "critic_loss",
    "cross_view_cross_entropy",
    "debiased_nt_xent",
    "dino_cross_entropy",
    "estimated_log_normaliser",
    "fooling_loss",
    "full_precision",
    "future_info_nce",
    "hardest",
    "info_nce",
    "instance_normalised",
    "invariance",
    "kernel_info_nce",
    "key_logits",
    "koleo",
    "log_power_spherical",
    "log_uniform_sphere",
    "masked_cross_entropy",
    "masked_distillation",
    "masked_error",
    "masked_mean",
    "mean_entropy_gap",
    "memory_contrast",
    "memory_softmax",
    "mix_pairs",
    "mix_with_query",
    "moved_centre",
    "negative_cosine",
    "noise_contrast",
    "noisy_components",
    "normalised_patches",
    "nt_xent",
    "one_minus_cosine",
    "pairwise_similarity",
    "patch_discrimination",
    "patch_mse",
    "picked",
    "place_consistency",
    "rebalanced",
    "relation_loss",
    "scaled_square_error",
    "second_moment",
    "share_used",
    "sharpened",
    "sigreg",
    "smooth_l1_tokens",
    "soft_bins",
    "soft_cross_entropy",
    "spectrum_error",
    "supcon",
    "swapped_prediction",
    "tico_terms",
    "token_cross_entropy",
    "variance",
    "vicreg",
    "vicreg_terms",
    "view_mean_mse",
    "w_mse",
    "whitened",
    "widen",
]
