"""Every configuration key, its type, default and meaning. Importing this module imports no torch.

Objectives, backbones and domains bring settings of their own (`objective.*`, `backbone.*`, `data.*`), checked against
their records.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator


class Section(BaseModel):
    """Base of all sections: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, coerce_numbers_to_str=True)


class DataConfig(Section):
    """`data.*`: what is read. A domain's own options live here too."""

    model_config = ConfigDict(extra="allow", validate_assignment=True, populate_by_name=True)

    paths: list[str] = Field([], description="files, folders, quoted globs or shard addresses (--data)")
    manifest: str | None = Field(None, description="table with data and facts (--manifest)")
    batch_size: int | Literal["auto"] = Field("auto", description="global batch; auto: from domain, model and memory")
    accumulate: int = Field(1, ge=1, description="micro-batches per optimiser step")
    window: list[int] | Literal["auto"] = Field("auto", description="cells read along each spatial axis")
    windows_per_item: int = Field(1, ge=1, description="windows of each item in one epoch")
    workers: int | Literal["auto"] = Field("auto", description="reader processes; auto: from the CPUs granted")
    max_bad_fraction: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = Field(
        "auto",
        description="stop when more of the items than this are unreadable; auto: 0.05, of a small set three while most "
        "are good",
    )
    check: Literal["auto", "full", "header"] = Field(
        "auto", description="what is read of all items before the start; auto: the content of small sets, else headers"
    )
    include: str | None = Field(None, description="glob of files to use although they look like masks")
    include_test: bool = Field(False, description="pretrain also on known test rows")
    subset: str | None = Field(None, description="table naming the items to use")
    with_: str | None = Field(None, alias="with", description="table joined to the items by index")
    sources: dict[str, float] = Field({}, description="weights of several sources")


class LabelsConfig(Section):
    """`labels.*`: where facts come from and how they are read."""

    source: str | None = Field(
        None, description="table, folder of masks, raster, folders, name:REGEX or field:NAME (--labels)"
    )
    path: str | None = Field(None, description="name of the path column")
    label: str | list[str] | None = Field(None, description="name of the label column, or several 0/1 columns")
    group: str | None = Field(None, description="name of the group column, name:REGEX, or parent")
    split: str | None = Field(None, description="name of the split column, or a splits.csv to reuse")
    fold: str | None = Field(None, description="name of the fold column")
    mask: str | None = Field(None, description="name of the mask column")
    positive: str | None = Field(None, description="positive class for AUC")
    unseen: Literal["refuse", "allow"] = Field(
        "refuse", description="classes of the test part that train lacks; allow: as where they are the anomalies"
    )
    ignore: int = Field(255, description="mask value that counts nowhere")
    resample: Literal["nearest"] | None = Field(None, description="resample masks whose grid differs")
    allow_unmatched: bool = Field(False, description="go on when fewer than half the labels match")
    fraction: float | None = Field(None, gt=0, le=1, description="use this fraction of the training labels")
    count: int | None = Field(None, ge=1, description="use this many of the training labels")
    draw: int = Field(0, ge=0, description="which of the fixed draws of labels.fraction and labels.count")
    blocks: str | None = Field(None, description="spatial split, e.g. 600m,gap=100m")
    unit: Literal["item", "group"] = Field("item", description="what metrics count")

    @property
    def limited(self) -> bool:
        """Whether fewer training labels are asked for than there are."""
        return self.fraction is not None or self.count is not None


class ViewsConfig(Section):
    """`views.*`: sizes and strengths of the generic augmentations; a domain and an objective refine them."""

    global_size: list[int] | int | Literal["auto"] = Field("auto", description="cells of a global view")
    local_size: list[int] | int | Literal["auto"] = Field("auto", description="cells of a local view")
    global_scale: tuple[float, float] | None = Field(None, description="fraction of the window a global crop covers")
    local_scale: tuple[float, float] | None = Field(None, description="fraction of the window a local crop covers")
    zoom: bool | Literal["auto"] = Field(
        "auto",
        description="scale crops to the view's size, else keep the data's resolution; auto: scale, except crops that "
        "are compared where sizes mean something",
    )
    recipe: Literal["original", "shared", "crop-resize", "crop"] = Field(
        "original",
        description="how much crops are augmented; shared: one draw of intensities for all views of a sample; "
        "crop-resize: neither intensities, flips nor turns; crop: nor scaling, every cell is one of the data",
    )
    strength: float = Field(1.0, ge=0, description="multiplier of all intensity augmentations")
    fields: float = Field(
        0.0,
        ge=0,
        description="strength of smooth random fields (shifts of cells or points; over grids gains and offsets); "
        "1: that of the global operations; 0: none",
    )
    fields_gamma: float = Field(
        6.0,
        ge=0,
        description="their smoothness: power falls with frequency to minus this; 2 is rough, 10 nearly global",
    )
    rotate: float = Field(0.0, ge=0, le=180, description="largest rotation in degrees, in planes the layout allows")
    off: list[str] = Field([], description="names of view operations to leave out")

    @property
    def scales(self) -> bool:
        """Whether crops may be scaled."""
        return bool(self.zoom) and "scale" not in self.off and self.recipe != "crop"

    @property
    def crops_only(self) -> bool:
        """Whether views are crops without intensity changes, flips and turns."""
        return self.recipe in ("crop-resize", "crop")


class OptimConfig(Section):
    """`optim.*`."""

    name: Literal["adamw", "lars", "sgd", "auto"] = Field("auto", description="optimiser")
    lr: float | Literal["auto"] = Field(
        "auto", description="peak learning rate; auto: the objective's, scaled by batch"
    )
    weight_decay: float | Literal["auto"] = Field("auto", description="final weight decay")
    betas: tuple[float, float] = Field((0.9, 0.95), description="Adam's betas")
    momentum: float = Field(0.9, description="of SGD and LARS")
    warmup: str = Field("5%", description="duration of the linear warm-up: steps, 10ep or 5%")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="after the warm-up")
    min_lr: float = Field(0.0, ge=0, description="final learning rate as a fraction of the peak")
    clip: float | None = Field(3.0, description="gradient-norm limit per player; null for none")


class TrainerConfig(Section):
    """`trainer.*`."""

    max_steps: int | Literal["auto"] = Field("auto", description="optimiser steps")
    precision: Literal["auto", "32", "16-mixed", "bf16-mixed", "64"] = Field("auto", description="numeric precision")
    devices: int | str = Field("auto", description="devices to use")
    accelerator: str = Field("auto", description="cpu, gpu or auto")
    nodes: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="machines; auto: what torchrun or SLURM start processes on"
    )
    strategy: Literal["auto", "ddp"] = Field("auto", description="how several processes train together")
    compile: bool = Field(False, description="torch.compile transformer blocks, or a backbone that has none")
    deterministic: bool = Field(False, description="deterministic algorithms (bit-equal resume on CUDA)")
    checkpoint_every: int | Literal["auto"] = Field("auto", description="steps between checkpoints")
    keep: int = Field(3, ge=1, description="checkpoints kept")
    log_every: int = Field(1, ge=1, description="steps between rows of metrics.csv")
    loggers: list[Literal["tensorboard"]] = Field([], description="besides CSV")
    requeue: bool = Field(False, description="on SIGUSR1 save and requeue the SLURM job")
    tf32: bool = Field(True, description="TF32 matrix products on GPUs that have them")

    @field_validator("precision", mode="before")
    @classmethod
    def _as_word(cls, value: Any) -> Any:
        """`trainer.precision=32` reads as a number."""
        return str(value) if isinstance(value, int) else value


class HealthConfig(Section):
    """`health.*`."""

    enabled: bool = Field(True, description="watch whether the run is learning")
    every: int | Literal["auto"] = Field("auto", description="steps between looks")
    stop: bool = Field(False, description="stop a collapsed run")
    knn: bool = Field(True, description="online kNN where labels exist")
    items: int = Field(512, ge=16, description="items in a look")


class FinetuneConfig(Section):
    """`finetune.*`: how a model is trained for a task."""

    mode: Literal["full", "frozen", "lora", "bitfit"] = Field(
        "full",
        description="what is trained besides the head: all of the encoder, nothing of it, low-rank adapters of its "
        "linear layers, or its biases",
    )
    lora_rank: int = Field(8, ge=1, description="rank of the adapters (lora)")
    lora_alpha: float = Field(16.0, gt=0, description="scale of what the adapters add, over their rank (lora)")
    lora_layers: Literal["attention", "all"] = Field(
        "attention",
        description="what is adapted: queries, keys, values and output projections, or all linear layers of the blocks "
        "(lora)",
    )
    steps: int | Literal["auto"] = Field("auto", description="optimiser steps; auto: 50 passes, 200 to 5000 steps")
    batch_size: int | Literal["auto"] = Field("auto", description="windows a step; auto: by their size")
    lr: float | Literal["auto"] = Field("auto", description="peak learning rate of the head; auto: by mode")
    weight_decay: float = Field(0.05, ge=0, description="weight decay of matrices")
    layer_decay: float | Literal["auto"] = Field(
        "auto",
        description="each block's learning rate as a fraction of the next one's; auto: 0.75, 1 from scratch and for "
        "lora and bitfit",
    )
    warmup: str = Field("10%", description="duration of the linear warm-up: steps, 10ep or 5%")
    clip: float = Field(1.0, gt=0, description="gradient-norm limit")
    head: Literal["probe", "random"] = Field(
        "probe",
        description="where a linear head starts: at the linear probe of the training items' features, or at random",
    )
    decoder: Literal["auto", "linear", "fpn", "unetr", "skip"] = Field(
        "auto",
        description="of segmentation; auto: skip for hierarchical encoders, unetr for plain transformers, else fpn",
    )
    width: int = Field(16, ge=1, description="channels of the segmentation decoder at full resolution")
    eval_every: int | Literal["auto"] = Field("auto", description="steps between validations; auto: ten in all")
    overlap: float = Field(0.5, ge=0, lt=1, description="overlap of neighbouring windows when segmenting")
    fold: Annotated[int, Field(ge=1)] | Literal["all"] = Field(
        1, description="round of a cross-validation that is trained; all: a model a round, test items scored together"
    )


class ProbeConfig(Section):
    """`probe.*`: what protocols on frozen features may spend."""

    steps: int = Field(
        1000, ge=1, description="steps of heads trained by gradient (mil, attentive, linear-sgd, clustering)"
    )
    layers: list[int] | Literal["auto", "all"] = Field(
        "auto",
        description="blocks whose outputs are probed, counted from 0 or from the end if negative; auto: the last four "
        "(linear-layers, linear-sgd)",
    )
    pooling: list[Literal["cls", "mean", "max", "spread", "bands", "regions"]] = Field(
        ["cls", "mean", "max"],
        min_length=1,
        description="how the tokens of a block become one vector; spread: mean and standard deviation, in which "
        "textures differ; bands: the mean along the last axis of a grid, its other places side by side, so that a "
        "spectrogram keeps its frequencies; regions: the means of its thirds along each axis, side by side, so that "
        "what comes first is told from what comes last (linear-layers, linear-sgd)",
    )
    costs: list[Annotated[float, Field(gt=0)]] = Field(
        [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0], min_length=1, description="values of C that validation chooses from (svm)"
    )
    fractions: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        [0.01, 0.1], min_length=1, description="shares of the training labels (semi-supervised)"
    )
    counts: list[Annotated[int, Field(ge=1)]] | Literal["auto"] = Field(
        "auto", description="numbers of training labels; auto: halves of all, down to one a class (label-utility)"
    )
    draws: list[Annotated[int, Field(ge=0)]] = Field(
        [0, 1, 2, 3, 4], min_length=1, description="draws of labels, as of labels.draw (semi-supervised, label-utility)"
    )
    scratch: list[str] = Field(
        [],
        description="runs of finetune --encoder random, each with a labels.count: what labels are worth without "
        "pretraining; without, the same net with random weights, frozen (label-utility)",
    )
    classifier: Literal["logistic", "prototype", "cosine", "nearest", "svm"] = Field(
        "logistic", description="what is fitted to the labelled items of an episode (fewshot)"
    )
    ways: int | Literal["auto"] = Field("auto", description="classes of a few-shot episode; auto: 5, or all if fewer")
    shots: int = Field(5, ge=1, description="labelled items a class of a few-shot episode")
    queries: int = Field(15, ge=1, description="most test items a class of a few-shot episode")
    episodes: int = Field(600, ge=2, description="few-shot episodes")
    recall: list[int] = Field([1, 5, 10], description="the k of recall@k in retrieval")
    clusters: int | Literal["auto"] = Field("auto", description="clusters; auto: as many as classes (clustering)")
    mined: int = Field(20, ge=1, description="nearest items that should share a cluster (clustering)")
    heads: int = Field(5, ge=1, description="heads that are trained, of which the least loss decides (clustering)")
    views: int = Field(4, ge=0, description="augmented views an item for self-labelling; 0: none (clustering)")
    threshold: float = Field(
        0.99, gt=0, lt=1, description="confidence above which an item labels its augmented views (clustering)"
    )
    context: int = Field(20, ge=0, description="latest frames looked at besides the first (label-propagation)")
    neighbours: int = Field(10, ge=1, description="cells that give a cell its label (label-propagation)")
    radius: int | None = Field(
        12, ge=0, description="cells around a place that are looked at; null: the whole frame (label-propagation)"
    )
    temperature: float = Field(0.05, gt=0, description="of the softmax over the neighbours (label-propagation)")
    frame_size: Annotated[int, Field(ge=16, le=4096)] | Literal["auto", "native"] = Field(
        "auto",
        description="pixels of the frames' short side; native: the videos' own; auto: data.short_side where given, "
        "else 256 or more (label-propagation)",
    )


class CompareConfig(Section):
    """`compare.*`: evaluations that are run where labels are given."""

    seeds: int = Field(1, ge=1, description="repeats with other random weights, label draws and training order")


class AnalyzeConfig(Section):
    """`analyze.*`: what is asked about a representation."""

    measures: list[str] = Field([], description="analyses to run, e.g. [attention, cka]; none named: all that fit")
    items: int = Field(512, ge=8, description="most items of a kind (unlabelled, training, validation, test)")
    transformed: int = Field(64, ge=8, description="most items that are looked at through changed views")
    strengths: list[Annotated[float, Field(gt=0)]] = Field(
        [1.0, 2.0], description="strengths of the changes a probe is tested on, as multiples of the domain's own"
    )
    bins: int = Field(15, ge=2, description="bins of confidence of the calibration error")


class CacheConfig(Section):
    """`cache.*`."""

    dir: str | None = Field(None, description="where prepared items are kept")
    max_gb: float = Field(50.0, gt=0, description="largest size on disk")


class RunConfig(Section):
    """One run.

    Where each value came from is kept beside it: `source("optim.lr")` is `override`, `recipe NAME line 4`,
    `domain medical3d`, `default`...
    """

    _sources: dict[str, str] = PrivateAttr(default_factory=dict)

    command: str = Field("pretrain", description="the command it belongs to")
    domain: str | None = Field(None, description="--domain")
    objective: dict[str, Any] = Field({}, description="name and settings")
    backbone: dict[str, Any] = Field({}, description="name and settings")
    data: DataConfig = Field(default_factory=lambda: DataConfig())
    labels: LabelsConfig = Field(default_factory=lambda: LabelsConfig())
    views: ViewsConfig = Field(default_factory=lambda: ViewsConfig())
    optim: OptimConfig = Field(default_factory=lambda: OptimConfig())
    trainer: TrainerConfig = Field(default_factory=lambda: TrainerConfig())
    health: HealthConfig = Field(default_factory=lambda: HealthConfig())
    finetune: FinetuneConfig = Field(default_factory=lambda: FinetuneConfig())
    probe: ProbeConfig = Field(default_factory=lambda: ProbeConfig())
    compare: CompareConfig = Field(default_factory=lambda: CompareConfig())
    analyze: AnalyzeConfig = Field(default_factory=lambda: AnalyzeConfig())
    cache: CacheConfig = Field(default_factory=lambda: CacheConfig())
    models: dict[str, str] = Field({}, description="frozen models an objective is given: models.teacher=RUN")
    init: str | None = Field(None, description="run or encoder file to start from (--init)")
    licence: str | None = Field(None, description="your licence of the encoder, e.g. CC-BY-4.0; encoder.json says it")
    run: str | None = Field(None, description="run folder (--run)")
    seed: int = Field(0, description="--seed")
    scale: Literal["auto", "paper", "tiny"] = Field(
        "auto", description="auto shrinks widths, queues and views to the run"
    )
    encoder: str | None = Field(None, description="run, encoder file or random (--encoder)")
    task: str | None = Field(None, description="downstream task (--task)")
    protocol: list[str] = Field([], description="evaluation protocols (--protocol)")

    @property
    def objective_settings(self) -> dict[str, Any]:
        """The objective's settings without its name."""
        return {key: value for key, value in self.objective.items() if key != "name"}

    def source(self, key: str) -> str:
        """Where the value of a dotted key came from."""
        return self._sources.get(key, "default")

    def given(self, key: str) -> bool:
        """Whether somebody asked for the value of a dotted key: a recipe, an option, an override or an argument."""
        return self.source(key).split(" ")[0] not in ("default", "domain", "objective", "backbone", "resolved")

    def resolve(self, key: str, value: Any, why: str) -> None:
        """Set a value nobody asked for and remember why.

        Args:
            key: dotted, e.g. `data.batch_size`.
            value: validated like any other.
            why: a few words, e.g. `8 fit in 12 GB`.
        """
        target: Any = self
        *sections, last = key.split(".")
        for section in sections:
            target = target.setdefault(section, {}) if isinstance(target, dict) else getattr(target, section)
        if isinstance(target, dict):
            target[last] = value
        else:
            setattr(target, last, value)
        self._sources[key] = f"resolved {why}"
