"""Declares every dataset card that has an adapter. Imports nothing heavy."""

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
        )
        for card in cards()
        if card.adapter
    ]
