"""The parts of a run's page, in the order they are read: verdict first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ssl_platform.report.album import EmbeddingMap
from ssl_platform.report.content import Content, Score
from ssl_platform.report.curves import Chart
from ssl_platform.report.markup import NONE, Html, number, table, tag

Encode = Callable[[np.ndarray], str]

_ICONS = {"healthy": "✓", "stalling": "≈", "collapsed": "✕", "undetermined": "?"}
_WORDS = {
    "healthy": "Healthy",
    "stalling": "Stalling",
    "collapsed": "Collapsed",
    "undetermined": "Undetermined",
}


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


# ------------------------------------------------------------------------------------------------------------- head
def head(content: Content) -> Html:
    """Verdict, what ran, and the figures that matter."""
    kind = content.verdict or ("failed" if content.status == "failed" else "none")
    if content.verdict:
        title = _WORDS.get(content.verdict, content.verdict)
        cause = content.cause
    elif content.scores:
        title = f"{content.scores[0].name} {content.scores[0].value}"
        cause = _beside(content.scores[0])
    else:
        title, cause = content.command.capitalize(), ""
    figures = [
        tag("div", tag("dt", f.name), tag("dd", f.value), tag("dd", f.note, class_="note") if f.note else None)
        for f in content.figures
    ]
    return tag(
        "header",
        tag("p", " · ".join([content.command, *content.about]), class_="about"),
        tag(
            "h1",
            tag("span", _ICONS[kind], class_="icon", aria_hidden="true") if kind in _ICONS else None,
            title,
        ),
        tag("p", cause, class_="cause") if cause else None,
        _status(content),
        tag("dl", figures, class_="figures") if figures else None,
        class_=f"head {kind}",
    )


def _status(content: Content) -> Html | None:
    if content.status == "done" or not content.status:
        return None
    text = {
        "running": "This run had not ended when the page was written.",
        "stopped": "This run was stopped before its last step.",
        "failed": "This run failed.",
    }.get(content.status, content.status)
    return tag("p", f"{text} {content.error}".strip(), class_="status")


def banner(content: Content) -> Html | None:
    """For data that are people."""
    if not content.banner:
        return None
    return tag(
        "p",
        tag("strong", "This page contains pictures of people: do not share it. "),
        "ssl-platform report RUN --anonymous writes one without pictures, names and paths.",
        class_="banner",
        role="note",
    )


def _beside(score: Score) -> str:
    return ", ".join(f"{word} {value}" for word, value in score.beside.items())


def scores(content: Content) -> Section | None:
    """Results of evaluations beside their baselines."""
    if not content.scores or (content.verdict and len(content.scores) == 1 and "[" not in content.scores[0].value):
        return None
    words = sorted({word for score in content.scores for word in score.beside})
    rows = [(s.name, s.value, *(s.beside.get(w, NONE) for w in words), s.over or NONE) for s in content.scores]
    columns = ["metric", "value [95 % interval]", *words, "interval over"]
    shown = table(columns, rows, "Results and baselines", class_="numbers")
    note = lead(f"{content.overlap[0].upper()}{content.overlap[1:]}.") if content.overlap else None
    return Section("results", "Results", "Results", tag("div", note, shown))


# ----------------------------------------------------------------------------------------------------------- charts
def chart(one: Chart, size: str) -> Html:
    """A drawing with its title, its current value, how to read it, and the numbers as a table."""
    rows = []
    for name, (x, y) in one.series:
        low, high = int(np.argmin(y)), int(np.argmax(y))
        ends = (number(y[0], 4), f"{number(y[low], 4)} at {x[low]:,.0f}", f"{number(y[high], 4)} at {x[high]:,.0f}")
        rows.append((name, *ends, number(y[-1], 4)))
    rows += [(line.name, "", "", "", number(line.y, 4)) for line in one.lines]
    several = [name for name, _ in one.series] if len(one.series) > 1 and one.id != "loss" else []
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("h3", one.title),
            tag("output", one.now, class_="now") if one.now else None,
            tag("button", "log scale", type="button", class_="log", aria_pressed="false") if one.log else None,
            tag("p", one.text) if one.text else None,
            tag("ul", [tag("li", name) for name in several], class_="key") if several else None,
        ),
        tag("canvas", role="img", tabindex="0", aria_label=f"{one.title} by step; arrow keys read values"),
        tag("p", class_="readout", aria_live="polite"),
        tag(
            "details",
            tag("summary", "numbers"),
            table(["", "first", "lowest", "highest", "last"], rows, f"{one.title} in numbers", class_="numbers"),
        ),
        class_=f"chart card {size}",
        data_chart=one.id,
    )


def health(content: Content) -> Section | None:
    """The numbers behind the verdict."""
    if not content.health:
        return None
    text = (
        "Measured on the same clean windows throughout the run. The dashed line is the same network before training, "
        "the red line the limit of a collapse."
    )
    cause = None
    if content.verdict:
        word = tag("strong", _WORDS.get(content.verdict, content.verdict))
        cause = tag("p", word, f": {content.cause}", class_=f"judged {content.verdict}")
    return Section("health", "Is it learning?", "Health", tag("div", lead(text), cause, _grid(content.health)))


def _grid(charts: list[Chart]) -> Html:
    """Charts side by side, three or four in a row: whichever leaves no chart alone in the last one."""
    four = len(charts) % 4 in (0, 3) or len(charts) % 3 == 1
    return tag("div", [chart(one, "small") for one in charts], class_="grid four" if four else "grid")


def curves(content: Content) -> Section | None:
    """The loss and what goes with it."""
    if not content.curves:
        return None
    wide = [chart(one, "wide") for one in content.curves if one.id == "loss"]
    rest = _grid([one for one in content.curves if one.id != "loss"])
    return Section("curves", "Training", "Training", tag("div", wide, rest))


# --------------------------------------------------------------------------------------------------------- pictures
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
            tag("figure", image(p, f"{name}, item {row.item}", encode), _caption(name, again=i > 0 and not few))
            for name, p in row.views
        ]
        rows.append(tag("div", cells, class_="strip"))
    text = (
        "The first samples of the run: the window as it is read, then every view made of it. Views that look alike "
        "teach little; views in which nothing of the object is left teach nothing."
    )
    body = tag("div", lead(text), _scrolled(rows, "Views of samples", "few" if few else "many"))
    return Section("views", "Views", "Views", body)


def _caption(text: str, *, again: bool) -> Html:
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
            cells.append(tag("figure", shown, _caption(words, again=i > 0 and name != "prediction")))
        rows.append(tag("div", cells, class_="strip"))
    ratio = content.album.facts.get("mask_ratio")
    hidden = f"{ratio:.0%} of the tokens" if isinstance(ratio, float) else "the tokens"
    text = (
        f"{hidden} are hidden (hatched) and predicted from the others. Where the loss normalises each patch, its own "
        "mean and contrast are put back for this picture, so judge the shapes inside patches, not their brightness."
    )
    body = tag("div", lead(text), _scrolled(rows, "Reconstructions of samples"))
    return Section("reconstructions", "Reconstructions", "Reconstructions", body)


def _scrolled(rows: list[Html], label: str, kind: str = "") -> Html:
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
    body = tag("div", lead(text), _scrolled(rows, "Nearest neighbours"))
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


# ---------------------------------------------------------------------------------------------------- what was done
def quarantine(content: Content) -> Section | None:
    """Items that could not be used."""
    if not content.quarantined:
        return None
    count = content.quarantined
    text = f"{count:,} {'item' if count == 1 else 'items'} could not be used and took no part."
    shown = None
    if content.quarantine:
        more = count - len(content.quarantine)
        text += f" The first {len(content.quarantine)} are listed; all are in quarantine.csv." if more > 0 else ""
        text += " Names are hashed here; quarantine.csv in the run folder has them." if content.banner else ""
        shown = table(["item", "reason"], content.quarantine, "Items that could not be used", class_="words")
    return Section("quarantine", "Set aside", "Set aside", tag("div", lead(text), shown))


def settings(content: Content) -> Section | None:
    """Every setting as resolved."""
    if not content.settings:
        return None
    unset = [key for key, value, _ in content.settings if value == NONE]
    groups: dict[str, list[Html]] = {}
    for key, value, why in content.settings:
        if value == NONE:
            continue
        group, _, name = key.rpartition(".")
        reason = tag("span", why, class_="why") if why else None
        row = tag("div", tag("dt", tag("code", name)), tag("dd", tag("code", value), reason), data_key=key)
        groups.setdefault(group, []).append(row)
    blocks = [tag("div", tag("h3", group or "run"), tag("dl", rows), class_="group") for group, rows in groups.items()]
    search = tag(
        "label",
        tag("span", "find a key ", class_="unseen"),
        tag("input", type="search", class_="find", placeholder="find a key", spellcheck="false"),
    )
    rest = tag("details", tag("summary", f"{len(unset)} keys without a value"), tag("p", tag("code", ", ".join(unset))))
    body = tag("div", search, tag("div", blocks, class_="settings"), rest if unset else None)
    return Section("settings", "Configuration", "Configuration", body)


def reproduce(content: Content) -> Section | None:
    """Commands, versions, methods and citation."""
    commands = [
        tag(
            "div",
            tag("h3", title),
            tag("pre", tag("code", text), tabindex="0"),
            tag("button", "copy", type="button", class_="copy"),
            class_="command",
        )
        for title, text in content.commands
    ]
    environment = None
    if content.environment:
        rows = [tag("div", tag("dt", name), tag("dd", value)) for name, value in content.environment]
        environment = tag("div", tag("h3", "Environment"), tag("dl", rows, class_="facts"))
    methods = tag("div", tag("h3", "Methods"), tag("p", content.methods)) if content.methods else None
    citation = None
    if content.citation:
        pre = tag("pre", tag("code", content.citation), tabindex="0")
        copy = tag("button", "copy", type="button", class_="copy")
        citation = tag("div", tag("h3", "Citation"), pre, copy, class_="command")
    parts = [*commands, environment, methods, citation]
    if not any(parts):
        return None
    return Section("reproduce", "How to reproduce it", "Reproduce", tag("div", parts))
