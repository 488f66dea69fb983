"""Where a linear head of fine-tuning starts: at the linear probe of the encoder it is put on."""

from __future__ import annotations

import numpy as np

from ssl_platform.data.names import counted
from ssl_platform.encoder import Encoder
from ssl_platform.transfer.evaluation import labelled
from ssl_platform.transfer.fitting import Parts
from ssl_platform.transfer.forms import embed_forms
from ssl_platform.transfer.linear_head import LinearHead
from ssl_platform.transfer.model import TransferModel
from ssl_platform.transfer.opening import Opened
from ssl_platform.transfer.protocols.linear import choose_linear


def start_at_probe(model: TransferModel, opened: Opened, encoder: Encoder, parts: Parts) -> str:
    """Start a model's head at the linear probe of its training items, the weight decay chosen on the validation items.

    The gradients of a head that knows nothing pull the encoder's features apart before they are used, which costs most
    where labels are few: "linear probing, then fine-tuning" (Kumar et al., ICLR 2022, section 4).

    Args:
        model: its head is linear; a regression model's `shift` and `scale` are set.
        opened: the data.
        encoder: whose features the probe reads.
        parts: entries to train and to choose on.

    Returns:
        A line for the user.
    """
    assert isinstance(model.head, LinearHead)
    rows = parts.rows(np.concatenate([parts.train, parts.validation]))
    features = embed_forms(opened, encoder, {"item"}, rows, "probe")["item"]
    train, validation = (labelled(opened.data.facts, features, part) for part in (parts.train, parts.validation))
    probe = choose_linear(train, validation, model.task)
    weight, bias = probe.weight, probe.bias
    if model.task.kind == "regression":
        weight, bias = weight / model.scale.double(), (bias - model.shift.double()) / model.scale.double()
    model.head.start_at(weight, bias, probe.mean, probe.std)
    items = counted(len(train), "training item")
    return f"head: starts at the linear probe of {items} (weight decay {probe.decay:g}; finetune.head=random: anew)"
