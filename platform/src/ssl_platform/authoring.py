"""The names a plugin author may import, all from `ssl_platform.api`, and where each lives.

The first block is what type checkers see, the table what an import does; a test holds them together. Anything else is
inside the platform and may move in any release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl_platform.data.prepared import Prepared as Prepared
    from ssl_platform.data.window import grid_windows as grid_windows
    from ssl_platform.data.window import place_center as place_center
    from ssl_platform.data.window import place_foreground as place_foreground
    from ssl_platform.data.window import place_overlapping as place_overlapping
    from ssl_platform.data.window import place_uniform as place_uniform
    from ssl_platform.data.window import read_window as read_window
    from ssl_platform.distributed import all_mean as all_mean
    from ssl_platform.distributed import gather as gather
    from ssl_platform.distributed import global_mean as global_mean
    from ssl_platform.domain import Domain as Domain
    from ssl_platform.domain import DomainOptions as DomainOptions
    from ssl_platform.draws import Draws as Draws
    from ssl_platform.errors import Aside as Aside
    from ssl_platform.errors import ConfigError as ConfigError
    from ssl_platform.errors import DataError as DataError
    from ssl_platform.errors import Misfit as Misfit
    from ssl_platform.errors import PluginError as PluginError
    from ssl_platform.errors import SslPlatformError as SslPlatformError
    from ssl_platform.errors import Unreadable as Unreadable
    from ssl_platform.errors import UsageError as UsageError
    from ssl_platform.losses.precision import full_precision as full_precision
    from ssl_platform.nn.backbone import Backbone as Backbone
    from ssl_platform.nn.backbone import Normaliser as Normaliser
    from ssl_platform.nn.heads import mlp as mlp
    from ssl_platform.nn.tokenizer import Tokenizer as Tokenizer
    from ssl_platform.objectives.base import Export as Export
    from ssl_platform.objectives.base import Objective as Objective
    from ssl_platform.objectives.base import ObjectiveConfig as ObjectiveConfig
    from ssl_platform.objectives.base import Player as Player
    from ssl_platform.objectives.base import objective as objective
    from ssl_platform.objectives.manifest import record_of as record_of
    from ssl_platform.plan import ModelSpec as ModelSpec
    from ssl_platform.plan import Plan as Plan
    from ssl_platform.plan import Reads as Reads
    from ssl_platform.plan import Refresh as Refresh
    from ssl_platform.plan import ViewSpec as ViewSpec
    from ssl_platform.plugins import BackboneDeclaration as BackboneDeclaration
    from ssl_platform.plugins import CheckDeclaration as CheckDeclaration
    from ssl_platform.plugins import DatasetDeclaration as DatasetDeclaration
    from ssl_platform.plugins import DomainDeclaration as DomainDeclaration
    from ssl_platform.plugins import ObjectiveDeclaration as ObjectiveDeclaration
    from ssl_platform.plugins import ProtocolDeclaration as ProtocolDeclaration
    from ssl_platform.plugins import Setting as Setting
    from ssl_platform.plugins import TaskDeclaration as TaskDeclaration
    from ssl_platform.plugins import hookimpl as hookimpl
    from ssl_platform.transfer.protocols.answer import Answer as Answer
    from ssl_platform.transfer.protocols.answer import Budget as Budget
    from ssl_platform.transfer.protocols.splits import Labelled as Labelled
    from ssl_platform.transfer.protocols.splits import Splits as Splits
    from ssl_platform.transfer.task import Task as Task
    from ssl_platform.types import Batch as Batch
    from ssl_platform.types import Channel as Channel
    from ssl_platform.types import Features as Features
    from ssl_platform.types import Geometry as Geometry
    from ssl_platform.types import Layout as Layout
    from ssl_platform.types import Loss as Loss
    from ssl_platform.types import Mask as Mask
    from ssl_platform.types import Metric as Metric
    from ssl_platform.types import Part as Part
    from ssl_platform.types import PartBatch as PartBatch
    from ssl_platform.types import Result as Result
    from ssl_platform.types import Row as Row
    from ssl_platform.types import Sample as Sample
    from ssl_platform.types import Step as Step
    from ssl_platform.types import Tokens as Tokens
    from ssl_platform.types import View as View
    from ssl_platform.types import Views as Views
    from ssl_platform.types import Window as Window
    from ssl_platform.views.operation import Context as Context
    from ssl_platform.views.operation import Operation as Operation
    from ssl_platform.views.operation import between as between
    from ssl_platform.views.operation import drawn as drawn
    from ssl_platform.views.operation import where_drawn as where_drawn

_MODULES: dict[str, str] = {
    "data.prepared": "Prepared",
    "data.window": "grid_windows place_center place_foreground place_overlapping place_uniform read_window",
    "distributed": "all_mean gather global_mean",
    "domain": "Domain DomainOptions",
    "draws": "Draws",
    "errors": "Aside ConfigError DataError Misfit PluginError SslPlatformError Unreadable UsageError",
    "losses.precision": "full_precision",
    "nn.backbone": "Backbone Normaliser",
    "nn.heads": "mlp",
    "nn.tokenizer": "Tokenizer",
    "objectives.base": "Export Objective ObjectiveConfig Player objective",
    "objectives.manifest": "record_of",
    "plan": "ModelSpec Plan Reads Refresh ViewSpec",
    "plugins": "BackboneDeclaration CheckDeclaration DatasetDeclaration DomainDeclaration ObjectiveDeclaration "
    "ProtocolDeclaration Setting TaskDeclaration hookimpl",
    "transfer.protocols.answer": "Answer Budget",
    "transfer.protocols.splits": "Labelled Splits",
    "transfer.task": "Task",
    "types": "Batch Channel Features Geometry Layout Loss Mask Metric Part PartBatch Result Row Sample Step Tokens "
    "View Views Window",
    "views.operation": "Context Operation between drawn where_drawn",
}

AUTHORING: dict[str, str] = {
    name: f"ssl_platform.{module}" for module, names in _MODULES.items() for name in names.split()
}
"""What a plugin may import from `ssl_platform.api`, and the module each name is imported from on first use."""
