"""`finetune.mode`: which part of a model is trained."""

from __future__ import annotations

from ssl_platform.config.schema import FinetuneConfig
from ssl_platform.nn.bitfit import train_biases
from ssl_platform.nn.lora import add_lora
from ssl_platform.transfer.model import TransferModel


def apply_mode(model: TransferModel, own: FinetuneConfig) -> str:
    """Decide what of the encoder is trained, in place; the head always is.

    Args:
        model: just built. `frozen` it is already, if that is asked.
        own: `finetune.*`.

    Returns:
        A line for the user.

    Raises:
        ConfigError: the encoder has nothing of the kind.
    """
    whole = sum(p.numel() for p in model.backbone.parameters())
    how = {"full": "all of it", "frozen": "none of it"}.get(own.mode, "")
    if own.mode == "lora":
        layers = add_lora(model.backbone, own.lora_rank, own.lora_alpha, own.lora_layers)
        how = f"adapters of rank {own.lora_rank} on {len(layers)} layers"
    elif own.mode == "bitfit":
        how = f"{len(train_biases(model.backbone))} vectors of biases"
    model.still = own.mode in ("lora", "bitfit")
    trained = sum(p.numel() for p in model.backbone.parameters() if p.requires_grad)
    return f"finetune.mode={own.mode}: trains the head and {trained:,} parameters ({how}) of an encoder of {whole:,}"
