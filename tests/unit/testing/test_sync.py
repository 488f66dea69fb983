"""What makes a host wait is found on any device."""

import pytest
import torch

from ssl_platform.testing.sync import SyncError, forbid_sync

WAITING = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.sum()),
    "branch": lambda x: 1 if x.sum() > 0 else 0,
    "nonzero": lambda x: x.nonzero(),
    "boolean index": lambda x: x[x > 0],
    "boolean assignment": lambda x: x.clone().__setitem__(x > 0, torch.ones(3)),
    "masked_select": lambda x: torch.masked_select(x, x > 0),
    "unique": lambda x: x.unique(),
    "equal": lambda x: x.equal(x),
    "allclose": lambda x: torch.allclose(x, x),
    "bincount": lambda x: x.abs().long().bincount(),
    "inverse": lambda x: torch.linalg.inv(x.view(2, 2)),
    "repeat": lambda x: x.repeat_interleave(torch.tensor([1, 2, 1, 1])),
}


@pytest.mark.parametrize("name", WAITING)
def test_waiting_is_an_error(name):
    x = torch.tensor([1.0, -2.0, 3.0, 4.0])
    with pytest.raises(SyncError), forbid_sync():
        WAITING[name](x)


def test_the_rest_goes_on():
    x = torch.tensor([1.0, -2.0, 3.0, 4.0])
    with forbid_sync():
        y = torch.where(x > 0, x, 0.0)[torch.arange(2)].repeat_interleave(2).cumsum(0)
        z = torch.linalg.inv_ex(torch.eye(2)).inverse
    assert y.tolist() == [1.0, 2.0, 2.0, 2.0] and z.shape == (2, 2)
