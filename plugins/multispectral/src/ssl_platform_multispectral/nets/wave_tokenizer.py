"""One token a place whose embedding is made from wavelengths: one model for any bands."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_platform.nn.patch_tokenizer import PatchTokenizer
from ssl_platform.nn.positions import sincos
from ssl_platform.types import Tokens, View

WAVE_DIM = 128
KERNEL_SCALE = 0.01


class WaveTokenizer(PatchTokenizer):
    """A patch embedding whose kernel a small net generates from wavelengths (DOFA: Xiong et al., 2024).

    Codes of the wavelengths go through a residual MLP, then with learned weight tokens and a bias token through one
    transformer layer; every band's output becomes its slice of the kernel, the bias token's the bias. The number of
    parameters does not depend on the bands. Contrary to the published code nothing is padded around the view, so
    tokens lie where their targets do, and bands a scene lacks are hidden from the generator, so that its tokens are
    those of a model built without them.

    Args:
        micrometres: centre wavelength of each channel.
        patch: cells of a patch along H and W.
        embed_dim: D.
        weight_tokens: learned tokens beside the bands.
        min_valid, norm_pix: as in `PatchTokenizer`.
    """

    wavelength: Tensor

    def __init__(
        self,
        micrometres: Sequence[float],
        patch: Sequence[int],
        embed_dim: int,
        *,
        weight_tokens: int = 128,
        min_valid: float = 0.0,
        norm_pix: bool = True,
    ) -> None:
        super().__init__(2, len(micrometres), patch, None, min_valid=min_valid, norm_pix=norm_pix)
        self.embed_dim = embed_dim
        self.register_buffer("wavelength", torch.tensor(list(micrometres), dtype=torch.float32), persistent=False)
        self.wave = nn.Sequential(nn.Linear(WAVE_DIM, WAVE_DIM), nn.ReLU(), nn.Linear(WAVE_DIM, WAVE_DIM), nn.ReLU())
        self.tokens = nn.Parameter(torch.empty(weight_tokens + 1, WAVE_DIM))
        nn.init.normal_(self.tokens, std=0.02)
        self.mixer = nn.TransformerEncoderLayer(
            WAVE_DIM, 4, dim_feedforward=2048, dropout=0.0, activation="gelu", batch_first=True
        )
        cells = self.patch[0] * self.patch[1]
        self.to_kernel = nn.Linear(WAVE_DIM, cells * embed_dim)
        self.to_bias = nn.Linear(WAVE_DIM, embed_dim)

    def kernel(self, present: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The patch embedding for some bands.

        Args:
            present: `[G, C]` bool, bands of each of G sets; None for one set of all.

        Returns:
            `[G, C, cells, D]` and bias `[G, D]`.
        """
        code = sincos(self.wavelength[:, None] * 1000.0, WAVE_DIM).to(self.tokens.dtype)
        code = code + self.wave(code)
        learned = self.tokens
        sets = 1 if present is None else len(present)
        sequence = torch.cat([learned[:-1], code, learned[-1:]]).expand(sets, -1, -1)
        hidden = None
        if present is not None:
            ends = torch.zeros(sets, len(learned), dtype=torch.bool, device=present.device)
            hidden = torch.cat([ends[:, :-1], ~present, ends[:, -1:]], 1)
        mixed = self.mixer(sequence, src_key_padding_mask=hidden)
        bands = mixed[:, len(learned) - 1 : -1] + code
        kernel = self.to_kernel(bands).unflatten(-1, (-1, self.embed_dim))
        return KERNEL_SCALE * kernel, KERNEL_SCALE * self.to_bias(mixed[:, -1])

    def forward(self, view: View) -> Tokens:
        """Tokens of a normalised view, embedded: x is zero in bands a scene lacks."""
        tokens = super().forward(view)
        kernel, bias = self.kernel(view.channel_valid)
        # patches hold cells first and channels last: [G, C, cells, D] -> [G, cells * C, D]
        flat = kernel.transpose(1, 2).flatten(1, 2).to(tokens.values.dtype)
        bias = bias.to(tokens.values.dtype)
        if len(flat) == 1:
            tokens.values = F.linear(tokens.values, flat[0].T, bias[0])
        else:
            tokens.values = torch.baddbmm(bias[:, None], tokens.values, flat)
        return tokens

    def embed_values(self, values: Tensor) -> Tensor:
        """Tokens come embedded."""
        return values
