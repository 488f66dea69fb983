import pytest
import torch

from ssl_platform.errors import ConfigError
from ssl_platform.nn.backbones import build
from ssl_platform.nn.channel_tokenizer import ChannelTokenizer
from ssl_platform.types import Channel, Layout, View

NAMES = ("a", "b", "c", "d")
LAYOUT = Layout(
    "C H W", tuple(Channel(n, wavelength=500.0 + 100 * i) for i, n in enumerate(NAMES)), ragged_channels=True
)


def encoder(**settings):
    torch.manual_seed(0)
    return build("vit-pico", LAYOUT, NAMES, (8, 8), (4, 4), depth=2, **settings).eval()


def padded(x, channels):
    """Three real channels among `channels`."""
    full = torch.randn(len(x), channels, 8, 8)
    full[:, :3] = x
    valid = torch.zeros(len(x), channels, dtype=torch.bool)
    valid[:, :3] = True
    return View(full, channel_valid=valid, channels=NAMES[:channels])


@pytest.mark.parametrize("conditioning", ["name", "wavelength"])
def test_padding_and_its_content_are_invisible(conditioning):
    net, x = encoder(conditioning=conditioning), torch.randn(2, 3, 8, 8)
    exact = net(View(x, channels=NAMES[:3])).pooled
    torch.testing.assert_close(net(padded(x, 4)).pooled, exact, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(net(padded(x, 4)).pooled, net(padded(x, 4)).pooled, atol=0, rtol=0)


def test_absent_channels_get_no_gradient():
    net, x = encoder(), torch.randn(2, 3, 8, 8)
    net(padded(x, 4)).pooled.sum().backward()
    grad = net.tokenizer.channel.grad
    assert (grad[3] == 0).all() and (grad[:3] != 0).any(-1).all()


def test_swapping_channels_with_their_names_permutes_tokens():
    net, x = encoder(), torch.randn(2, 3, 8, 8)
    a = net(View(x, channels=("a", "b", "c")))
    b = net(View(x[:, [1, 0, 2]], channels=("b", "a", "c")))
    torch.testing.assert_close(a.pooled, b.pooled, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(a.tokens[:, :4], b.tokens[:, 4:8], atol=1e-5, rtol=1e-5)
    c = net(View(x[:, [1, 0, 2]], channels=("a", "b", "c")))
    assert not torch.allclose(a.pooled, c.pooled, atol=1e-3), "control: content without its name is another input"


def test_one_channel_with_a_zero_embedding_is_a_plain_vit():
    net = encoder()
    plain = build("vit-pico", Layout("C H W", (Channel("a"),)), ("a",), (8, 8), (4, 4), depth=2).eval()
    state = {k: v for k, v in net.state_dict().items() if k in plain.state_dict() and "normaliser" not in k}
    plain.load_state_dict(state, strict=False)
    with torch.no_grad():
        net.tokenizer.channel.zero_()
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(net(View(x, channels=("a",))).pooled, plain(View(x)).pooled, atol=1e-5, rtol=1e-5)


def test_targets_lead_back_and_know_what_is_real():
    tokenizer = ChannelTokenizer(3, NAMES, (2, 2, 2), 16)
    view = View(torch.randn(2, 3, 4, 4, 5), channels=NAMES[:3])
    assert torch.equal(tokenizer.reconstruct(tokenizer.targets(view), view), view.x)
    valid = tokenizer.target_valid(view)
    assert valid.sum() == view.x.numel() and valid.shape == tokenizer.targets(view).shape
    tokens = tokenizer(view)
    assert tokens.grid is None and tokens.kind[0].view(3, -1)[:, 0].tolist() == [0, 1, 2]
    assert torch.equal(tokens.coords[:, :12], tokens.coords[:, 12:24])


def test_normaliser_matches_statistics_by_name():
    net = encoder()
    net.normaliser.set(torch.arange(4.0), torch.ones(4))
    x = torch.zeros(1, 2, 8, 8)
    assert net.normaliser(View(x, channels=("d", "b")))[0, :, 0, 0].tolist() == [-3.0, -1.0]


def test_errors_name_the_channel_and_the_fix():
    with pytest.raises(ConfigError, match="channel 'bb' is not one of"):
        ChannelTokenizer(2, NAMES, (4, 4), 8)(View(torch.zeros(1, 1, 8, 8), channels=("bb",)))
    with pytest.raises(ConfigError, match=r"backbone\.conditioning=name"):
        ChannelTokenizer(2, NAMES, (4, 4), 8, wavelengths=(500.0, None, 1.0, 2.0), conditioning="wavelength")
