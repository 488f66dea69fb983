import pytest
import torch

from ssl_platform.nn.decoder import CrossDecoder, MaskedDecoder
from ssl_platform.nn.predictor import CrossPredictor, TokenPredictor
from ssl_platform.types import Features


def features(b=2, k=5, rank=2, prefix=1, valid=None, seed=0):
    g = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=g)  # noqa: E731
    return Features(draw(b, 16), draw(b, prefix, 16), draw(b, k, 16), torch.rand(b, k, rank, generator=g), valid)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_permuting_target_sets_permutes_predictions(rank):
    torch.manual_seed(0)
    predictor, coords = TokenPredictor(16, 24, 2, 4), torch.rand(2, 3, 4, rank)
    f = features(rank=rank)
    out = predictor(f, coords)
    assert out.shape == (2, 3, 4, 16)
    torch.testing.assert_close(predictor(f, coords[:, [2, 0, 1]]), out[:, [2, 0, 1]], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(predictor(f, coords[:, 1]), out[:, 1], atol=1e-5, rtol=1e-5)
    order = torch.tensor([3, 1, 0, 2])
    torch.testing.assert_close(predictor(f, coords[:, :, order]), out[:, :, order], atol=1e-5, rtol=1e-5)


def test_the_place_and_the_context_decide():
    torch.manual_seed(0)
    predictor, coords = TokenPredictor(16, 24, 2, 4), torch.rand(2, 3, 2)
    out = predictor(features(), coords)
    assert not torch.allclose(out, predictor(features(), coords + 0.1), atol=1e-3)
    assert not torch.allclose(out, predictor(features(seed=1), coords), atol=1e-3)


def test_padded_context_and_targets_are_hidden():
    torch.manual_seed(0)
    predictor, coords = TokenPredictor(16, 24, 2, 4), torch.rand(2, 3, 4, 2)
    valid = torch.tensor([[True] * 5, [True, True, True, False, False]])
    a = features(valid=valid)
    b = features(valid=valid)
    b.tokens[1, 3:], b.coords[1, 3:] = 9.0, 0.7
    torch.testing.assert_close(predictor(a, coords), predictor(b, coords))
    real = torch.ones(2, 3, 4, dtype=torch.bool)
    real[..., 3] = False
    moved = coords.clone()
    moved[..., 3, :] = 0.1
    x, y = predictor(a, coords, valid=real), predictor(a, moved, valid=real)
    torch.testing.assert_close(x[:, :, :3], y[:, :, :3])
    torch.testing.assert_close(x[:, :, :3], predictor(a, coords[:, :, :3]), atol=1e-5, rtol=1e-5)


def test_queries_of_the_cross_predictor_do_not_see_one_another():
    torch.manual_seed(0)
    predictor, coords = CrossPredictor(16, 24, 3, 4), torch.rand(2, 6, 2)
    out = predictor(features(), coords)
    torch.testing.assert_close(predictor(features(), coords[:, 2:3]), out[:, 2:3], atol=1e-6, rtol=1e-6)
    self_attending = TokenPredictor(16, 24, 3, 4)
    whole = self_attending(features(), coords)
    assert not torch.allclose(self_attending(features(), coords[:, 2:3]), whole[:, 2:3], atol=1e-4), "control"


def test_cross_decoder_reads_its_memory_and_the_visible_tokens():
    torch.manual_seed(0)
    decoder, coords = CrossDecoder(16, 7, 24, 2, 4), torch.rand(2, 3, 2)
    seen, memory = features(k=2), features(k=9, seed=3)
    out = decoder(seen, coords, memory=memory)
    assert out.shape == (2, 3, 7)
    memory.valid = torch.ones(2, 9, dtype=torch.bool)
    torch.testing.assert_close(decoder(seen, coords, memory=memory), out, atol=1e-5, rtol=1e-5)
    memory.valid[:, 4:] = False
    shorter = Features(memory.pooled, memory.prefix, memory.tokens[:, :4], memory.coords[:, :4])
    torch.testing.assert_close(
        decoder(seen, coords, memory=memory), decoder(seen, coords, memory=shorter), atol=1e-5, rtol=1e-5
    )
    assert not torch.allclose(decoder(features(k=2, seed=5), coords, memory=shorter), out, atol=1e-3)


def test_kinds_tell_masked_tokens_of_one_place_apart():
    torch.manual_seed(0)
    decoder, coords = TokenPredictor(16, 24, 2, 4, out_dim=7, kinds=3), torch.rand(2, 1, 2).expand(2, 2, 2)
    kind, context = torch.tensor([[0, 2], [1, 1]]), torch.zeros(2, 5, dtype=torch.long)
    out = decoder(features(), coords, kind=kind, context_kind=context)
    assert not torch.allclose(out[0, 0], out[0, 1], atol=1e-3)
    torch.testing.assert_close(out[1, 0], out[1, 1])


def test_gradient_reaches_mask_token_and_context():
    f = features()
    f.tokens.requires_grad_()
    decoder = MaskedDecoder(16, 7, 24, 1, 4)
    decoder(f, torch.rand(2, 3, 2)).square().mean().backward()
    assert decoder.mask_token.grad.abs().sum() > 0 and f.tokens.grad.abs().sum() > 0


def test_features_without_tokens_are_refused():
    with pytest.raises(ValueError, match="token features"):
        TokenPredictor(16, 24, 1, 4)(Features(torch.zeros(1, 16), torch.zeros(1, 0, 16)), torch.zeros(1, 1, 2))
