"""What a run says about itself: environment, citation and a paragraph of methods."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

PACKAGES = ("ssl-platform", "torch", "lightning", "numpy", "pyarrow", "safetensors", "pydantic")


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def plugin_versions() -> dict[str, str]:
    """Distribution and version of every installed plugin."""
    found = {}
    for point in metadata.entry_points(group="ssl_platform.plugins"):
        if point.dist is not None:
            found[point.dist.name] = point.dist.version
    return dict(sorted(found.items()))


def environment(device: str, precision: str, world: int) -> dict[str, Any]:
    """What the figures of a run depend on besides its configuration; no host or user name is recorded.

    Args:
        device: name of the device trained on.
        precision: numeric precision.
        world: processes.
    """
    import torch

    return {
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "plugins": plugin_versions(),
        "device": device,
        "precision": precision,
        "processes": world,
        "threads": torch.get_num_threads(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
    }


def citation(objective: str, paper: str) -> str:
    """BibTeX of the method and of this software.

    Args:
        objective: the objective's name.
        paper: `authors: title, venue year, arXiv:number` as its file states it.
    """
    authors, _, rest = paper.partition(": ")
    title, _, venue = rest.partition(", ")
    year = re.search(r"\b(19|20)\d\d\b", venue)
    eprint = re.search(r"arXiv:([0-9.]+[0-9])", paper)
    fields = {
        "author": authors.replace(" et al.", " and others").replace(", ", " and "),
        "title": title,
        "note": venue,
        "year": year.group(0) if year else "",
        "eprint": eprint.group(1) if eprint else "",
    }
    key = re.sub(r"[^a-z0-9]", "", objective.lower())
    lines = [f"@article{{{key},"] + [f"  {name} = {{{value}}}," for name, value in fields.items() if value] + ["}"]
    software = [
        "@software{sslplatform,",
        "  title = {ssl-platform: self-supervised pretraining and transfer for any modality},",
        f"  version = {{{_version('ssl-platform') or 'unknown'}}},",
        "}",
    ]
    return "\n".join([*lines, "", *software, ""])


def methods(facts: Mapping[str, Any], reasons: Iterable[str]) -> str:
    """A paragraph a paper's methods section can start from.

    Args:
        facts: `domain, objective, backbone, items, windows, window, batch, steps, passes, optimiser, lr, weight_decay,
            precision, devices, parameters, seed, paper`.
        reasons: lines about values that were chosen automatically.
    """
    text = (
        "We pretrained a {backbone} encoder ({parameters:,} parameters) with {objective} ({paper}) on {items:,} "
        "unlabelled {domain} items, read as windows of {window} cells. Training took {steps:,} optimiser steps with a "
        "global batch of {batch} ({passes:.1f} passes over {windows:,} windows), {optimiser} at a peak learning rate "
        "of {lr:.3g} and weight decay {weight_decay:.3g}, in {precision} precision on {devices} device(s), seed "
        "{seed}, with ssl-platform {version}."
    ).format(version=_version("ssl-platform") or "unknown", **facts)
    chosen = "\n".join(f"- {reason}" for reason in reasons)
    return f"{text}\n\nValues chosen from the data and the machine:\n{chosen}\n" if chosen else f"{text}\n"
