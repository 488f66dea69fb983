"""What a masked objective predicts, as pictures: the input, what the encoder saw of it, and what was made of that."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ssl_platform.masking.random import random_masks
from ssl_platform.nn.backbone import Backbone, Normaliser
from ssl_platform.nn.decoder import MaskedDecoder
from ssl_platform.objectives.base import Export
from ssl_platform.report.album import Reconstruction
from ssl_platform.report.paint import showing
from ssl_platform.report.pictures import thumbnail
from ssl_platform.types import View

Render = Callable[[np.ndarray, View], np.ndarray]


def can_reconstruct(export: Export) -> bool:
    """Whether there is a decoder of masked tokens and a first layer that can be undone."""
    encoder = export.encoder
    reversible = encoder.tokenizer is not None and isinstance(encoder.normaliser, Normaliser)
    return reversible and not encoder_points(encoder) and isinstance(export.parts.get("decoder"), MaskedDecoder)


@torch.no_grad()
def reconstruct(export: Export, view: View, ratio: float) -> tuple[Tensor, Tensor, Tensor]:
    """Mask a view as training does and fill the masked cells.

    Args:
        export: encoder and decoder, in evaluation mode.
        view: with draws.
        ratio: fraction of tokens masked.

    Returns:
        The view with masked cells predicted and the others as they are, in raw units, shaped as `view.x`; which cells
        were masked, bool of the same shape; `[B]` mean error of the masked tokens.
    """
    encoder, decoder = export.encoder, export.parts["decoder"]
    tokenizer = encoder.tokenizer
    assert tokenizer is not None
    tokens = encoder.tokenize(view)
    visible, masked = random_masks(tokens, ratio, view.random)
    prediction = decoder(encoder.encode(tokens, visible), masked.gather(tokens.coords))
    content = encoder.targets(view)
    target = masked.gather(content)
    valid = encoder.target_valid(view)
    real = None if valid is None else masked.gather(valid)
    error = tokenizer.loss(prediction, target, real)
    counted = torch.ones_like(error) if masked.valid is None else masked.valid.to(error.dtype)
    mean_error = (error * counted).sum(1) / counted.sum(1).clamp_min(1)
    # Where the loss normalises each token, its own mean and deviation bring the prediction back to values.
    undo = getattr(tokenizer, "to_content", None)
    prediction = prediction if undo is None else undo(prediction, target, real)
    chosen = masked.dense()[..., None].expand_as(content)
    places = masked.index[..., None].expand(-1, -1, content.shape[-1])
    filled = torch.where(chosen, content.scatter(1, places, prediction.to(content.dtype)), content)
    cells = tokenizer.reconstruct(chosen.to(content.dtype), view) > 0.5
    if view.valid is not None:
        cells = cells & view.valid.unsqueeze(1)
    values = _raw(encoder, tokenizer.reconstruct(filled, view), view)
    return torch.where(cells, values.to(view.x.dtype), view.x), cells, mean_error


def encoder_points(encoder: Backbone) -> bool:
    """Whether the encoder takes point sets."""
    return bool(getattr(encoder.normaliser, "points", False))


def _raw(encoder: Backbone, x: Tensor, view: View) -> Tensor:
    """The first layer undone, on a grid."""
    normaliser = encoder.normaliser
    assert isinstance(normaliser, Normaliser)
    mean, std = normaliser.statistics(view.channels)
    shape = (1, -1, *[1] * (x.ndim - 2))
    return x * std.view(shape) + mean.view(shape)


def pictures(
    view: View, filled: Tensor, cells: Tensor, error: Tensor, ids: list[str], render: Render, side: int
) -> list[Reconstruction]:
    """One `Reconstruction` for each sample of a view.

    Args:
        view: the input.
        filled, cells, error: from `reconstruct`.
        ids: of the samples.
        render: a sample's values and its view to a picture.
        side: cells of the longer side of what is kept.
    """
    made = []
    before, after, masks = (t.cpu().numpy() for t in (view.x, filled, cells))
    for i, item in enumerate(ids):
        # The view keeps its batch of one, for the channels that are valid in this sample.
        valid = None if view.channel_valid is None else view.channel_valid[i : i + 1]
        one = view.replace(x=view.x[i : i + 1], channel_valid=valid)
        shown = render(before[i], one)
        hidden = showing(before[i], masks[i], partial(_swapped, render, one))
        alpha = np.where(hidden, 0, 255).astype(np.uint8)[..., None]
        colour = shown[..., None] if shown.ndim == 2 else shown
        visible = np.concatenate([np.where(hidden[..., None], 0, colour).astype(np.uint8), alpha], axis=2)
        within = after[i].clip(before[i].min(), before[i].max())
        first, second, third = (thumbnail(picture, side) for picture in (shown, visible, render(within, one)))
        made.append(Reconstruction(item, first, second, third, float(error[i])))
    return made


def _swapped(render: Render, view: View, x: np.ndarray) -> np.ndarray:
    return render(x, view)
