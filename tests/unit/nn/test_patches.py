import pytest
import torch

from ssl_platform.errors import ConfigError
from ssl_platform.nn.patches import check_patch, crop, grid_of, pad_to_patches, patch_coords, patchify, unpatchify

CASES = [((12,), (4,), 3), ((8, 12), (4, 3), 5), ((4, 6, 8), (2, 3, 4), 2)]


@pytest.mark.parametrize(("size", "patch", "channels"), CASES)
def test_there_and_back_is_exact_for_every_rank(size, patch, channels):
    x = torch.randn(2, channels, *size)
    values = patchify(x, patch)
    assert values.shape == (2, x[0, 0].numel() // torch.tensor(patch).prod(), torch.tensor(patch).prod() * channels)
    assert torch.equal(unpatchify(values, grid_of(size, patch), patch, channels), x)


def test_order_inside_a_patch_is_cells_first_channels_last():
    x = torch.arange(2 * 4 * 4.0).reshape(1, 2, 4, 4)
    golden = [0, 16, 1, 17, 4, 20, 5, 21]  # (p, p, C): both channels of a cell stand together
    assert patchify(x, (2, 2))[0, 0].tolist() == golden
    assert patchify(x, (2, 2))[0, 1].tolist() == [2, 18, 3, 19, 6, 22, 7, 23], "patches are row-major"


def test_padding_goes_to_the_end_and_is_cut_off_again():
    x = torch.randn(1, 1, 5, 7)
    padded = pad_to_patches(x, (4, 4))
    assert padded.shape == (1, 1, 8, 8) and (padded[..., 5:, :] == 0).all() and (padded[..., 7:] == 0).all()
    assert torch.equal(crop(padded, (5, 7)), x)
    assert pad_to_patches(x, (5, 7)) is x


def test_coords_are_patch_centres_in_row_major_order():
    coords = patch_coords((4, 6), (2, 2), torch.zeros(3, 1))
    assert coords.shape == (3, 6, 2) and coords.stride(0) == 0
    torch.testing.assert_close(coords[0, 1], torch.tensor([0.25, 0.5]))
    half = patch_coords((4, 6), (2, 2), torch.zeros(3, 1, dtype=torch.bfloat16))
    assert half.dtype == torch.float32


@pytest.mark.parametrize("patch", [(4,), (4, 0), (4, 4, 4)])
def test_patch_that_does_not_fit_the_rank(patch):
    with pytest.raises(ConfigError, match=r"backbone\.patch"):
        check_patch(patch, 2)
