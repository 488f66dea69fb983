import numpy as np
import torch

from ssl_platform.transfer.sliding_window import sliding_window, starts, windows_over


def test_windows_cover_everything_and_end_flush() -> None:
    for length in range(3, 60):
        for overlap in (0.0, 0.25, 0.5):
            found = starts(length, 16, overlap)
            if length > 16:
                assert found[0] == 0 and found[-1] == length - 16
                assert max(np.diff(found)) <= 16 * (1 - overlap) + 1
            else:
                assert found == [-((16 - length) // 2)]
    assert len(list(windows_over((40, 16, 10), (16, 16, 16), 0.5))) == 4


def test_a_pointwise_model_is_reproduced_exactly_whatever_the_windows() -> None:
    rng = np.random.default_rng(0)
    volume = rng.normal(size=(21, 17, 9)).astype(np.float32)

    def read(window):
        out = np.zeros(window.size, np.float32)
        for cell in np.ndindex(*window.size):
            place = tuple(s + c for s, c in zip(window.start, cell, strict=True))
            if all(0 <= p < n for p, n in zip(place, volume.shape, strict=True)):
                out[cell] = volume[place]
        return torch.from_numpy(out)

    def logits(windows):
        x = torch.stack([read(w) for w in windows])[:, None]
        return torch.cat([x, -x], 1)

    got = sliding_window(logits, volume.shape, (8, 8, 12), 2, batch=3)
    expected = 1 / (1 + np.exp(-2 * volume))
    np.testing.assert_allclose(got[0], expected, atol=1e-5)
    np.testing.assert_allclose(got.sum(0), 1, atol=1e-5)
