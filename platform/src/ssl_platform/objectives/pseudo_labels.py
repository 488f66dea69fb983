"""Labels that a clustering gave to the windows of the training set, read by their stable index."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_platform.errors import ConfigError
from ssl_platform.losses.supervised import UNKNOWN


class PseudoLabels(nn.Module):
    """One label of every window for each head; unknown until it is written.

    Args:
        heads: label sets H over the same windows.
        windows: n.
        classes: K, the labels lie in `[0, K)`.

    Raises:
        ConfigError: there are more classes than windows to fill them.
    """

    labels: Tensor

    def __init__(self, heads: int, windows: int, classes: int) -> None:
        super().__init__()
        if classes > windows:
            raise ConfigError(
                f"{classes} clusters of {windows} windows: lower objective.prototypes, raise data.windows_per_item, "
                "or give more data"
            )
        self.classes = classes
        self.register_buffer("labels", torch.full((heads, windows), UNKNOWN, dtype=torch.int64))

    def __len__(self) -> int:
        return self.labels.shape[1]

    def read(self, index: Tensor) -> Tensor:
        """`[H, B]` labels of the windows `index` `[B]`, -1 where unknown."""
        return self.labels[:, index]

    def write(self, head: int, index: Tensor, labels: Tensor) -> None:
        """Label the windows `index` `[m]` of one head with `labels` `[m]`, equal on all ranks."""
        self.labels[head, index] = labels.to(self.labels)

    def codes(self, labels: Tensor) -> Tensor:
        """`[..., K]` ones at the labels `[...]`, all zero where unknown: what the health monitor takes."""
        return (labels[..., None] == torch.arange(self.classes, device=labels.device)).float()
