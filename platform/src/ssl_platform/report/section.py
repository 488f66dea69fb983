"""A titled part of a page."""

from __future__ import annotations

from dataclasses import dataclass

from ssl_platform.report.markup import Html, tag


@dataclass(frozen=True)
class Section:
    """A titled part.

    Attributes:
        id: anchor.
        title: heading.
        short: word in the navigation.
        body: markup below the heading.
    """

    id: str
    title: str
    short: str
    body: Html

    def html(self) -> Html:
        """The section element."""
        return tag("section", tag("h2", self.title), self.body, id=self.id)


def lead(text: str) -> Html:
    """The sentence under a heading."""
    return tag("p", text, class_="lead")
