"""HTML built from values: everything is escaped unless it was built here."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

NONE = "\N{EN DASH}"
"""Stands where there is no value."""
_VOID = {"img", "meta", "br", "input"}


class Html(str):
    """Markup that is already escaped."""

    __slots__ = ()


Child = str | int | float | None | Iterable[Any]


def tag(name: str, /, *children: Child, **attributes: Any) -> Html:
    """One element.

    Args:
        name: of the element.
        children: text is escaped, `Html` is not; lists are flattened, None is left out.
        attributes: `class_` and `data_chart` become `class` and `data-chart`; True is a bare attribute, None and False
            leave it out.
    """
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        word = key.rstrip("_").replace("_", "-")
        words.append(word if value is True else f'{word}="{html.escape(str(value))}"')
    opening = f"<{' '.join(words)}>"
    return Html(opening) if name in _VOID else Html(f"{opening}{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Html:
    """Children one after another."""
    parts = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Html):
            parts.append(str(child))
        elif isinstance(child, str | int | float):
            parts.append(html.escape(str(child)))
        else:
            parts.append(str(join(child)))
    return Html("".join(parts))


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        content: what it shows.
        value: what it is sorted by; the text where None.
        kind: class of the element.
        tip: shown when it is pointed at.
    """

    content: Child
    value: float | None = None
    kind: str | None = None
    tip: str | None = None

    def html(self) -> Html:
        """The element."""
        point = {"data_tip": self.tip, "tabindex": "0"} if self.tip else {}
        return tag("td", self.content, class_=self.kind, data_value=self.value, **point)


def table(head: Iterable[str], rows: Iterable[Iterable[Child | Cell]], caption: str, **attributes: Any) -> Html:
    """A table whose first column names the row; the caption is for screen readers.

    Args:
        head: column names.
        rows: cells, the first of each names the row.
        caption: what it shows.
        attributes: of the table element.
    """
    body = []
    for first, *rest in rows:
        name = first.content if isinstance(first, Cell) else first
        body.append(
            tag("tr", tag("th", name, scope="row"), [c.html() if isinstance(c, Cell) else tag("td", c) for c in rest])
        )
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption, class_="unseen"),
            tag("thead", tag("tr", [tag("th", name, scope="col") for name in head])),
            tag("tbody", body),
            **attributes,
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def number(value: float | None, digits: int = 3) -> str:
    """A number as people read it: significant digits, no exponent between a ten-thousandth and ten million."""
    if value is None:
        return NONE
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e7 or size < 1e-4:
        return f"{value:.{digits - 1}e}"
    if size >= 1000 or float(value).is_integer():
        return f"{value:,.0f}"
    text = f"{value:.{digits}g}"
    return text if "e" not in text else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """`42 s`, `3 min 20 s`, `5 h 12 min`."""
    if seconds is None:
        return NONE
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.0f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
