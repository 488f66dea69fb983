"""BYOL's regression (card B02) and DINO's cross-entropy and centre (card B08)."""

from __future__ import annotations

import math

import pytest
import torch

from ssl_platform.losses import byol_regression, centred_softmax, dino_cross_entropy, moved_centre


def test_byol_is_two_less_two_cosines() -> None:
    p, z = torch.randn(2, 6, 5, dtype=torch.float64)
    cosine = torch.nn.functional.cosine_similarity(p, z).mean()
    torch.testing.assert_close(byol_regression(p, z), 2 - 2 * cosine)
    torch.testing.assert_close(byol_regression(3 * p, 0.1 * z), byol_regression(p, z))
    assert byol_regression(p, -p).item() == pytest.approx(4)
    assert byol_regression(p, p).item() == pytest.approx(0, abs=1e-12)


def test_byol_gives_the_teacher_no_gradient() -> None:
    p, z = torch.randn(6, 5, requires_grad=True), torch.randn(6, 5, requires_grad=True)
    byol_regression(p, z).backward()
    assert p.grad is not None and z.grad is None


def test_constant_student_logits_give_log_k_whatever_the_teacher() -> None:
    teacher = [torch.randn(4, 65536).softmax(dim=1) for _ in range(2)]
    student = [torch.full((4, 65536), 0.7) for _ in range(3)]
    assert dino_cross_entropy(student, teacher, 0.1).item() == pytest.approx(math.log(65536), abs=1e-4)


def test_pairs_written_out() -> None:
    """2 * (2 + n) - 2 terms: every student view against every other global view."""
    student = [torch.randn(5, 7, dtype=torch.float64) for _ in range(2 + 3)]
    teacher = [torch.randn(5, 7, dtype=torch.float64).softmax(dim=1) for _ in range(2)]
    terms = [
        -(q * (s / 0.1).log_softmax(dim=1)).sum(dim=1).mean()
        for u, q in enumerate(teacher)
        for v, s in enumerate(student)
        if u != v
    ]
    assert len(terms) == 2 * (2 + 3) - 2
    torch.testing.assert_close(dino_cross_entropy(student, teacher, 0.1), torch.stack(terms).mean())


def test_pairs_of_a_view_with_itself_can_be_kept() -> None:
    student, teacher = [torch.randn(5, 7)], [torch.randn(5, 7).softmax(dim=1)]
    expected = -(teacher[0] * (student[0] / 0.1).log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(dino_cross_entropy(student, teacher, 0.1, skip_same=False), expected)
    with pytest.raises(ValueError, match="leave no pair"):
        dino_cross_entropy(student, teacher, 0.1)


def test_teacher_output_equal_to_the_centre_is_a_uniform_target() -> None:
    centre = torch.randn(10)
    probs = centred_softmax(centre.expand(3, -1), centre, 0.04)
    torch.testing.assert_close(probs, torch.full((3, 10), 0.1))


def test_teacher_probabilities_carry_no_gradient_and_are_float32() -> None:
    logits = torch.randn(3, 10, requires_grad=True)
    assert not centred_softmax(logits, torch.zeros(10), 0.04).requires_grad
    half = (torch.randn(3, 10) * 30).half()
    probs = centred_softmax(half, torch.zeros(10), 0.01)
    assert probs.dtype is torch.float32
    torch.testing.assert_close(probs.sum(dim=1), torch.ones(3))


def test_centre_moves_to_the_mean_of_all_rows() -> None:
    logits = torch.randn(2, 4, 10, dtype=torch.float64)
    centre = torch.randn(10, dtype=torch.float64)
    expected = 0.9 * centre + 0.1 * logits.reshape(8, 10).mean(dim=0)
    torch.testing.assert_close(moved_centre(centre, logits, 0.9), expected)
    torch.testing.assert_close(moved_centre(centre, logits, 1.0), centre)


def test_centring_alone_flattens_and_sharpening_alone_concentrates() -> None:
    """Card B08's two collapses, on the teacher's side: each guard alone lets one of them happen."""
    logits = torch.randn(256, 8) * 0.05 + torch.tensor([1.0, *[0.0] * 7])
    centre = logits.mean(dim=0)

    def mean_entropy(c: torch.Tensor, temperature: float) -> float:
        p = centred_softmax(logits, c, temperature)
        return float(-(p * p.clamp_min(1e-30).log()).sum(dim=1).mean())

    assert mean_entropy(centre, 1.0) > 0.99 * math.log(8)
    assert mean_entropy(torch.zeros(8), 0.04) < 0.01 * math.log(8)
    assert 0.1 * math.log(8) < mean_entropy(centre, 0.04) < 0.9 * math.log(8)
