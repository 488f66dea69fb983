"""Checks of tokens, masks, features and pictures with the domain's default backbone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
import torch

from ssl_platform.masking.block import block_masks
from ssl_platform.masking.inverse_block import inverse_block_masks
from ssl_platform.masking.multi_block import multi_block_masks
from ssl_platform.masking.random import random_masks
from ssl_platform.masking.tube import tube_masks
from ssl_platform.nn.tokenizer import Tokenizer
from ssl_platform.testing.conformance.check import Check, NotApplicable, Violation, checks_of
from ssl_platform.testing.conformance.subject import DomainUnderTest
from ssl_platform.types import Mask, Tokens, View

POLICIES: dict[str, Callable[..., object]] = {
    "random": lambda tokens, draws: random_masks(tokens, 0.6, draws),
    "block": lambda tokens, draws: block_masks(tokens, 0.5, draws),
    "inverse-block": lambda tokens, draws: inverse_block_masks(tokens, 0.6, draws),
    "multi-block": lambda tokens, draws: multi_block_masks(tokens, draws),
    "tube": lambda tokens, draws: tube_masks(tokens, 0.5, draws),
}


def checks(domain: DomainUnderTest) -> Iterator[Check]:
    """Checks of one domain's tokens."""
    yield from checks_of(
        domain,
        ("tokens.shapes", "tokens have coordinates in [0, 1] and some are valid", shapes),
        ("tokens.roundtrip", "token targets, put together again, are the view", roundtrip),
        ("tokens.features", "the default backbone gives finite features that tell items apart", features),
        ("tokens.invalid", "what invalid cells hold changes no feature", invalid),
    )
    for name in POLICIES:
        about = f"{name} masks choose real tokens, the same again for the same sample"
        yield Check(f"masks.{name}", domain.subject, about, functools.partial(masks, domain, name))
    yield Check(
        "render.picture",
        domain.subject,
        "a view is drawn as a picture that shows something",
        functools.partial(render, domain),
    )


def _tokenizer(domain: DomainUnderTest) -> Tokenizer:
    if domain.backbone.tokenizer is None:
        raise NotApplicable(f"{domain.kind.default_backbone} has no tokens")
    return domain.backbone.tokenizer


def _tokens(domain: DomainUnderTest) -> Tokens:
    _tokenizer(domain)
    return domain.once("tokens", lambda: domain.backbone.tokenize(domain.clean))


def shapes(domain: DomainUnderTest) -> str:
    """What a tokenizer promises."""
    tokens, rank, batch = _tokens(domain), domain.layout.rank, len(domain.clean)
    if tuple(tokens.coords.shape) != (batch, tokens.count, rank):
        raise Violation(
            f"coords have the shape {tuple(tokens.coords.shape)}", f"give [B, N, S] = {(batch, tokens.count, rank)}"
        )
    real = tokens.coords if tokens.valid is None else tokens.coords[tokens.valid]
    if not ((real >= -1e-4) & (real <= 1 + 1e-4)).all():
        raise Violation("coordinates of tokens leave [0, 1]", "coords are centres of tokens over the view")
    if tokens.grid is not None and int(np.prod(tokens.grid)) != tokens.count:
        raise Violation(f"{tokens.count} tokens on a grid of {tokens.grid}", "give grid=None for sets")
    if tokens.valid is not None and not tokens.valid.any(1).all():
        raise Violation(
            "a sample has no valid token", "a token with one valid cell is valid unless min_valid says more"
        )
    if tokens.count < 4:
        raise Violation(f"a default view has {tokens.count} tokens", "choose a smaller patch or a larger window")
    return f"{tokens.count} tokens" + ("" if tokens.grid is None else f", {'x'.join(str(n) for n in tokens.grid)}")


def roundtrip(domain: DomainUnderTest) -> str:
    """`reconstruct(targets(view))` against the normalised view."""
    tokenizer, backbone, view = _tokenizer(domain), domain.backbone, domain.clean
    with torch.no_grad():
        normal = backbone.normalise(view)
        targets = tokenizer.targets(normal)
        back = tokenizer.reconstruct(targets, normal)
    if tuple(targets.shape) != (len(view), _tokens(domain).count, tokenizer.target_dim):
        raise Violation(f"targets have the shape {tuple(targets.shape)}", "give [B, N, target_dim]")
    if domain.layout.points:
        rank = domain.layout.rank
        real = back if _tokens(domain).valid is None else back[:, :1]
        far = torch.cdist(real[..., :rank], normal.x[..., :rank])
        if view.valid is not None:
            far = far.masked_fill(~view.valid[:, None], torch.inf)
        worst = float(far.amin(-1).amax())
    else:
        if back.shape != normal.x.shape:
            raise Violation(
                f"reconstruct() gives {tuple(back.shape)} for a view of {tuple(normal.x.shape)}", "as the view"
            )
        keep = torch.ones_like(normal.x, dtype=torch.bool)
        if view.valid is not None:
            keep &= view.valid[:, None]
        worst = float((back - normal.x)[keep].abs().amax())
    if worst > 1e-3:
        raise Violation(f"the way back from tokens is off by {worst:.3g}", "reconstruct() undoes targets()")
    return f"largest difference {worst:.1e}"


def features(domain: DomainUnderTest) -> str:
    """A forward pass."""
    with torch.no_grad():
        found = domain.backbone(domain.clean)
    if tuple(found.pooled.shape) != (len(domain.clean), domain.backbone.embed_dim):
        raise Violation(f"pooled features have the shape {tuple(found.pooled.shape)}", "give [B, embed_dim]")
    if not found.pooled.isfinite().all():
        raise Violation("features hold NaN or infinity", "values reach the backbone that the first layer cannot scale")
    if float(found.pooled.std(0).max()) < 1e-6:
        raise Violation("all items have the same features", "windows are empty, or all values invalid")
    return f"{found.pooled.shape[1]} dimensions"


def invalid(domain: DomainUnderTest) -> None:
    """A hole with other values in it."""
    view = domain.clean
    valid = torch.ones(view.x.shape[:2] if domain.layout.points else (len(view), *view.x.shape[2:]), dtype=torch.bool)
    valid = valid if view.valid is None else view.valid.clone()
    valid[:, : valid.shape[1] // 3] = False
    hole = ~(valid[..., None] if domain.layout.points else valid[:, None])
    found = []
    with torch.no_grad():
        for value in (0.0, 7.0):
            x = torch.where(hole, torch.full((), value), view.x)
            found.append(domain.backbone(view.replace(x=x, valid=valid)).pooled)
    if not torch.equal(*found):
        raise Violation(
            f"features change by {float((found[0] - found[1]).abs().max()):.3g} with what invalid cells hold",
            "the default backbone must hide invalid cells: in the first layer, in attention and in pooling",
        )


def masks(domain: DomainUnderTest, name: str) -> str:
    """One policy on the domain's tokens."""
    tokens, view = _tokens(domain), domain.clean
    if name == "tube" and (tokens.grid is None or len(tokens.grid) < 2):
        raise NotApplicable("tubes need a grid of rank 2 or 3")
    first, second = (_masks_of(POLICIES[name](tokens, view.random)) for _ in range(2))
    for mask, other in zip(first, second, strict=True):
        if not torch.equal(mask.index, other.index):
            raise Violation(f"{name} masks differ for the same draws", "a view's draws are a function of the sample")
        _check_mask(name, mask, tokens, view)
    return f"{sum(m.index.shape[-1] for m in first)} of {tokens.count} tokens"


def _masks_of(made: object) -> list[Mask]:
    if isinstance(made, Mask):
        return [made]
    assert isinstance(made, tuple)
    return [mask for mask in made if isinstance(mask, Mask)]


def _check_mask(name: str, mask: Mask, tokens: Tokens, view: View) -> None:
    if int(mask.index.min()) < 0 or int(mask.index.max()) >= tokens.count:
        raise Violation(f"{name} masks name tokens outside 0..{tokens.count - 1}", "Tokens.grid and count must agree")
    if mask.index.shape[0] != len(view):
        raise Violation(f"{name} masks are {tuple(mask.index.shape)} for {len(view)} samples", "one row a sample")
    chosen = mask.dense()
    real = torch.ones_like(mask.index, dtype=torch.bool) if mask.valid is None else mask.valid
    if not torch.equal(chosen.sum(-1), real.sum(-1)):
        raise Violation(f"{name} masks choose a token twice", "coordinates of tokens must differ from each other")
    if tokens.valid is not None:
        hidden = ~tokens.valid if chosen.ndim == 2 else ~tokens.valid[:, None]
        if (chosen & hidden).any():
            raise Violation(f"{name} masks choose invalid tokens", "Tokens.valid says which tokens are real")


def render(domain: DomainUnderTest) -> str:
    """Pictures for reports."""
    view = domain.clean
    for i in range(min(3, len(view))):
        picture = domain.domain.render(view.x[i].numpy().copy(), view.channels)
        if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
            raise Violation(f"render() gives {getattr(picture, 'dtype', type(picture).__name__)}", "return uint8")
        if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] != 3):
            raise Violation(f"render() gives the shape {picture.shape}", "return [H, W] or [H, W, 3]")
        if picture.min() == picture.max():
            raise Violation("render() gives a picture of one colour", "scale values to 0..255 by percentiles")
    hollow = view.x[0].numpy().copy()
    hollow.flat[0] = np.nan
    domain.domain.render(hollow, view.channels)
    return f"{'x'.join(str(n) for n in picture.shape)}"
