"""`--format timm`: a ViT of rank 2 as timm's `VisionTransformer`, loaded with strict=True.

The first layer's normalisation and, for models, the standardisation before the head are affine, and fold into the
matrices beside them. Sine-cosine positions become timm's table.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssl_platform.errors import UsageError
from ssl_platform.nn.adapters.timm import TimmBackbone
from ssl_platform.nn.backbone import Normaliser
from ssl_platform.nn.block import LayerScale
from ssl_platform.nn.patch_tokenizer import PatchTokenizer
from ssl_platform.nn.patches import fits, patch_coords
from ssl_platform.nn.vit import ViT
from ssl_platform.transfer.formats.source import Source, Written, output_of
from ssl_platform.transfer.linear_head import LinearHead
from ssl_platform.transfer.model import TransferModel

_ARCHITECTURES = {192: "tiny", 384: "small", 768: "base", 1024: "large", 1280: "huge"}
_USAGE = """import json
import safetensors.torch
import timm

about = json.load(open("config.json"))
net = timm.create_model(about["architecture"], **about["model_args"])
net.load_state_dict(safetensors.torch.load_file("model.safetensors"), strict=True)
found = net.eval()(x)  # or, in a timm that knows it: timm.create_model("local-dir:FOLDER", pretrained=True)"""


def write(folder: Path, source: Source) -> Written:
    """Write `model.safetensors` and `config.json`, the layout of a timm model on a hub or in a folder.

    Raises:
        UsageError: timm is not installed.
        EncoderError: this is no ViT of rank 2 with one token a patch, or its model is for segmentation.
    """
    try:
        timm = importlib.import_module("timm")
    except ImportError as error:
        raise UsageError(f"--format timm needs timm: pip install 'ssl-platform[timm]' ({error})") from error
    from safetensors.torch import save_file

    model = source.portable.net if isinstance(source.portable.net, TransferModel) else None
    if model is not None and not isinstance(model.head, LinearHead):
        raise source.unfit("timm", "it has no segmentation decoder; use --format torch or onnx")
    if isinstance(source.backbone, TimmBackbone):
        architecture, arguments, state = _own(source, source.backbone)
    else:
        net = _fitting(source)
        width = net.embed_dim
        architecture = f"vit_{_ARCHITECTURES.get(width, 'base')}_patch{14 if width == 1280 else 16}_224"
        arguments, state = _arguments(net, source), vit_state(net, source.portable.spacing)
    if model is not None:
        arguments["num_classes"] = model.task.outputs
        state |= _linear(model)
    state = {name: value.float().contiguous().clone() for name, value in state.items()}
    try:
        timm.create_model(architecture, **arguments).load_state_dict(state, strict=True)
    except (RuntimeError, TypeError) as error:
        why = f"timm {timm.__version__} does not take it: {' '.join(str(error).split())[:200]}"
        raise source.unfit("timm", why) from error
    save_file(state, str(folder / "model.safetensors"), metadata={"format": "pt"})
    about = {
        "architecture": architecture,
        "num_classes": arguments["num_classes"],
        "num_features": source.backbone.embed_dim,
        "global_pool": arguments["global_pool"],
        "model_args": arguments,
        "pretrained_cfg": {
            "input_size": [arguments["in_chans"], *arguments["img_size"]],
            "fixed_input_size": True,
            "mean": [0.0] * arguments["in_chans"],  # normalisation is inside
            "std": [1.0] * arguments["in_chans"],
            "first_conv": "patch_embed.proj",
            "classifier": "head",
            "license": source.record.licence or "unset",
        },
    }
    if source.model is not None and source.model.task.classes:
        about["label_names"] = list(source.model.task.classes)
    (folder / "config.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    x = source.example().nan_to_num()
    output = output_of(source, x)
    if source.model is None:
        output = {"pooled": output["pooled"], "tokens": output["tokens"]}
    return Written(
        "model.safetensors",
        x,
        output,
        ("torch", "timm", "safetensors"),
        _USAGE,
        {"architecture": architecture, "model_args": arguments},
        ("Cells without data must be filled: every value is taken for real.",),
        gaps=False,
    )


def _fitting(source: Source) -> ViT:
    """The ViT, if timm's can be like it.

    Raises:
        EncoderError: it cannot.
    """
    net = source.backbone
    why = ""
    if not isinstance(net, ViT):
        why = "timm's VisionTransformer is a vit-* or timm:vit_*; use --format torch or onnx"
    elif not isinstance(net.tokenizer, PatchTokenizer) or net.tokenizer.rank != 2:
        why = f"it holds images with one token a patch, not {source.record.contract.axes!r} cut otherwise"
    elif not isinstance(net.normaliser, Normaliser) or net.learned_from < len(net.blocks):
        why = "it has neither learnt tokens nor another first layer than one mean and deviation a channel"
    elif not fits(source.record.backbone.size, net.tokenizer.patch):
        why = f"views of {tuple(source.record.backbone.size)} are no multiple of the patch {net.tokenizer.patch}"
    if why:
        raise source.unfit("timm", why)
    assert isinstance(net, ViT)
    return net


def _arguments(net: ViT, source: Source) -> dict[str, Any]:
    """What `timm.create_model` is told."""
    block: Any = net.blocks[0]
    tokenizer: Any = net.tokenizer
    has_class = net.pool == "cls"
    scaled = isinstance(block.ls1, LayerScale)
    return {
        "img_size": list(source.record.backbone.size),
        "patch_size": list(tokenizer.patch),
        "in_chans": tokenizer.channels,
        "num_classes": 0,
        "global_pool": "token" if has_class else "avg",
        "fc_norm": False,
        "embed_dim": net.embed_dim,
        "depth": len(net.blocks),
        "num_heads": block.attn.heads,
        "mlp_ratio": block.mlp.fc1.out_features / net.embed_dim,
        "init_values": 1.0 if scaled else None,
        "class_token": has_class,
        "reg_tokens": net.prefix_count - has_class,
        "no_embed_class": True,
    }


@torch.no_grad()
def vit_state(net: ViT, spacing: Tensor) -> dict[str, Tensor]:
    """Tensors of a ViT by timm's names.

    Args:
        net: of rank 2, one token a patch.
        spacing: `[1, 2]` of the cells, for positions of physical length.
    """
    tokenizer: Any = net.tokenizer
    normaliser: Any = net.normaliser
    patch, channels = tokenizer.patch, tokenizer.channels
    weight = tokenizer.embed.weight.view(net.embed_dim, *patch, channels).permute(0, 3, 1, 2)
    state = {
        **_folded(weight, tokenizer.embed.bias, normaliser),
        "pos_embed": _positions(net, spacing),
        **{name: value for name, value in net.state_dict().items() if name.startswith(("blocks.", "norm."))},
    }
    tokens = int(net.pool == "cls")
    if tokens:
        state["cls_token"] = net.prefix[None, :1]
    if net.prefix_count > tokens:
        state["reg_token"] = net.prefix[None, tokens:]
    return state


def _folded(weight: Tensor, bias: Tensor, normaliser: Normaliser) -> dict[str, Tensor]:
    """The matrix of the patches, `[D, C, h, w]` and `[D]`, behind the first layer's normalisation."""
    inside = weight.double() / normaliser.std.double().view(1, -1, 1, 1)
    offset = (inside * normaliser.mean.double().view(1, -1, 1, 1)).sum((1, 2, 3))
    return {"patch_embed.proj.weight": inside, "patch_embed.proj.bias": bias.double() - offset}


@torch.no_grad()
def _own(source: Source, net: TimmBackbone) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """Name, arguments and tensors of a ViT that is timm's already; its last norm was no part of the encoder.

    Raises:
        EncoderError: it is no plain ViT.
    """
    spec = source.record.backbone
    inner: Any = getattr(net.net, "model", None)
    state = {} if inner is None else inner.state_dict()
    if "patch_embed.proj.bias" not in state or "blocks.0.attn.qkv.weight" not in state:
        raise source.unfit("timm", "of timm's own nets it takes plain ViTs: timm:vit_*; use --format torch or onnx")
    assert isinstance(net.normaliser, Normaliser)
    given = {name: value for name, value in spec.settings.items() if name not in ("patch", "out_indices")}
    fixed = {"num_classes": 0, "global_pool": "avg", "fc_norm": False, "final_norm": False, "depth": len(inner.blocks)}
    arguments = {"in_chans": len(spec.channels), "img_size": list(spec.size), **given, **fixed}
    folded = _folded(state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], net.normaliser)
    return spec.name.removeprefix("timm:"), arguments, {**state, **folded}


def _positions(net: ViT, spacing: Tensor) -> Tensor:
    """`[1, N, D]` embedding of the patches of a view of the size the net was built for."""
    assert net.spec is not None
    size: tuple[int, ...] = net.spec.size
    tokenizer: Any = net.tokenizer
    coords = patch_coords(size, tokenizer.patch, torch.zeros(1))
    found: Tensor = net.positions(coords, spacing.float() * torch.tensor(size, dtype=torch.float32))
    return found


def _linear(model: TransferModel) -> dict[str, Tensor]:
    """The head between its standardisation and the target's unit as one matrix."""
    head = model.head
    assert isinstance(head, LinearHead)
    weight = head.linear.weight.double() / head.std.double()
    bias = head.linear.bias.double() - weight @ head.mean.double()
    if model.task.kind == "regression":
        weight, bias = weight * model.scale.double(), bias * model.scale.double() + model.shift.double()
    return {"head.weight": weight, "head.bias": bias}
