"""Declares every dataset card. Imports nothing heavy."""

from __future__ import annotations

from ssl_platform.plugins import DatasetDeclaration, hookimpl

SSL_PLATFORM_API = 1


@hookimpl
def ssl_platform_datasets() -> list[DatasetDeclaration]:
    """The datasets, from their cards."""
    from ssl_platform_datasets.cards import cards

    return [
        DatasetDeclaration(
            name=card.name,
            factory=card.adapter,
            summary=f"{card.title}: {card.modality}",
            domain=card.domain,
            tasks=(card.task,),
            items=card.items,
            licence=card.licence,
            url=card.url,
            citation=card.citation,
            files=card.files,
            sizes=card.sizes,
            settings=card.settings,
            facts={
                "labelled": card.labelled,
                "layout": card.layout,
                "splits": card.splits,
                "classes": card.classes,
                "metric": card.metric,
                "obtain": card.obtain,
                **({"adapter": f"comes later: {card.later}"} if card.later else {}),
                **({"also": card.also} if card.also else {}),
            },
        )
        for card in cards()
    ]
