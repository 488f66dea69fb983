"""Are classes clusters of a layer? What k-means finds at every layer, held against the labels."""

from __future__ import annotations

import numpy as np

from ssl_platform.analysis.pooled_layers import PooledLayers
from ssl_platform.analysis.reading import Reading
from ssl_platform.analysis.subject import Subject
from ssl_platform.transfer.cluster_metrics import adjusted_rand, mutual_information, purity
from ssl_platform.transfer.evaluation import labelled
from ssl_platform.transfer.protocols.clustering import best_kmeans

STARTS = 5  # of k-means, of which the tightest counts
_MEASURES = {"cluster_purity": purity, "cluster_nmi": mutual_information, "cluster_ari": adjusted_rand}


def unfit(subject: Subject) -> str | None:
    """Why there are no classes to compare clusters with."""
    if why := subject.unscored():
        return why
    task = subject.opened.task
    if task.kind != "classification":
        return "the labels are no classes, one an item"
    found = len(np.union1d(subject.part(1), subject.part(2)))
    if found <= len(task.classes):
        return f"{found} labelled training and validation items make no {len(task.classes)} clusters"
    return None


class LayerClusters(PooledLayers):
    """Purity, mutual information and adjusted Rand index (Walmer et al., 2023, section 4) of as many clusters as there
    are classes, on labelled training and validation items: a layer may be chosen by them.
    """

    def readings(self) -> list[Reading]:
        """Three numbers a layer."""
        opened = self._subject.opened
        clusters = len(opened.task.classes)
        entries = np.flatnonzero(((opened.codes == 1) | (opened.codes == 2)).any(axis=0))
        found = []
        for name, features in self._layers():
            known = labelled(opened.data.facts, features, entries)
            if len(known) <= clusters:
                continue
            assigned = best_kmeans(known.features, clusters, opened.config.seed, STARTS)[1].numpy()
            found += [
                Reading.of(measure, "layer", name, function(known.target.numpy(), assigned))
                for measure, function in _MEASURES.items()
            ]
        return found
