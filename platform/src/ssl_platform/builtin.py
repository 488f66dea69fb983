"""The core's own objectives, backbones, tasks and protocols, through the same hooks every plugin uses."""

from __future__ import annotations

import json
from pathlib import Path

from ssl_platform.plugins import (
    BackboneDeclaration,
    ObjectiveDeclaration,
    ProtocolDeclaration,
    Setting,
    TaskDeclaration,
    hookimpl,
)

SSL_PLATFORM_API = 1

MANIFEST = Path(__file__).parent / "objectives" / "manifest.json"

VIT_SIZES = ("pico", "nano", "tiny", "small", "base", "large", "huge")
VIT_OFFERS = ("tokens", "drop", "mask_token", "taps", "attention", "attn_mask")
PATCH = Setting("patch", "int | list[int] | None", None, "cells of a token along each axis; null: the domain's")
VIT_SETTINGS = (
    PATCH,
    Setting("dim", "int | None", None, "embedding width D; null: the size's", {"ge": 8}),
    Setting("depth", "int | None", None, "blocks; null: the size's", {"ge": 1}),
    Setting("heads", "int | None", None, "attention heads; null: the size's", {"ge": 1}),
    Setting("cls", "int", 1, "class tokens", {"ge": 0}),
    Setting("registers", "int", 0, "further prefix tokens", {"ge": 0}),
    Setting("learned_tokens", "int", 0, "learnt tokens the later blocks work on (TokenLearner); 0: all", {"ge": 0}),
    Setting("learned_after", "float", 0.5, "fraction of the blocks before them", {"ge": 0, "lt": 1}),
    Setting("pool", "Literal['cls', 'mean']", "mean", "pooled output: first class token or mean of valid tokens"),
    Setting("mlp_ratio", "float", 4.0, "width of the MLPs over D", {"gt": 0}),
    Setting("layer_scale", "float | None", None, "start of the layer scale; null for none"),
    Setting("drop_path", "float", 0.0, "probability at the last block, rising linearly", {"ge": 0, "lt": 1}),
    Setting("tokenizer", "Literal['auto', 'patch', 'channel', 'points']", "auto", "how a view is cut into tokens"),
    Setting("conditioning", "Literal['name', 'wavelength']", "name", "what the channel tokenizer knows of a channel"),
    Setting("min_valid", "float", 0.0, "least valid fraction of a valid token", {"ge": 0, "le": 1}),
    Setting("norm_pix", "bool", True, "reconstruction targets are normalised by token"),
    Setting("groups", "int | None", None, "tokens of a point set; null: every point in two on average", {"ge": 1}),
    Setting("temperature", "float | None", None, "of the positions; null: wavelengths fit the grid", {"gt": 1}),
    Setting("pitch", "float | None", None, "physical length of a position step; null: relative to the view", {"gt": 0}),
)

CONVNET = BackboneDeclaration(
    name="convnet-tiny",
    factory="ssl_platform.nn.convnet:convnet",
    summary="Small residual net of any rank; masked places stay zero (SparK)",
    offers=("tokens", "drop", "pyramid", "sparse"),
    settings=(
        PATCH,
        Setting("width", "int", 32, "channels of the finest map", {"ge": 1}),
        Setting("blocks", "int", 1, "residual blocks a map", {"ge": 1}),
    ),
)
MAPS = ("tokens", "pyramid")
EVERY = Setting("every", "int", 1, "use each n-th slice only", {"ge": 1})
ADAPTERS = (
    BackboneDeclaration(
        name="timm:*",
        factory="ssl_platform.nn.adapters.timm:timm_backbone",
        summary="Any timm model with feature maps, random weights: timm:resnet50",
        offers=MAPS,
        ranks=(2,),
        settings=(PATCH,),
        open_settings=True,
        requires={"timm": "pip install 'ssl-platform[timm]'"},
    ),
    BackboneDeclaration(
        name="nnunet:*",
        factory="ssl_platform.nn.adapters.nnunet:nnunet_backbone",
        summary="Encoders as nnU-Net plans them, settings are its arch_kwargs: nnunet:PlainConvUNet",
        offers=MAPS,
        ranks=(2, 3),
        open_settings=True,
        requires={"dynamic_network_architectures": "pip install 'ssl-platform[nnunet]'"},
    ),
    BackboneDeclaration(
        name="slices:*",
        factory="ssl_platform.nn.backbones:slices",
        summary="A backbone of one rank less over slices along the first axis: slices:timm:resnet18",
        offers=MAPS,
        ranks=(2, 3),
        settings=(PATCH, EVERY),
        open_settings=True,
    ),
    BackboneDeclaration(
        name="frames:*",
        factory="ssl_platform.nn.backbones:frames",
        summary="A backbone of one rank less over frames along the axis T: frames:vit-tiny",
        offers=MAPS,
        ranks=(2, 3),
        settings=(PATCH, EVERY),
        open_settings=True,
    ),
)


@hookimpl
def ssl_platform_objectives() -> list[ObjectiveDeclaration]:
    """Objectives of the core, from the generated manifest: nothing of theirs is imported."""
    return [ObjectiveDeclaration.from_record(record) for record in json.loads(MANIFEST.read_text(encoding="utf-8"))]


@hookimpl
def ssl_platform_backbones() -> list[BackboneDeclaration]:
    """The generic ViT by size, a small convnet, and adapters of other libraries' nets."""
    vits = [
        BackboneDeclaration(
            name=f"vit-{size}",
            factory="ssl_platform.nn.vit:vit",
            summary=f"Vision transformer of size {size}, any rank, any channels, point sets",
            offers=VIT_OFFERS,
            points=True,
            settings=VIT_SETTINGS,
            preset={"size_name": size},
        )
        for size in VIT_SIZES
    ]
    return [*vits, CONVNET, *ADAPTERS]


@hookimpl
def ssl_platform_tasks() -> list[TaskDeclaration]:
    """The kinds of labels, and what is asked of an encoder besides them."""
    metrics = "ssl_platform.transfer.metrics:"
    return [
        TaskDeclaration(
            name="classification",
            factory=f"{metrics}classification",
            summary="One class an item",
            metrics=("accuracy", "balanced_accuracy", "macro_f1", "auc"),
        ),
        TaskDeclaration(
            name="multi-label",
            factory=f"{metrics}multi_label",
            summary="Any number of labels an item",
            labels="classes",
            metrics=("map", "map_micro", "auc"),
        ),
        TaskDeclaration(
            name="regression",
            factory=f"{metrics}regression",
            summary="A number an item",
            labels="number",
            metrics=("r2", "mae"),
        ),
        TaskDeclaration(
            name="segmentation",
            factory="ssl_platform.transfer.dense_evaluation:item_metrics",
            summary="A class for every cell, trained with finetune",
            labels="mask",
            metrics=("dice", "miou"),
        ),
        TaskDeclaration(
            name="retrieval",
            factory="ssl_platform.transfer.protocols.retrieval:retrieval",
            summary="Items alike, found by distance",
            metrics=("map", "recall@1", "recall@5", "recall@10"),
            protocols=("retrieval",),
        ),
        TaskDeclaration(
            name="fewshot",
            factory="ssl_platform.transfer.protocols.fewshot:fewshot",
            summary="Classes told from a few labelled items",
            metrics=("accuracy",),
            protocols=("fewshot",),
        ),
        TaskDeclaration(
            name="clustering",
            factory="ssl_platform.transfer.protocols.clustering:clustering",
            summary="Classes found without labels",
            metrics=("accuracy", "nmi", "ari"),
            protocols=("clustering",),
        ),
        TaskDeclaration(
            name="anomaly",
            factory="ssl_platform.transfer.protocols.anomaly:anomaly",
            summary="Items unlike the normal ones",
            metrics=("auroc_knn", "auroc_mahalanobis"),
            protocols=("anomaly",),
        ),
        TaskDeclaration(
            name="object-discovery",
            factory="ssl_platform.transfer.protocols.object_discovery:object_discovery",
            summary="Boxes around objects without labels; masks score them",
            labels="mask",
            metrics=("corloc_lost", "corloc_tokencut"),
            protocols=("object-discovery",),
        ),
        TaskDeclaration(
            name="mil",
            factory="ssl_platform.transfer.protocols.mil:mil",
            summary="A label of an item from a bag of its windows (multiple-instance learning)",
            metrics=("accuracy", "balanced_accuracy", "macro_f1", "auc"),
            protocols=("mil",),
        ),
    ]


@hookimpl
def ssl_platform_protocols() -> list[ProtocolDeclaration]:
    """Ways to evaluate an encoder that stays as it is."""
    where = "ssl_platform.transfer.protocols."
    labels = ("classification", "multi-label")
    return [
        ProtocolDeclaration(
            name="knn",
            factory=f"{where}knn:knn",
            summary="Weighted vote of the nearest neighbours",
            tasks=(*labels, "regression"),
        ),
        ProtocolDeclaration(
            name="linear",
            factory=f"{where}linear:linear",
            summary="Linear head fitted to convergence: logistic or ridge regression",
            tasks=(*labels, "regression"),
            trains=True,
        ),
        ProtocolDeclaration(
            name="mil",
            factory=f"{where}mil:mil",
            summary="Attention pooling over the vectors of an item's windows",
            tasks=(*labels, "regression"),
            trains=True,
            features="windows",
            seeded=True,
        ),
        ProtocolDeclaration(
            name="attentive",
            factory=f"{where}attentive:attentive",
            summary="A learned query attends to all tokens, then a linear head",
            tasks=(*labels, "regression"),
            offers=("tokens",),
            trains=True,
            features="tokens",
            seeded=True,
        ),
        ProtocolDeclaration(
            name="svm",
            factory=f"{where}svm:svm",
            summary="Linear support-vector machine, one class against the rest",
            tasks=labels,
            trains=True,
        ),
        ProtocolDeclaration(
            name="fewshot",
            factory=f"{where}fewshot:fewshot",
            summary="Episodes of N classes told from K labelled items each",
            seeded=True,
        ),
        ProtocolDeclaration(
            name="linear-layers",
            factory=f"{where}linear_layers:linear_layers",
            summary="Linear head by L-BFGS; validation chooses block and pooling",
            tasks=(*labels, "regression"),
            trains=True,
            features="layers",
        ),
        ProtocolDeclaration(
            name="linear-sgd",
            factory=f"{where}linear_sgd:linear_sgd",
            summary="Linear head by SGD; validation chooses block, pooling and learning rate",
            tasks=(*labels, "regression"),
            trains=True,
            features="layers",
            seeded=True,
        ),
        ProtocolDeclaration(
            name="semi-supervised",
            factory=f"{where}semi_supervised:semi_supervised",
            summary="Linear heads from shares of the training labels, over fixed stratified draws",
            tasks=(*labels, "regression"),
            trains=True,
        ),
        ProtocolDeclaration(
            name="label-utility",
            factory=f"{where}label_utility:label_utility",
            summary="Linear heads from ever more labels, and how many labels the encoder saves",
            tasks=(*labels, "regression"),
            trains=True,
        ),
        ProtocolDeclaration(
            name="clustering",
            factory=f"{where}clustering:clustering",
            summary="Clusters of neighbours (SCAN) and of k-means, compared with the classes",
            trains=True,
            features="views",
            seeded=True,
        ),
        ProtocolDeclaration(
            name="anomaly",
            factory=f"{where}anomaly:anomaly",
            summary="How unlike normal items an item is: neighbour and Mahalanobis distance",
        ),
        ProtocolDeclaration(
            name="object-discovery",
            factory=f"{where}object_discovery:object_discovery",
            summary="Boxes around objects from the keys of the last block (LOST, TokenCut); nothing is learnt",
            tasks=(*labels, "regression", "segmentation", "none"),
            offers=("tokens",),
            features="encoder",
        ),
        ProtocolDeclaration(
            name="retrieval",
            factory=f"{where}retrieval:retrieval",
            summary="Test items search all others but those of their own group",
            tasks=labels,
        ),
    ]
