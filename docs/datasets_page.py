"""Writes docs/datasets.md from the dataset cards.

python docs/datasets_page.py            write it
python docs/datasets_page.py --check    exit 1 when it is stale
"""

from __future__ import annotations

import sys
from pathlib import Path

from ssl_platform_datasets.cards import Card, cards

PAGE = Path(__file__).with_name("datasets.md")
HEAD = """# Datasets

Public datasets as they are downloaded: what they hold, under which terms, how they are laid out and split. Nothing is
downloaded for you, and nothing has to be moved or renamed.

```
ssl-platform datasets                                          all of them
ssl-platform datasets show esc-50                              one: layout, splits, classes, metric, how to obtain it
ssl-platform datasets verify ESC-50-master/                    what is missing, empty or damaged, a line each
ssl-platform datasets manifest ESC-50-master/ --out esc50.csv  its files, labels, groups and splits as a table
ssl-platform probe --encoder runs/NAME --manifest esc50.csv
```

Which dataset a folder holds is told from its files; `verify NAME DIR` and `manifest NAME DIR` say it instead. The
manifest is an ordinary one ([data.md](data.md#tables)): every command reads it, and you may edit it.

`verify` opens the download as a run would. It reads sets of at most 2000 items and 4 GB to their end, of larger ones
the headers; `--quick` only looks whether files are there and not empty. It ends with exit code 2 where something is
wrong, also where there are fewer items than were published.

**Keys** are what commands need with a dataset (`data.tissue=none`); `manifest` prints them in the command to run next.
**Parts** are the sizes of the published split; where there is none, one is drawn ([data.md](data.md#splits)). A dataset
whose adapter comes **later** is described, its names are checked by `verify`, and a manifest of it is written by hand.
Licences are as their publishers state them: read them there before you use the data.

A card is a YAML file in `datasets/src/ssl_platform_datasets/cards/`, an adapter a function of the downloaded folder
that yields manifest rows in `adapters/`. Plugins bring datasets of their own
([plugins.md](plugins.md#datasets-and-doctor-checks)).
"""


def page() -> str:
    """The page as Markdown."""
    known = cards()
    lines = [HEAD]
    for domain in sorted({card.domain for card in known}):
        own = [card for card in known if card.domain == domain]
        lines += [
            f"\n## {domain}\n",
            "| name | task | items | parts | metric | licence | adapter |",
            "|---" * 7 + "|",
            *map(_row, own),
            "",
            *map(_entry, own),
        ]
    return "\n".join(lines).rstrip() + "\n"


def _row(card: Card) -> str:
    parts = ", ".join(f"{part} {size:,}" for part, size in card.sizes.items())
    cells = [
        f"`{card.name}`",
        card.task,
        f"{card.items:,}" if card.items else "",
        parts,
        card.metric,
        card.licence,
        "yes" if card.adapter else "later",
    ]
    return f"| {' | '.join(cells)} |"


def _entry(card: Card) -> str:
    """A dataset in a few lines; `datasets show` says the same and more."""
    settings = f" Keys: {', '.join(f'`{key}`' for key in card.settings)}." if card.settings else ""
    later = f" Later: {card.later}." if card.later else ""
    also = f" Also read by {', '.join(f'`{name}`' for name in card.also)}." if card.also else ""
    about = f"{card.title}; {card.modality}. `{card.layout}`. Split: {card.splits}.{settings}{later}{also}"
    return f"- **{card.name}**: {about} {card.obtain} [{card.citation}]({card.url})"


def main(arguments: list[str]) -> int:
    """Write the page, or say whether it is current."""
    text = page()
    if "--check" in arguments:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
