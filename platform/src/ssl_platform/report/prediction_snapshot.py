"""Makes the album of `predict`: items as their domain shows them, with what the model says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ssl_platform.report import album as albums
from ssl_platform.report.album import Album
from ssl_platform.report.examples import item_examples, mask_examples
from ssl_platform.report.noted import noted
from ssl_platform.report.seen import Seen
from ssl_platform.transfer.dense_evaluation import foreground
from ssl_platform.transfer.masks import MaskedDomain, mask_paths
from ssl_platform.transfer.opening import clean_maker
from ssl_platform.transfer.prediction import Session
from ssl_platform.transfer.stored_predictions import read_applied


def take(folder: Path, session: Session) -> Album:
    """Make the album of predictions and write it into their folder.

    Args:
        folder: of `predict`, with its table.
        session: the model and the data it was applied to.
    """
    config, data, record = session.config, session.data, session.record
    seen = Seen(config, data, clean_maker(config, data, session.window), session.window)
    made = Album(facts={"sensitive": bool(data.domain.sensitive), "domain": config.domain})
    with torch.no_grad(), noted(made, "examples"):
        if record.task.kind == "segmentation":
            shown = foreground(record.task.classes, record.values, data.domain.layout.points)
            made.facts["mask_classes"] = list(shown.values())
            masks = mask_paths(data.facts, data.catalog.column("id"))
            masked = MaskedDomain(data.domain, masks, record.values, config.labels.resample is not None)
            known = [i for i, name in enumerate(data.catalog.column("id")) if name in masks]
            rows = np.array(known or range(len(data.catalog)), dtype=np.int64)
            made.examples = mask_examples(seen, session.model, shown, rows, masked if known else None)
        else:
            found = read_applied(folder, record.task.kind) or read_applied(folder, record.task.kind, labelled=False)
            made.examples = item_examples(seen, found)
    albums.save(made, folder)
    return made
