"""Card 045, ClusterFit. That two processes cluster as one is in tests/ddp/test_collectives.py.

The card's last two lines, whose figures are ImageNet's, have twins on the toy images below.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.draws import Draws
from ssl_platform.errors import ConfigError
from ssl_platform.measures import knn_vote
from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.clustering import closest, kmeans
from ssl_platform.nn.frozen import Frozen
from ssl_platform.objectives.base import TrainingSet, total_of
from ssl_platform.objectives.clustering.clusterfit import ClusterFit
from ssl_platform.testing.fit import fit
from ssl_platform.testing.objectives import ITEMS, built, refresh, small, small_backbone, small_views
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Batch, Step
from ssl_platform.views.maker import ViewMaker


def points(count: int = 40, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_kmeans_is_lloyds_loop_and_its_error_never_grows() -> None:
    x = points()
    first, _ = kmeans(x, 5, seed=0, iterations=0)
    means, before = [row.clone() for row in first], float("inf")
    for iteration in range(8):
        found, labels = kmeans(x, 5, seed=0, iterations=iteration)
        torch.testing.assert_close(found, torch.stack(means))
        own = [min(range(5), key=lambda k: float((row - means[k]).square().sum())) for row in x]
        assert labels.tolist() == own
        error = sum(float((row - means[k]).square().sum()) for row, k in zip(x, own, strict=True))
        assert error <= before + 1e-12
        before = error
        for k in range(5):
            means[k] = torch.stack([row for row, label in zip(x, own, strict=True) if label == k]).mean(0)


def test_a_seed_decides_and_empty_clusters_move_to_the_farthest_points() -> None:
    x = torch.cat((points(30).mul(0.01), points(3, seed=1).mul(10)))
    assert all(torch.equal(a, b) for a, b in zip(kmeans(x, 4, 3), kmeans(x, 4, 3), strict=True))
    twins = torch.cat((x[:1].expand(20, -1), x[30:]))  # most centroids start at one point, so they are empty
    for seed in range(5):
        centroids, labels = kmeans(twins, 4, seed, iterations=4)
        assert len(labels.unique()) == 4
        assert float(closest(twins, centroids)[1].sum()) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ConfigError, match="5 clusters of 4 items"):
        kmeans(x[:4], 5, 0)


def test_labels_are_of_the_teachers_clean_features_and_further_samples_take_the_nearest_centroid() -> None:
    method, backbone = built("clusterfit")
    seen = {}
    method.embedder(backbone).register_forward_hook(lambda module, inputs, out: seen.update(pooled=out.pooled))
    refresh(method, backbone)
    bank = seen["pooled"]
    torch.testing.assert_close(method.labels.labels[0], kmeans(bank, 16, 0)[1])
    assert torch.equal(method.assign(bank), method.labels.labels[0])
    labels = method.labels.labels.clone()
    method.refresh(Step(4, 10), bank.flip(0), torch.arange(ITEMS))
    assert torch.equal(method.labels.labels, labels), "labels are found once"
    assert not any("teacher" in name for name, _ in method.named_parameters())
    assert "teacher.fingerprint" in method.state_dict() and "labels.labels" in method.state_dict()


def test_the_loss_is_cross_entropy_with_the_clusters() -> None:
    method, backbone = built("clusterfit")
    views = small_views(method, toy_batch(8, items=ITEMS))
    logits = method.head(backbone(views[0]).pooled)
    by_hand = -sum(
        logits[i].log_softmax(0)[method.labels.labels[0, item]] for i, item in enumerate(views[0].index.tolist())
    )
    torch.testing.assert_close(total_of(method(backbone, views)).total, by_hand / 8)


def test_one_cluster_teaches_nothing_and_one_a_window_is_instance_classification() -> None:
    method, backbone = built("clusterfit", prototypes=1)
    loss = total_of(method(backbone, small_views(method, toy_batch(8, items=ITEMS)))).total
    loss.backward()
    assert float(loss.detach()) == 0 and method.trivial(8) is None
    assert all(not p.grad.any() for p in backbone.parameters() if p.grad is not None)
    instances, _ = built("clusterfit", prototypes=ITEMS)
    assert instances.labels.labels[0].sort().values.tolist() == list(range(ITEMS))
    method = small("clusterfit", prototypes=ITEMS + 1)
    method.data = TrainingSet(ITEMS)
    with pytest.raises(ConfigError, match=r"65 clusters of 64 windows"):
        method.build(backbone, {"teacher": Frozen(small_backbone())})


# ------------------------------------------------------------------------------------------------------ learning, slow
MANY, BATCH, STEPS = 256, 32, 240
CLUSTERS = 16


def noisy(batch: Batch) -> Batch:
    """Toy images under as much noise as signal, so that features of random weights do not tell the classes."""
    for read in batch.reads:
        data = read["main"].data
        data += 0.3 * Draws.at(5, batch.index).normal("noise", *data.shape[1:])
    return batch


class Permuted(ClusterFit):
    """The control: every window gets the cluster of another one."""

    def refresh(self, step: Step, bank: Tensor, index: Tensor) -> None:
        """Shuffle the features among the windows."""
        super().refresh(step, bank[torch.randperm(len(bank), generator=torch.Generator().manual_seed(1))], index)


class Drawn(ClusterFit):
    """The control's control: labels without any clustering."""

    def refresh(self, step: Step, bank: Tensor, index: Tensor) -> None:
        """Draw them."""
        generator = torch.Generator().manual_seed(3)
        self.labels.write(0, index, torch.randint(self.config.prototypes, (len(index),), generator=generator))


class WrongLabels(ClusterFit):
    """The source: trained on the classes, most of them wrong."""

    def refresh(self, step: Step, bank: Tensor, index: Tensor) -> None:
        """Three of four labels are drawn at random."""
        generator = torch.Generator().manual_seed(2)
        drawn = torch.randint(4, (len(index),), generator=generator)
        wrong = torch.rand(len(index), generator=generator) < 0.75
        self.labels.write(0, index, torch.where(wrong, drawn, index % 4))


def trained(kind: type[ClusterFit], teacher: Backbone, seed: int, clusters: int = CLUSTERS) -> Backbone:
    torch.manual_seed(seed)
    method, backbone = kind(small("clusterfit", prototypes=clusters).config), small_backbone()
    method.data = TrainingSet(MANY)
    method.build(backbone, {"teacher": Frozen(teacher)})
    fit(
        method,
        backbone,
        toy_layout(),
        lambda n: noisy(toy_batch(BATCH, start=BATCH * n, items=MANY)),
        STEPS,
        window=(16, 16),
        epoch_steps=STEPS,
        items=noisy(toy_batch(MANY)),
        build=False,
    )
    return backbone


def vote(encoder: Backbone) -> float:
    """Accuracy of a vote of neighbours among clean views of new items."""
    batch = noisy(toy_batch(512, start=MANY))
    maker = ViewMaker(toy_layout(), small("clusterfit").plan(), ViewsConfig(), seed=0, window=(16, 16))
    assert batch.label is not None
    with torch.no_grad():
        z = encoder.eval()(maker.clean(batch)).pooled
    z = F.normalize(z - z.mean(0), dim=1)
    votes = knn_vote(z[256:], z[:256], batch.label[:256], k=10, classes=4)
    return float((votes.argmax(1) == batch.label[256:]).float().mean())


@pytest.mark.slow  # twelve runs of 240 steps
def test_it_outdoes_a_source_of_wrong_labels_and_permuted_features_teach_nothing() -> None:
    source, fitted, permuted, drawn = (list[float]() for _ in range(4))
    for seed in range(3):
        teacher = trained(WrongLabels, small_backbone(), seed, clusters=4)
        source.append(vote(teacher))
        fitted.append(vote(trained(ClusterFit, teacher, seed + 10)))
        permuted.append(vote(trained(Permuted, teacher, seed + 10)))
        drawn.append(vote(trained(Drawn, teacher, seed + 10)))
    scores = {"source": source, "fitted": fitted, "permuted": permuted, "drawn": drawn}
    assert sum(fitted) > sum(source), scores
    assert max(sum(permuted), sum(drawn)) < sum(fitted), scores
    assert sum(permuted) < sum(drawn) + 3 * 0.06, scores  # twice the error of 3 x 256 votes
