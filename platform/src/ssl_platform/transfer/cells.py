"""The cells of a comparison: encoders under protocols, each beside the same net with random weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from ssl_platform.config.schema import RunConfig
from ssl_platform.data.fraction import fewer_labels
from ssl_platform.encoder import Encoder
from ssl_platform.transfer.comparison import FINETUNE, RANDOM, SCRATCH
from ssl_platform.transfer.evaluation import Outcome, check_fit, evaluate, protocol
from ssl_platform.transfer.features import ItemFeatures
from ssl_platform.transfer.finetune import train_rounds
from ssl_platform.transfer.opening import Opened, untrained_like
from ssl_platform.transfer.probe import embed_labelled
from ssl_platform.transfer.repeats import Cell, Items, Repeat

Say = Callable[[str], None]


def check_protocols(names: Sequence[str]) -> None:
    """Refuse names of no protocol.

    Raises:
        PluginError: naming the nearest.
    """
    for name in names:
        if name != FINETUNE:
            protocol(name)


class Cells:
    """Measures encoders on one set of labelled items.

    Args:
        protocols: by name, `finetune` among them.
        seeds: of random weights, of drawing labels (`labels.fraction`, `labels.count`) and of fine-tuning.
        say: takes a line for the user.
    """

    def __init__(self, protocols: Sequence[str], seeds: Sequence[int], say: Say) -> None:
        self.protocols, self.seeds, self.say = tuple(protocols), tuple(seeds), say
        self._untrained: dict[tuple[str, str, int], Outcome] = {}

    def cells(self, name: str, opened: Opened) -> Iterator[Cell]:
        """Cells of one encoder, a metric each.

        Raises:
            ConfigError: a protocol does not suit the task, as most do not suit masks.
        """
        frozen = [p for p in self.protocols if p != FINETUNE]
        for word in frozen:
            check_fit(word, opened.task.kind, opened.encoder.model.offers)
        features = embed_labelled(opened, opened.encoder, frozen, f"embed {name}")
        for word in self.protocols:
            found: list[Outcome] = []
            beside: list[Outcome] = []
            for seed in self.seeds:
                at, labels = seeded(opened, seed), opened.config.labels
                drawn = labels.fraction is not None or labels.count is not None
                changes = drawn or word == FINETUNE or protocol(word).seeded
                found.append(self._outcome(word, at, opened.encoder, features) if changes or not found else found[0])
                beside.append(self._baseline(word, at, opened.encoder))
            for metric in found[0].metrics:
                own = Cell(baseline_of(word), f"{word}/{metric}", _repeats(metric, self.seeds, beside))
                fixed = len(set(map(id, found))) == 1
                yield Cell(name, f"{word}/{metric}", _repeats(metric, self.seeds, found), own=own, fixed=fixed)

    def _outcome(self, word: str, opened: Opened, encoder: Encoder, features: Mapping[str, ItemFeatures]) -> Outcome:
        return train_rounds(opened, encoder) if word == FINETUNE else evaluate(word, opened, encoder, features)

    def _baseline(self, word: str, opened: Opened, encoder: Encoder) -> Outcome:
        """The same architecture with random weights of this seed, measured once for all encoders that share it."""
        seed = opened.config.seed
        architecture = _architecture(encoder)
        if (architecture, word, seed) not in self._untrained:
            untrained = untrained_like(encoder, seed)
            self.say(f"measuring {baseline_of(word)}, seed {seed}, {word}")
            if word == FINETUNE:
                self._untrained[architecture, word, seed] = train_rounds(opened, untrained)
            else:  # one embedding serves all protocols on frozen features
                frozen = [other for other in self.protocols if other != FINETUNE]
                features = embed_labelled(opened, untrained, frozen, "embed, random weights")
                for other in frozen:
                    self._untrained[architecture, other, seed] = self._outcome(other, opened, untrained, features)
        return self._untrained[architecture, word, seed]


def baseline_of(word: str) -> str:
    """What a protocol's baseline is called."""
    return SCRATCH if word == FINETUNE else RANDOM


def seeded(opened: Opened, seed: int) -> Opened:
    """The same data under another evaluation seed: the labels drawn, the order of training, random weights.

    The first seed takes the draw of labels that was asked for, each further one the next.
    """
    labels = opened.config.labels
    labels = labels.model_copy(update={"draw": labels.draw + seed - opened.config.seed})
    config: RunConfig = opened.config.model_copy(update={"seed": seed, "labels": labels})
    return replace(opened, config=config, codes=fewer_labels(opened.data.facts, opened.data.splits.codes, labels)[0])


def _architecture(encoder: Encoder) -> str:
    """Hash of what random weights of the same net depend on besides the seed."""
    digest = hashlib.blake2b(json.dumps(encoder.record.backbone.as_dict(), sort_keys=True).encode(), digest_size=8)
    for value in encoder.model.normaliser.state_dict().values():
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def _repeats(metric: str, seeds: Sequence[int], outcomes: Sequence[Outcome]) -> tuple[Repeat, ...]:
    """A measurement a seed; one outcome that stands for several seeds keeps its items once."""
    items = {id(o): Items(o.target, o.score, o.ids, o.groups, o.functions[metric]) for o in outcomes}
    return tuple(Repeat(str(s), o.metrics[metric], items[id(o)]) for s, o in zip(seeds, outcomes, strict=True))
