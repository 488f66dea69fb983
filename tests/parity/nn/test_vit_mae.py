"""A two-dimensional ViT equals timm's, and an MAE step equals one built from lightly's parts, with the same weights."""

import numpy as np
import pytest
import torch

from ssl_platform.draws import Draws
from ssl_platform.losses.masked import masked_mean
from ssl_platform.masking.random import random_masks
from ssl_platform.nn.backbones import build
from ssl_platform.nn.decoder import MaskedDecoder
from ssl_platform.nn.patches import patch_coords
from ssl_platform.nn.positions import SinCos
from ssl_platform.types import Channel, Layout, View

timm = pytest.importorskip("timm")
lightly_utils = pytest.importorskip("lightly.models.utils")

SIDE, PATCH, CHANNELS, GRID = 32, 8, 3, 4
LAYOUT = Layout("C H W", tuple(Channel(n) for n in "rgb"))


def ours(**settings):
    torch.manual_seed(0)
    net = build("vit-tiny", LAYOUT, tuple("rgb"), (SIDE, SIDE), (PATCH, PATCH), depth=3, **settings)
    for parameter in net.parameters():  # biases and norms too, so that every one of them is compared
        torch.nn.init.normal_(parameter, std=0.05)
    return net.double()


def theirs(net, **settings):
    """timm's ViT with our weights: names agree, the patch kernel and the prefix are laid out differently."""
    other = timm.models.vision_transformer.VisionTransformer(
        img_size=SIDE, patch_size=PATCH, embed_dim=192, depth=3, num_heads=3, num_classes=0, **settings
    ).double()
    state = {k: v for k, v in net.state_dict().items() if k.startswith(("blocks", "norm."))}
    kernel = net.tokenizer.embed.weight.view(192, PATCH, PATCH, CHANNELS)
    state["patch_embed.proj.weight"] = kernel.permute(0, 3, 1, 2)
    state["patch_embed.proj.bias"] = net.tokenizer.embed.bias
    coords = patch_coords((SIDE, SIDE), (PATCH, PATCH), torch.zeros(1, dtype=torch.float64))
    table = net.positions(coords)
    state["cls_token"] = net.prefix[None, :1]
    if net.prefix.shape[0] > 1:
        state["reg_token"] = net.prefix[None, 1:]
    pad = 0 if settings.get("no_embed_class") else 1
    state["pos_embed"] = torch.cat([torch.zeros(1, pad, 192, dtype=torch.float64), table], dim=1)
    missing, unexpected = other.load_state_dict(state, strict=False)
    assert not unexpected and all(name.startswith(("head", "fc_norm")) for name in missing)
    return other


@pytest.mark.parametrize("registers", [0, 2])
def test_forward_and_gradient_equal_timms(registers):
    net = ours(registers=registers, pool="cls")
    extra = {"reg_tokens": registers, "no_embed_class": True} if registers else {}
    other = theirs(net, **extra)
    x = torch.randn(2, CHANNELS, SIDE, SIDE, dtype=torch.float64)
    features, expected = net(View(x)), other.forward_features(x)
    prefix = 1 + registers
    torch.testing.assert_close(features.prefix, expected[:, :prefix], atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(features.tokens, expected[:, prefix:], atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(features.pooled, expected[:, 0], atol=1e-9, rtol=1e-9)
    features.tokens.square().sum().backward()
    expected[:, prefix:].square().sum().backward()
    for name, parameter in net.blocks.named_parameters():
        torch.testing.assert_close(parameter.grad, other.blocks.get_parameter(name).grad, atol=1e-9, rtol=1e-7)


def test_positions_equal_the_published_table_up_to_the_order_of_its_axes():
    table = SinCos(2, 64, 7, temperature=10_000)(patch_coords((7, 7), (1, 1), torch.zeros(1, dtype=torch.float64)))[0]
    published = torch.tensor(lightly_utils.get_2d_sincos_pos_embed(64, 7, cls_token=False))  # columns first
    swapped = torch.cat([published[:, 32:], published[:, :32]], dim=1).double()
    torch.testing.assert_close(table, swapped, atol=1e-6, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:MAEDecoderTIMM")
def test_an_mae_step_equals_one_of_lightlys_parts():
    from lightly.models.modules import MAEDecoderTIMM, MaskedVisionTransformerTIMM

    net = ours()
    torch.manual_seed(1)
    decoder = MaskedDecoder(192, PATCH * PATCH * CHANNELS, 32, 2, 4, steps=float(GRID)).double()
    view = View(torch.rand(3, CHANNELS, SIDE, SIDE, dtype=torch.float64), draws=Draws.at(0, torch.arange(3)))

    tokens = net.tokenize(view)
    visible, masked = random_masks(tokens, 0.75, view.random)
    prediction = decoder(net.encode(tokens, visible), masked.gather(tokens.coords))
    error = net.tokenizer.loss(prediction, masked.gather(net.targets(view)), None)
    loss = masked_mean(error, masked.valid)
    loss.backward()

    encoder = MaskedVisionTransformerTIMM(theirs(net), weight_initialization="skip", pos_embed_initialization="skip")
    other = MAEDecoderTIMM(
        GRID * GRID, PATCH, CHANNELS, embed_dim=192, decoder_embed_dim=32, decoder_depth=2, decoder_num_heads=4
    ).double()
    renamed = {"embed": "decoder_embed", "blocks": "decoder_blocks", "norm": "decoder_norm", "head": "decoder_pred"}
    state = {
        f"{renamed[name.split('.', 1)[0]]}.{name.split('.', 1)[1]}": value
        for name, value in decoder.state_dict().items()
        if "." in name
    }
    place = decoder.at(tokens.coords[:1])
    state["decoder_pos_embed"] = torch.cat([torch.zeros(1, 1, 32, dtype=torch.float64), place], dim=1)
    state["mask_token"] = decoder.mask_token[None, None]
    other.load_state_dict(state)

    keep = torch.cat([torch.zeros(3, 1, dtype=torch.long), visible.index + 1], dim=1)
    encoded = encoder.encode(images=view.x, idx_keep=keep)
    sequence = other.mask_token.repeat(3, GRID * GRID + 1, 1)
    sequence = sequence.scatter(1, keep[..., None].expand(-1, -1, 32), other.embed(encoded))
    decoded = other.predict(other.decode(sequence))
    hidden = masked.index + 1
    patches = lightly_utils.patchify(view.x, PATCH)  # (p, p, C), the published order
    rows = torch.arange(3)[:, None]
    wanted = patches[rows, masked.index]
    wanted = (wanted - wanted.mean(-1, keepdim=True)) / (wanted.var(-1, keepdim=True) + 1e-6) ** 0.5
    expected = ((decoded[rows, hidden] - wanted) ** 2).mean(-1).mean()
    expected.backward()

    torch.testing.assert_close(loss, expected, atol=1e-10, rtol=1e-10)
    for name, parameter in net.blocks.named_parameters():
        torch.testing.assert_close(parameter.grad, encoder.vit.blocks.get_parameter(name).grad, atol=1e-10, rtol=1e-7)
    torch.testing.assert_close(decoder.mask_token.grad, other.mask_token.grad.flatten(), atol=1e-10, rtol=1e-7)


def test_pixel_loss_from_its_formula():
    """He et al. (2022), section 4.1, in numpy, with cells that are not real."""
    rng = np.random.default_rng(0)
    tokenizer = ours().tokenizer
    target, prediction = rng.normal(2, 3, (2, 5, 192)), rng.normal(size=(2, 5, 192))
    valid = rng.random((2, 5, 192)) > 0.3
    hidden = rng.random((2, 5)) > 0.4
    total = count = 0.0
    for b in range(2):
        for n in range(5):
            if hidden[b, n]:
                real = target[b, n][valid[b, n]]
                wanted = (real - real.mean()) / np.sqrt(real.var(ddof=1) + 1e-6)
                total += ((prediction[b, n][valid[b, n]] - wanted) ** 2).mean()
                count += 1
    error = tokenizer.loss(*(torch.tensor(part) for part in (prediction, target, valid)))
    assert masked_mean(error, torch.tensor(hidden)).item() == pytest.approx(total / count, rel=1e-9)
