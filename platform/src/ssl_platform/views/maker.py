"""Makes the views of a batch on its device, all of them at once.

Nothing here reads a value back from the device, touches the global generator or depends on how samples were grouped
into batches: every draw belongs to (seed, position, role, copy).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.draws import Draws
from ssl_platform.plan import Plan, ViewSpec
from ssl_platform.types import Batch, Layout, View, Views
from ssl_platform.views.clouds import make_clouds
from ssl_platform.views.grids import make_grids
from ssl_platform.views.interpolation import full_precision
from ssl_platform.views.operation import Operation
from ssl_platform.views.photometry import Photometry
from ssl_platform.views.recipe import ViewRecipe, clean_recipe, compile_plan, in_order
from ssl_platform.views.sizes import base_window
from ssl_platform.views.sizes import read_size as read_size
from ssl_platform.views.sources import Made, Source, load, present

_ONE_ITEM = ("same", "overlap", "time", "speed")  # relations whose reads are windows of one item


class ViewMaker:
    """Turns batches into the views of a plan.

    Args:
        layout: of the domain.
        plan: of the objective.
        config: `views.*`.
        operations: the domain's intensity operations, applied before the generic ones; one with the name of a generic
            operation replaces it.
        seed: of the run.
        window: base window, one number a spatial axis; `(points,)` for point sets. Batches are read at `read_size`.
        size_multiple: the patch; automatic sizes are rounded to it.
        windows_per_item: slots of an item in `Batch.index`, to tell items apart.
        batch_size: global batch, within which views with `draw="batch"` share their draws; a micro-batch when None.
        dtype: of `View.x`; everything is computed in float32.

    Attributes:
        read_size: the window to read.
        recipes: one for each view, in the plan's order.
        clean_size: size of clean views.

    Raises:
        ConfigError: sizes, scales, roles or `views.off` cannot be used.
    """

    def __init__(
        self,
        layout: Layout,
        plan: Plan,
        config: ViewsConfig | None = None,
        operations: Sequence[Operation] = (),
        seed: int = 0,
        *,
        window: Sequence[int],
        size_multiple: int | Sequence[int] = 1,
        windows_per_item: int = 1,
        batch_size: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        config = config if config is not None else ViewsConfig()
        self.layout, self.plan, self.seed = layout, plan, seed
        self.base = base_window(plan, config, layout, window, size_multiple)
        self.read_size = read_size(plan, config, layout, window, size_multiple)
        self.windows_per_item, self.batch_size, self.dtype = windows_per_item, batch_size, dtype
        self.recipes = compile_plan(plan, config, layout, window, size_multiple)
        self._order = tuple(in_order(self.recipes))
        self._operations = tuple(operations)
        self.photometry = Photometry.of(layout, config, operations)
        large = [r.size for r in self.recipes if not r.spec.local]
        self.clean_size = large[0] if large else tuple(window)

    def __call__(self, batch: Batch) -> Views:
        """The views of a batch, in the plan's order."""
        made = self._make(batch, self._order)
        return Views([self._view(batch, recipe, made[recipe.name]) for recipe in self.recipes])

    def clean(self, batch: Batch, part: str = "main", size: Sequence[int] | None = None) -> View:
        """An unaugmented view: the centre at scale one, filled up with invalid cells where the window is smaller.

        Args:
            batch: as read.
            part: of the sample.
            size: cells along each axis (or the number of points); the global view's when None.
        """
        recipe = clean_recipe(tuple(size if size is not None else self.clean_size), self.layout, part)
        return self._view(batch, recipe, self._make(batch, (recipe,))[recipe.name])

    @torch.no_grad()
    def _make(self, batch: Batch, order: Sequence[ViewRecipe]) -> dict[str, Made]:
        sources: dict[tuple[int, str], Source] = {}
        streams = {r.name: self._stream(batch, r.spec, r.name) for r in order}
        with full_precision(batch.index.device):
            for recipe in order:
                read, part = recipe.spec.read, recipe.spec.part
                if (read, part) not in sources:
                    sources[read, part] = self._source(batch, read, part)
            spatial = [r for r in order if sources[r.spec.read, r.spec.part].spatial]
            if self.layout.points:
                made = make_clouds(spatial, sources, streams, self.photometry)
            else:
                made = make_grids(spatial, sources, streams, self.photometry, self.base)
        for recipe in order:
            source = sources[recipe.spec.read, recipe.spec.part]
            if not source.spatial:
                made[recipe.name] = Made(source.x, source.valid, None, source.part.spacing)
        return made

    def _source(self, batch: Batch, read: int, part: str) -> Source:
        """A part of a read in the layout's axes, in float32."""
        found = batch.reads[read][part]
        for operation in self._operations:
            found = operation.front_end(found)
        return load(found, self.layout, self._item(batch, read), batch.meta)

    def _view(self, batch: Batch, recipe: ViewRecipe, made: Made) -> View:
        spec = recipe.spec
        part = batch.reads[spec.read][spec.part]
        return View(
            x=made.x.to(self.dtype),
            valid=made.valid,
            channel_valid=present(part, made.params),
            channels=part.channels,
            role=spec.role,
            index=batch.index,
            group=batch.group,
            spacing=made.spacing,
            geometry=made.geometry,
            draws=self._own(batch, spec, recipe.name).child("view"),
            label=batch.label if self.plan.labels else None,
            meta=batch.meta,
            params=made.params,
            part=spec.part,
        )

    def _item(self, batch: Batch, read: int) -> Tensor:
        """`[B]` identity of the item a read comes from."""
        item = torch.div(batch.index, self.windows_per_item, rounding_mode="floor")
        return item if self.plan.reads.relation in _ONE_ITEM else item * len(batch.reads) + read

    def _own(self, batch: Batch, spec: ViewSpec, name: str) -> Draws:
        """The samples' own stream for a view; a clean view depends on the item alone."""
        return Draws.at(self.seed, batch.index if spec.clean else batch.position).child(f"view/{name}")

    def _stream(self, batch: Batch, spec: ViewSpec, name: str) -> Draws:
        """What a view is drawn from: the sample's, its chunk's or the batch's stream."""
        if spec.draw == "sample" or spec.clean:
            return self._own(batch, spec, name)
        size = spec.chunk if spec.draw == "chunk" else self.batch_size
        if size is None:
            shared = batch.position[:1].expand_as(batch.position)
        else:
            shared = torch.div(batch.position, size, rounding_mode="floor")
        return Draws.at(self.seed, shared).child(f"{spec.draw}/{name}")
