"""Bank by index (cards B07, 226) and first-in-first-out queue."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.errors import ConfigError
from ssl_platform.nn.bank import Bank, Queue


def test_only_the_batchs_rows_change_and_have_unit_length() -> None:
    bank = Bank(10, 4)
    new = torch.randn(3, 4)
    bank.write(torch.tensor([7, 2, 5]), new)
    torch.testing.assert_close(bank.read(torch.tensor([2, 5, 7])), F.normalize(new, dim=1)[[1, 2, 0]])
    assert bank.filled.nonzero().flatten().tolist() == [2, 5, 7]
    assert torch.equal(bank.rows[[0, 1, 3, 4, 6, 8, 9]], torch.zeros(7, 4))


def test_momentum_mixes_old_and_new_after_the_first_write() -> None:
    bank, index = Bank(4, 3), torch.tensor([1])
    first, second = F.normalize(torch.randn(2, 1, 3), dim=-1)
    bank.write(index, first, momentum=0.9)
    torch.testing.assert_close(bank.read(index), first)
    bank.write(index, second, momentum=0.9)
    torch.testing.assert_close(bank.read(index), F.normalize(0.9 * first + 0.1 * second, dim=1))
    frozen = bank.read(index).clone()
    bank.write(index, torch.randn(1, 3), momentum=1.0)
    torch.testing.assert_close(bank.read(index), frozen)


def test_an_index_that_comes_twice_takes_the_last_row() -> None:
    bank = Bank(4, 3)
    rows = torch.eye(3)
    bank.write(torch.tensor([2, 1, 2]), rows)
    assert torch.equal(bank.read(torch.tensor([1, 2])), rows[[1, 2]])


def test_raw_rows_keep_their_length() -> None:
    bank = Bank(2, 3)
    bank.write(torch.tensor([0]), torch.full((1, 3), 5.0), unit=False)
    assert bank.rows[0].tolist() == [5.0] * 3


def test_stored_rows_carry_no_gradient_and_are_saved() -> None:
    bank = Bank(4, 3)
    bank.write(torch.tensor([1]), torch.randn(1, 3, requires_grad=True))
    assert not bank.rows.requires_grad
    assert set(bank.state_dict()) == {"rows", "filled"}


def test_too_large_a_memory_is_refused_with_its_size() -> None:
    with pytest.raises(ConfigError, match=r"bank of 50,000,000 x 128 float32 needs 25\.6 GB.*limit of 8 GB"):
        Bank(50_000_000, 128)
    with pytest.raises(ConfigError, match=r"queue of 50,000,000 x 128"):
        Queue(50_000_000, 128)


def test_queue_replaces_the_oldest_first_and_wraps() -> None:
    queue = Queue(5, 2)
    start = queue.content().clone()
    assert not queue.valid.any()
    rows = torch.arange(16.0).view(8, 2)
    queue.push(rows[:3])
    assert queue.valid.tolist() == [True, True, True, False, False]
    assert torch.equal(queue.content(), torch.cat((rows[:3], start[3:])))
    queue.push(rows[3:6])
    assert queue.valid.all()
    assert torch.equal(queue.content(), rows[[5, 1, 2, 3, 4]])


def test_after_one_round_every_row_was_replaced_once() -> None:
    queue = Queue(12, 2)
    rows = torch.randn(12, 2)
    for part in rows.split(4):
        queue.push(part)
    assert torch.equal(queue.content(), rows)


def test_more_rows_than_the_queue_holds_leave_the_last_ones() -> None:
    queue = Queue(3, 1)
    queue.push(torch.arange(8.0)[:, None])
    assert sorted(queue.content().flatten().tolist()) == [5.0, 6.0, 7.0]


def test_start_is_the_same_on_every_process_and_of_unit_length() -> None:
    torch.manual_seed(1)
    first = Queue(6, 8)
    torch.manual_seed(2)
    assert torch.equal(first.content(), Queue(6, 8).content())
    torch.testing.assert_close(first.content().norm(dim=1), torch.ones(6))


def test_queue_of_groups() -> None:
    groups = Queue(4, (), dtype=torch.int64)
    assert groups.content().tolist() == [-1] * 4
    groups.push(torch.tensor([3, 8]))
    assert groups.content().tolist() == [3, 8, -1, -1]
