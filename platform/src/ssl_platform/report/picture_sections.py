"""The parts of a page that show what the model sees, predicts and finds alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ssl_platform.report.album import EmbeddingMap
from ssl_platform.report.content import Content
from ssl_platform.report.markup import Html, number, tag
from ssl_platform.report.section import Section, lead

Encode = Callable[[np.ndarray], str]


def image(picture: np.ndarray, alt: str, encode: Encode, **attributes: object) -> Html:
    """A picture at its own size, which the style sheet may scale."""
    height, width = picture.shape[:2]
    return tag("img", src=encode(picture), alt=alt, width=width, height=height, **attributes)


def views(content: Content, encode: Encode) -> Section | None:
    """What the model is shown."""
    if content.album is None or not content.album.views:
        return None
    rows = []
    few = len(content.album.views[0].views) <= 2
    for i, row in enumerate(content.album.views):
        cells = [
            tag("figure", image(p, f"{name}, item {row.item}", encode), under(name, again=i > 0 and not few))
            for name, p in row.views
        ]
        rows.append(tag("div", cells, class_="strip"))
    text = (
        "The first samples of the run: the window as it is read, then every view made of it. Views that look alike "
        "teach little; views in which nothing of the object is left teach nothing."
    )
    body = tag("div", lead(text), scrolled(rows, "Views of samples", "few" if few else "many"))
    return Section("views", "Views", "Views", body)


def under(text: str, *, again: bool) -> Html:
    """The name under a picture; a wide screen shows it once a column."""
    return tag("figcaption", text, class_="again" if again else None)


def reconstructions(content: Content, encode: Encode) -> Section | None:
    """Input, what was visible, what was predicted."""
    if content.album is None or not content.album.reconstructions:
        return None
    rows = []
    for i, one in enumerate(content.album.reconstructions):
        parts = (
            ("input", one.input, None, "input"),
            ("visible", one.visible, "masked", "visible"),
            ("prediction", one.filled, None, "prediction, error"),
        )
        cells = []
        for name, picture, kind, caption in parts:
            words = f"{caption} {one.error:.3g}" if name == "prediction" else caption
            shown = image(picture, f"{name}, item {one.item}", encode, class_=kind)
            cells.append(tag("figure", shown, under(words, again=i > 0 and name != "prediction")))
        rows.append(tag("div", cells, class_="strip"))
    ratio = content.album.facts.get("mask_ratio")
    hidden = f"{ratio:.0%} of the tokens" if isinstance(ratio, float) else "the tokens"
    text = (
        f"{hidden} are hidden (hatched) and predicted from the others. Where the loss normalises each patch, its own "
        "mean and contrast are put back for this picture, so judge the shapes inside patches, not their brightness."
    )
    body = tag("div", lead(text), scrolled(rows, "Reconstructions of samples"))
    return Section("reconstructions", "Reconstructions", "Reconstructions", body)


def scrolled(rows: list[Html], label: str, kind: str = "") -> Html:
    """Rows of pictures that a narrow screen scrolls."""
    return tag("div", rows, class_=f"strips card scroll {kind}".rstrip(), tabindex="0", role="region", aria_label=label)


def embedding(content: Content) -> Section | None:
    """The map; its script draws it."""
    found = None if content.album is None else content.album.embedding
    if found is None:
        return None
    how = "principal components" if found.method == "pca" else "t-SNE from principal components"
    some = f"{len(found.items):,}" if len(found.items) == found.total else f"{len(found.items):,} of {found.total:,}"
    text = (
        f"{some} items by their embedding ({how}). Close on the map means alike to the encoder; distances between far "
        "groups mean little."
    )
    canvas = tag(
        "canvas", role="img", tabindex="0", aria_label=f"Map of {len(found.items)} items; arrow keys go through them"
    )
    figure = tag(
        "figure",
        tag("div", class_="legend", role="group", aria_label="Labels"),
        tag("div", canvas, tag("div", class_="tip", hidden=True), class_="plane"),
        tag("p", class_="readout", aria_live="polite"),
        class_="map card",
        data_map=True,
    )
    return Section("map", "Embedding map", "Map", tag("div", lead(text), _agreement(found), figure))


def _agreement(found: EmbeddingMap) -> Html | None:
    if found.agreement is None or found.chance is None:
        return None
    return tag(
        "p",
        tag("strong", f"{found.agreement:.0%}"),
        f" of the five nearest items share the label; drawn at random it would be {found.chance:.0%}.",
        class_="agreement",
    )


def neighbours(content: Content, encode: Encode) -> Section | None:
    """What the encoder finds alike."""
    found = None if content.album is None else content.album.embedding
    if found is None or not found.neighbours:
        return None
    rows = []
    for one in found.neighbours:
        cells = [_neighbour(found, one.query, None, None, encode)]
        cells += [
            _neighbour(found, place, near, one.query, encode)
            for place, near in zip(one.found, one.similarity, strict=True)
        ]
        rows.append(tag("div", cells, class_="strip"))
    text = (
        "The most similar items of other groups (patients, places, speakers), by cosine. ✓ marks those with the label "
        "of the item asked about, on the left."
    )
    body = tag("div", lead(text), scrolled(rows, "Nearest neighbours"))
    return Section("neighbours", "Nearest neighbours", "Neighbours", body)


def _neighbour(found: EmbeddingMap, place: int, near: float | None, query: int | None, encode: Encode) -> Html:
    label = label_of(found, place)
    same = query is not None and label and label == label_of(found, query) and bool(found.classes)
    words = [label or found.items[place]]
    caption = tag(
        "figcaption",
        tag("span", "✓ ", class_="same", title="same label") if same else None,
        words[0],
        tag("span", f" {near:.2f}", class_="near") if near is not None else None,
    )
    alt = f"{'asked about' if query is None else 'neighbour'}: item {found.items[place]}{', ' + label if label else ''}"
    thumbnail = found.thumbnails.get(place)
    shown = None if thumbnail is None else image(thumbnail, alt, encode, data_place=place)
    return tag("figure", shown, caption, class_="query" if query is None else ("agree" if same else None))


def label_of(found: EmbeddingMap, place: int) -> str:
    """Class name or value of an item, empty when unknown."""
    value = float("nan") if found.target is None else float(found.target[place])
    if value != value or (found.classes and value < 0):
        return ""
    return found.classes[int(value)] if found.classes else number(value)
