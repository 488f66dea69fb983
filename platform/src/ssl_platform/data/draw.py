"""Dealing groups out to parts: stratified, in an order that depends on nothing but the seed and the group's name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ssl_platform.data.names import natural_key


@dataclass
class Stratum:
    """What a group holds.

    Attributes:
        name: of the group.
        classes: entries by class (or by bin of a regression target).
        size: entries.
    """

    name: str
    classes: dict[str, int] = field(default_factory=dict)
    size: int = 0


def order_key(seed: int | str, name: str) -> bytes:
    """Where a group stands in the order of a seed: uniform, the same everywhere and for ever."""
    return hashlib.blake2b(f"{seed}\0{name}".encode("utf-8", "surrogateescape"), digest_size=8).digest()


def deal(
    groups: Sequence[Stratum], shares: Sequence[float], seed: int | str, first: Sequence[int] = ()
) -> dict[str, int]:
    """Give every group to a part so that each class is spread by `shares`.

    Rarest classes are dealt first (after Sechidis, Tsoumakas, Vlahavas, "On the stratification of multi-label data",
    2011, with whole groups for single examples): a group goes to a part that has nothing of the class yet, else to the
    part that lacks most of it.

    Args:
        groups: what each holds, in any order.
        shares: fraction of each part; they sum to 1.
        seed: of the order.
        first: parts in the order they are served while they have nothing of a class.

    Returns:
        Part number by group name.
    """
    dealt: dict[str, int] = {}
    members: dict[str, list[Stratum]] = {}
    total: dict[str, int] = {}
    for group in sorted(groups, key=lambda g: (order_key(seed, g.name), g.name)):
        for name, count in group.classes.items():
            members.setdefault(name, []).append(group)
            total[name] = total.get(name, 0) + count
    have = {name: [0] * len(shares) for name in members}
    sizes = [0] * len(shares)
    everything = sum(group.size for group in groups)
    rank = {part: len(first) - i for i, part in enumerate(first)}
    for name in sorted(members, key=lambda n: (len(members[n]), natural_key(n))):
        held = have[name]
        for group in members[name]:
            if group.name in dealt:
                continue
            part = max(
                range(len(shares)),
                key=lambda p: (
                    not held[p],
                    rank.get(p, 0) if not held[p] else 0,
                    shares[p] * total[name] - held[p],
                    shares[p] * everything - sizes[p],
                    -p,
                ),
            )
            dealt[group.name] = part
            sizes[part] += group.size
            for other, count in group.classes.items():
                have[other][part] += count
    return dealt


def bins(values: Mapping[str, float], count: int = 5) -> dict[str, str]:
    """Quantile bin of each group's value, so that a regression target is spread too.

    Args:
        values: mean target by group.
        count: number of bins.
    """
    ranked = sorted(values, key=lambda name: (values[name], name))
    return {name: f"bin {i * count // len(ranked)}" for i, name in enumerate(ranked)}
