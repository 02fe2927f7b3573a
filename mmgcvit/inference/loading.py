"""From a config and a checkpoint to a model that one calls on images."""

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope

from ..checkpoints.fitting import WRAPPERS, check_content_fits
from ..checkpoints.for_hosts import read_for_host
from ..datasets.checks.images import loader_of
from ..errors import CheckpointError, UserError, first_line
from .classes import colours_of, names_of
from .classifier import Classifier
from .detector import Detector
from .devices import chosen_device
from .hosts import config_for_inferencer, dataset_of, quiet_hosts
from .predictor import Predictor
from .segmentor import Segmentor
from .sources import find_source, read_config

KINDS = {kind.scope: kind for kind in (Detector, Segmentor, Classifier)}


def load(
    config: str | Path,
    checkpoint: str | Path | None = None,
    device: str | None = None,
    score_thr: float | None = None,
    trust_checkpoint: bool = False,
) -> Predictor:
    """Load a trained model.

    Args:
        config: A config file, or the work dir of a run, whose config is taken.
        checkpoint: A file or an address; it is read as data, no code in it runs. None takes the work dir's best one, or
            its newest.
        device: ``'cpu'``, ``'cuda'``, ``'cuda:N'``; None for a GPU where there is one, else the CPU.
        score_thr: Objects of lower scores are left out; of detectors only, 0.3 by default.
        trust_checkpoint: Whether code in the checkpoint may run: only for files of one's own making.

    Returns:
        A :class:`Predictor`, to be called on images.

    Raises:
        UserError: There is no such config, checkpoint or device, or it is of no task that is known here.
        CheckpointError: The checkpoint cannot be read, or is not the config's model's.
    """
    chosen = chosen_device(device)
    source = find_source(config, checkpoint)
    cfg = read_config(source.config)
    kind = kind_of(cfg, source.config)
    if score_thr is not None and kind is not Detector:
        raise UserError(f'score_thr={score_thr}: only of a detector are objects left out by score; this is {kind.task}')
    if score_thr is not None and not 0 <= score_thr <= 1:
        raise UserError(f'score_thr={score_thr}: expected a score from 0 to 1')
    content = read_for_host(source.checkpoint, trust=trust_checkpoint)
    cfg = config_for_inferencer(cfg, kind.visualizer, source.config)
    inferencer = inferencer_of(cfg, kind, chosen)
    model = inferencer.model
    check_content_fits(model, content, source.checkpoint)
    weights = {WRAPPERS.sub('', name): tensor for name, tensor in content['state_dict'].items()}
    try:
        model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise CheckpointError(f'{source.checkpoint} cannot be loaded: {first_line(error)}') from None
    model.to(chosen).eval()
    meta, dataset = content['meta'], dataset_of(cfg)
    with DefaultScope.overwrite_default_scope(kind.scope):
        names = names_of(meta, dataset, model)
        colours = colours_of(meta, dataset, names)
    predictor = kind(inferencer, loader_of(dataset), names, colours)
    if score_thr is not None:
        predictor.score_thr = score_thr
    return predictor


def kind_of(cfg: Config, path: str | Path) -> type[Predictor]:
    """The kind of predictor of a config.

    Args:
        cfg: A whole config.
        path: Its file, for messages.

    Raises:
        UserError: It is of no task that is known here, or has no model.
    """
    kind = KINDS.get(cfg.get('default_scope'))
    if kind is None or 'model' not in cfg:
        raise UserError(
            f'{path}: its default_scope is {cfg.get("default_scope")!r}, and it has '
            f'{"a" if "model" in cfg else "no"} model; expected a model of {", ".join(KINDS)}'
        )
    return kind


def inferencer_of(cfg: Config, kind: type[Predictor], device: torch.device) -> Any:
    """The host's Inferencer with random weights, of a config of :func:`.hosts.config_for_inferencer`."""
    # Hosts set their scope for the whole process, or look for their parts in the one that is set.
    with quiet_hosts(), DefaultScope.overwrite_default_scope(kind.scope):
        inferencer = kind.inferencer_of(cfg, device)
    # Outside of training the same, and there on every device; mmpretrain leaves it.
    inferencer.model = revert_sync_batchnorm(inferencer.model)
    return inferencer
