"""The parts of a page that show test items with what was predicted, and where an encoder looks."""

from __future__ import annotations

import numpy as np

from ssl_platform.report.album import Example
from ssl_platform.report.content import Content
from ssl_platform.report.markup import Html, tag
from ssl_platform.report.picture_sections import Encode, image, scrolled, under
from ssl_platform.report.section import Section, lead

_WIDE = 2.2
"""Pictures wider than this many heights are given a width instead of a height."""


def examples(content: Content, encode: Encode) -> Section | None:
    """Test items beside what was said about them."""
    found = [] if content.album is None else content.album.examples
    if not found:
        return None
    if len(found[0].pictures) > 1:
        return _masks(content, found, encode)
    items = "Items" if content.command == "predict" else "Test items"
    text = f"{items}: the surest mistakes first, then some that were right."
    if found[0].right is None:
        errors = _is_number(found[0])
        text = f"{items}: the largest errors first, then some others." if errors else f"Some {items.lower()}."
    if not found[0].true and found[0].score is not None:
        text = f"{items}: those it is least sure of first, then some others."
    cells = [
        tag("figure", image(one.pictures[0][1], _alt(one), encode), _said(one), class_=_shape(one.pictures[0][1]))
        for one in found
    ]
    return Section(
        "examples", "Examples", "Examples", tag("div", lead(text), tag("div", cells, class_="examples card"))
    )


def _shape(picture: np.ndarray) -> str | None:
    return "wide" if picture.shape[1] > _WIDE * picture.shape[0] else None


def _is_number(one: Example) -> bool:
    return one.true.replace(".", "", 1).replace("-", "", 1).replace(",", "").isdigit()


def _alt(one: Example) -> str:
    return f"item {one.item}: {f'{one.true}, ' if one.true else ''}predicted {one.predicted}"


def _said(one: Example) -> Html:
    sure = f" {one.score:.2f}" if one.score is not None else ""
    if one.right:
        return tag("figcaption", tag("span", "\N{CHECK MARK} ", class_="same"), f"{one.true}{sure}")
    mark = tag("span", "\N{MULTIPLICATION X} ", class_="wrong") if one.right is False else None
    return tag("figcaption", mark, one.predicted, sure, tag("small", f"true: {one.true}") if one.true else None)


def _masks(content: Content, found: list[Example], encode: Encode) -> Section:
    rows = []
    for i, one in enumerate(found):
        cells = []
        for name, picture in one.pictures:
            words = f"{name}, Dice {one.score:.3f}" if name == "prediction" and one.score is not None else name
            again = i > 0 and words == name
            cells.append(tag("figure", image(picture, f"{name}, item {one.item}", encode), under(words, again=again)))
        rows.append(tag("div", cells, class_="strip"))
    names = [] if content.album is None else content.album.facts.get("mask_classes", [])
    key = tag("ul", [tag("li", name) for name in names], class_="key paint") if names else None
    items = "Items" if content.command == "predict" else "Test items"
    known = any(name == "reference" for one in found for name, _ in one.pictures)
    shown = "the reference and the prediction" if known else "the prediction"
    text = f"{items} where most of what is marked is seen: {shown}, each class in its colour."
    label = f"{'Reference and prediction' if known else 'Prediction'} on {items.lower()}"
    body = tag("div", lead(text), key, scrolled(rows, label, _shape(found[0].pictures[0][1]) or ""))
    return Section("examples", "Overlays", "Overlays", body)


def objects(content: Content, encode: Encode) -> Section | None:
    """The boxes of object discovery."""
    found = [] if content.album is None else content.album.objects
    if not found:
        return None
    rows = [
        tag(
            "div",
            [
                tag("figure", image(picture, f"{name}, item {one.item}", encode), under(name, again=False))
                for name, picture in one.pictures
            ],
            class_="strip",
        )
        for one in found
    ]
    known = any(name == "object" for one in found for name, _ in one.pictures)
    words = ["the object and the box around it", "the box that was found"]
    key = tag("ul", [tag("li", word) for word in words], class_="key paint") if known else None
    text = "Test items and the boxes drawn without labels, from what the tokens of the last block have in common."
    if known:
        text += (
            " Of each item the window with most of an object; the overlap is that of both boxes, and 0.5 counts as "
            "found."
        )
    label = "Boxes found on test items"
    body = tag("div", lead(text), key, scrolled(rows, label, _shape(found[0].pictures[0][1]) or ""))
    return Section("objects", "Objects found", "Objects", body)


def looks(content: Content, encode: Encode) -> Section | None:
    """Attention of the last block."""
    found = [] if content.album is None else content.album.looks
    if not found:
        return None
    rows = []
    for i, one in enumerate(found):
        parts = (("input", one.input), (f"attention, {one.top:.0%} in the top tenth", one.attention))
        cells = [
            tag(
                "figure",
                image(picture, f"{name}, item {one.item}", encode),
                under(name, again=i > 0 and name == "input"),
            )
            for name, picture in parts
        ]
        rows.append(tag("div", cells, class_="strip"))
    text = (
        "The attention of the last block, mean of its heads: that of the class token where there is one, else what all "
        "tokens give. Dark is the half of the tokens with the least, outlined the tenth with the most; where all were "
        "alike, that tenth would get 10 %."
    )
    body = tag("div", lead(text), scrolled(rows, "Attention maps", "few"))
    return Section("attention", "Attention", "Attention", body)
