"""A model of the page as an ONNX file, with what the page must know to prepare pictures and to draw."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..export.graphs import graph_of, outputs_of
from ..export.metadata import metadata_of
from ..export.writing import check_onnx, trace
from ..inference import Predictor, UserError, load
from ..inference.loading import find_source
from ..visualization.networks import backbone_of, inputs_of, last_detailed_stage, stride_of
from .answers import attention_title
from .attention_output import DYNAMIC, NAME, WithAttention

TASKS = ('classification', 'detection')
# Of the file's metadata what the page reads; lists, numbers and what is true or false are JSON in both.
READ_AS_TEXT = ('task', 'channel_order')
READ_AS_JSON = ('classes', 'palette', 'mean', 'std', 'size_divisor', 'scale', 'keep_ratio')
# What the page does by itself; anything else of a test pipeline it does not (page/prepare.js).
DONE = {'edge': '', 'interpolation': 'bilinear', 'backend': 'cv2', 'crop': 'null'}
LAST_STAGE = 2
# Where the slider of the least score begins, as in the demo's own pictures.
SHOWN_FROM = 0.5


def write_network(config: Path, checkpoint: str | None, file: Path) -> dict[str, Any]:
    """Write a model's network.

    Args:
        config: A config file.
        checkpoint: A checkpoint of it; None for the weights that come with the config.
        file: The ONNX file.

    Returns:
        What models.json says of it.

    Raises:
        UserError: The weights or a package are missing, or the page has no use for the model.
        CheckpointError: The checkpoint cannot be read.
    """
    check_onnx()
    source = find_source(config, checkpoint)
    model = load(source.config, source.checkpoint, 'cpu')
    if model.task not in TASKS:
        raise UserError(f'{config}: {model.task}; the page runs detectors and classifiers in the browser')
    metadata, graph, outputs = metadata_of(model, source), graph_of(model), outputs_of(model)
    described = described_for_page(metadata, config)
    attn, shown = attended_block(model, torch.zeros(1, 3, *reversed(described['scale'])))
    if attn is not None:
        graph, outputs = WithAttention(graph, attn), {**outputs, NAME: DYNAMIC}
    trace(graph.eval(), outputs, metadata, file)
    return {**described, 'attention': shown}


def described_for_page(metadata: dict[str, str], config: Path) -> dict[str, Any]:
    """What the page reads of a file's metadata.

    Raises:
        UserError: Pictures would have to be prepared as the page cannot.
    """
    others = [f'{name} {metadata[name]}' for name, done in DONE.items() if metadata.get(name, done) != done]
    if others:
        raise UserError(f'{config}: its test pipeline has {", ".join(others)}; the page resizes bilinearly, no more')
    texts = {name: metadata[name] for name in READ_AS_TEXT}
    return {**texts, **{name: json.loads(metadata[name]) for name in READ_AS_JSON}, 'score_thr': SHOWN_FROM}


def attended_block(model: Predictor, images: torch.Tensor) -> tuple[nn.Module | None, dict[str, Any] | None]:
    """The attention that the page draws: of the last block of a stage whose map tells places apart.

    Args:
        model: A loaded model.
        images: As its network takes them.

    Returns:
        It, and what the page says of it; None for both where it is no attention between the tokens of a map.
    """
    backbone = backbone_of(model)
    stage = last_detailed_stage(backbone, images, LAST_STAGE)
    block = len(backbone.stages[stage].blocks) - 1
    attn = backbone.stages[stage].blocks[block].attn
    if not hasattr(attn, 'attention_weights') or not hasattr(attn, 'window'):
        return None, None
    kind = 'global' if len(inputs_of(backbone, images, [attn])[0]) > 1 else 'all'
    title = attention_title(type(backbone).__name__, stage, block, kind)
    return attn, {'stride': stride_of(backbone, stage), 'title': title}
