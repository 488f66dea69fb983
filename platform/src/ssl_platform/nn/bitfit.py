"""BitFit: of a pretrained network only the biases are trained."""

from __future__ import annotations

from torch import nn

from ssl_platform.errors import ConfigError


def train_biases(net: nn.Module) -> list[str]:
    """Freeze a network but for the biases of its layers and norms (Ben Zaken et al., 2022, arXiv:2106.10199).

    Args:
        net: changed in place.

    Returns:
        Names of what is trained.

    Raises:
        ConfigError: it has no biases.
    """
    net.requires_grad_(False)
    trained = []
    for name, parameter in net.named_parameters():
        if name.rpartition(".")[2] == "bias":
            parameter.requires_grad_(True)
            trained.append(name)
    if not trained:
        raise ConfigError("finetune.mode=bitfit trains biases and this encoder has none: use full, lora or frozen")
    return trained
