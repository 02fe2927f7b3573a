"""Load a trained model from a config and a checkpoint, or from a work dir."""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DATASETS, MODELS
from torch import nn

from ..checkpoints.loading import WRAPPERS, check_fits
from ..checkpoints.safe_loading import read_for_mmengine
from ..config import read_config
from ..datasets.checks.images import loader_of
from ..datasets.checks.sources import leaf_datasets, type_name
from ..device import check_gpus, chosen_device
from ..errors import CheckpointError, UserError, first_line, printable
from ..mmengine_utils import BUILDING, building_in
from ..ops.compiled import check_operators, check_operators_load
from .drawing import choose_palette
from .predictor import Classifier, Detector, Predictor, Segmentor
from .sources import Source, find_source, warn_of_other_config

PREDICTORS = {kind.scope: kind for kind in (Detector, Segmentor, Classifier)}
LOADING = 'LoadImageFromFile'
# Steps of test pipelines that need annotations.
ANNOTATION_STEPS = ('LoadAnnotations', 'LoadPanopticAnnotations', 'LoadOneDLAnnotations', 'ApplyExifAsAnnotated')
CIFAR = ('CIFAR10', 'CIFAR100')


def load(
    config: str | Path,
    checkpoint: str | Path | None = None,
    device: str | None = None,
    score_thr: float | None = None,
    trust_checkpoint: bool = False,
) -> Predictor:
    """Load a trained model.

    Args:
        config: A config file, or the work dir of a run. If its model or test pipeline differs from the config that
            the checkpoint was trained with, a warning lists the settings.
        checkpoint: A file or an address; it is read as data, no code in it runs. None takes the work dir's best or
            newest checkpoint, or the weights that come with a config of this project (:func:`find_source`).
        device: ``'cpu'``, ``'cuda'``, ``'cuda:N'``; None for a GPU if there is one, else the CPU.
        score_thr: Objects of lower scores are left out; detectors only, 0.3 by default.
        trust_checkpoint: Whether code in the checkpoint may run: only for files of your own making.

    Returns:
        A :class:`Predictor`, to be called on images.

    Raises:
        UserError: There is no such config, checkpoint or device, or the config's task is not supported.
        CheckpointError: The checkpoint cannot be read, or does not fit the config's model.
    """
    # The lock is taken before the config is read: Python 3.11.7 and others cannot parse in two threads (gh-106905).
    with BUILDING:
        return load_source(find_source(config, checkpoint), device, score_thr, trust_checkpoint)


def load_source(
    source: Source, device: str | None = None, score_thr: float | None = None, trust_checkpoint: bool = False
) -> Predictor:
    """As :func:`load`, from a config and a checkpoint that :func:`find_source` has found."""
    chosen = chosen_device(device)
    cfg = read_config(source.config)
    kind = choose_predictor(cfg, source.config)
    if score_thr is not None and kind is not Detector:
        raise UserError(f'score_thr={score_thr}: only a detector has a score threshold; this is {kind.task}')
    if score_thr is not None and not 0 <= score_thr <= 1:
        raise UserError(f'score_thr={score_thr}: expected a score from 0 to 1')
    content = read_for_mmengine(source.checkpoint, trusted=trust_checkpoint)
    warn_of_other_config(cfg, source)
    predictor = build_predictor(cfg, source.config, content['meta'])
    check_fits(predictor.network, content, source.checkpoint)
    weights = {WRAPPERS.sub('', name): tensor for name, tensor in content['state_dict'].items()}
    try:
        predictor.network.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise CheckpointError(f'{source.checkpoint} cannot be loaded: {first_line(error)}') from None
    predictor.network.to(chosen)
    if score_thr is not None:
        predictor.score_thr = score_thr
    return predictor


def load_for_command(
    source: Source, device: str, score_thr: float | None = None, trust_checkpoint: bool = False
) -> Predictor:
    """As :func:`load`, but first reject GPUs that torch does not see and operators that do not fit torch."""
    if device == 'auto':
        check_gpus()
    check_operators_load()
    with silence_output():
        model = load_source(source, device, score_thr, trust_checkpoint)
    if model.device.type == 'cuda':
        check_operators(Config({'default_scope': model.scope}))
    return model


def format_device(device: torch.device) -> str:
    """The name of a device for messages."""
    return 'the CPU' if device.type == 'cpu' else f'{torch.cuda.get_device_name(device)} ({device})'


def choose_predictor(cfg: Config, path: str | Path) -> type[Predictor]:
    """The class of predictor for a config; a UserError if its task is not supported or it has no model."""
    kind = PREDICTORS.get(cfg.get('default_scope'))
    if kind is None or 'model' not in cfg:
        raise UserError(
            f'{path}: its default_scope is {cfg.get("default_scope")!r}, and it has '
            f'{"a" if "model" in cfg else "no"} model; expected a model of {", ".join(PREDICTORS)}'
        )
    return kind


def build_predictor(cfg: Config, path: str | Path, meta: Any = None) -> Predictor:
    """Build the model of a config with random weights, on the CPU, in eval mode. The config is not changed.

    ``meta`` is the checkpoint's entry of that name, which may hold class names; files may hold anything there.
    """
    kind, cfg = choose_predictor(cfg, path), prepare_config(cfg, path)
    dataset = cfg.test_dataloader.dataset
    loading = next(step for step in dataset.pipeline if type_name(step) == LOADING)
    steps = [step for step in dataset.pipeline if type_name(step) not in (LOADING, *ANNOTATION_STEPS)]
    if torch.get_default_dtype() not in (torch.float32, torch.float64):
        # Constants of the model would be rounded to half precision, and stay so.
        raise UserError(
            f"torch's default dtype is {torch.get_default_dtype()}; load with torch.float32 (torch.set_default_dtype)"
        )
    with building_in(kind.scope), torch.device('cpu'):
        # Float32, as images are converted to.
        model = build_model(cfg).float().eval()
        names = find_class_names(meta, dataset, model)
        palette = choose_palette(len(names), [info.get('palette') for info in find_class_info(meta, dataset)])
        dtype = np.float32 if loading.get('to_float32') else np.uint8
        return kind(model, Compose(steps), loader_of(dataset), names, palette, dtype)


def build_model(cfg: Config) -> nn.Module:
    """Build a config's model as mmengine's runner does, without SyncBN; call it in the config's scope."""
    settings = {**cfg.model}
    # mmpretrain's configs have the preprocessor beside the model, or in it.
    if cfg.get('data_preprocessor'):
        settings.setdefault('data_preprocessor', cfg.data_preprocessor)
    return revert_sync_batchnorm(MODELS.build(settings))


def prepare_config(cfg: Config, path: str | Path) -> Config:
    """A copy of a config whose test pipeline takes any picture, and whose model has no LoRA layers."""
    cfg = deepcopy(cfg)
    dataset = next(leaf_datasets((cfg.get('test_dataloader') or {}).get('dataset')), ConfigDict())
    if type_name(dataset) in CIFAR:
        # CIFAR's pipelines neither load nor resize: its files hold arrays of 32 x 32, red, green, blue.
        resize = ConfigDict(type='Resize', scale=(32, 32), interpolation='area')
        dataset.pipeline = [ConfigDict(type=LOADING), resize, *dataset.pipeline]
        preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
        cfg.model.data_preprocessor = {**preprocessor, 'to_rgb': not preprocessor.get('to_rgb', False)}
    if LOADING not in map(type_name, dataset.get('pipeline') or []):
        raise UserError(f'{path}: its test_dataloader names no pipeline with {LOADING}, by which images are prepared')
    cfg.test_dataloader.dataset = dataset
    # Loading merges LoRA's weights into the plain network's.
    if 'lora_rank' in (cfg.model.get('backbone') or {}):
        cfg.model.backbone.lora_rank = 0
    return cfg


@contextmanager
def silence_output() -> Iterator[None]:
    """Hide what OpenMMLab packages print, log and warn while they build something; errors are raised.

    For commands only: the settings are those of the whole process, with all of its threads.
    """
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), Path(os.devnull).open('w') as nowhere, redirect_stdout(nowhere):
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


def find_class_names(meta: Any, dataset: ConfigDict, model: nn.Module) -> list[str]:
    """The class names of the checkpoint if their number fits the model, else the config's, else made up.

    mmdet and mmseg take COCO's or Cityscapes' silently if a checkpoint has none.
    """
    counts = [getattr(module, 'num_classes', None) for module in model.modules()]
    count = max((count for count in counts if isinstance(count, int)), default=0)
    for info in find_class_info(meta, dataset):
        names = info.get('classes')
        is_names = isinstance(names, Sequence) and all(isinstance(name, str) for name in names)
        if is_names and not isinstance(names, str) and names and len(names) == (count or len(names)):
            return [printable(name) for name in names]
    return [f'class {label}' for label in range(count)]


def find_class_info(meta: Any, dataset: ConfigDict) -> list[dict[str, Any]]:
    """Class names and colours: of a checkpoint, then of its config's data set; call it in the config's scope."""
    meta = meta if isinstance(meta, Mapping) else {}
    info = meta.get('dataset_meta')
    # Checkpoints of OpenMMLab's second generation, or of its first.
    info = info if isinstance(info, Mapping) else {key: meta.get(key) for key in ('CLASSES', 'PALETTE')}
    kind = dataset.type
    if not isinstance(kind, type):
        with DATASETS.switch_scope_and_registry(None) as registry:
            kind = registry.get(kind)
    of_class = getattr(kind, 'METAINFO', None) or {}
    return [{str(key).lower(): value for key, value in info.items()}, {**of_class, **(dataset.get('metainfo') or {})}]
