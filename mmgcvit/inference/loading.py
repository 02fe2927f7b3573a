"""From a config and a checkpoint, or a work dir, to a model that one calls on images."""

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
from ..checkpoints.safe_loading import read_for_host
from ..datasets.checks.images import loader_of
from ..datasets.checks.sources import leaf_datasets, type_name
from ..errors import CheckpointError, UserError, first_line, printable
from ..hosts.configs import read_config
from ..hosts.machine import check_gpus, chosen_device
from ..hosts.mmengine import BUILDING, building_in
from ..ops.compiled import check_operators, check_operators_load
from .drawing import Colour, palette_of
from .predictor import Classifier, Detector, Predictor, Segmentor
from .sources import Source, as_made, find_source

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
        config: A config file, or the work dir of a run, whose config is taken. Where its model or test pipeline is not
            what the checkpoint was made with, a line says so: a file's is used all the same, of a work dir the
            checkpoint's.
        checkpoint: A file or an address; it is read as data, no code in it runs. None takes the work dir's best one, or
            its newest; of a config of this project the one that comes with it (:func:`find_source`).
        device: ``'cpu'``, ``'cuda'``, ``'cuda:N'``; None for a GPU where there is one, else the CPU.
        score_thr: Objects of lower scores are left out; of detectors only, 0.3 by default.
        trust_checkpoint: Whether code in the checkpoint may run: only for files of one's own making.

    Returns:
        A :class:`Predictor`, to be called on images.

    Raises:
        UserError: There is no such config, checkpoint or device, or it is of no task that is known here.
        CheckpointError: The checkpoint cannot be read, or is not the config's model's.
    """
    # Threads take turns from the config on: some Pythons, 3.11.7 among them, cannot parse in two at once (gh-106905).
    with BUILDING:
        return load_source(find_source(config, checkpoint), device, score_thr, trust_checkpoint)


def load_source(
    source: Source, device: str | None = None, score_thr: float | None = None, trust_checkpoint: bool = False
) -> Predictor:
    """As :func:`load`, of a config and a checkpoint that were found."""
    chosen = chosen_device(device)
    cfg = read_config(source.config)
    kind = kind_of(cfg, source.config)
    if score_thr is not None and kind is not Detector:
        raise UserError(f'score_thr={score_thr}: only of a detector are objects left out by score; this is {kind.task}')
    if score_thr is not None and not 0 <= score_thr <= 1:
        raise UserError(f'score_thr={score_thr}: expected a score from 0 to 1')
    content = read_for_host(source.checkpoint, trusted=trust_checkpoint)
    predictor = model_of_config(as_made(cfg, source), source.config, content['meta'])
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
    """As :func:`load`, but GPUs that torch does not see and operators that do not go with torch are refused first."""
    if device == 'auto':
        check_gpus()
    check_operators_load()
    with quiet_hosts():
        model = load_source(source, device, score_thr, trust_checkpoint)
    if model.device.type == 'cuda':
        check_operators(Config({'default_scope': model.scope}))
    return model


def in_words(device: torch.device) -> str:
    """A device by its name for people."""
    return 'the CPU' if device.type == 'cpu' else f'{torch.cuda.get_device_name(device)} ({device})'


def kind_of(cfg: Config, path: str | Path) -> type[Predictor]:
    """The kind of predictor of a config; a UserError where its task is not known here, or it has no model."""
    kind = KINDS.get(cfg.get('default_scope'))
    if kind is None or 'model' not in cfg:
        raise UserError(
            f'{path}: its default_scope is {cfg.get("default_scope")!r}, and it has '
            f'{"a" if "model" in cfg else "no"} model; expected a model of {", ".join(KINDS)}'
        )
    return kind


def model_of_config(cfg: Config, path: str | Path, meta: Any = None) -> Predictor:
    """The model of a whole config, which is not changed, with random weights, on the CPU, in eval mode.

    ``meta`` is what a checkpoint says of its classes under that key; anything, as files may hold anything.
    """
    kind, cfg = kind_of(cfg, path), for_pictures(cfg, path)
    dataset = cfg.test_dataloader.dataset
    loading = next(step for step in dataset.pipeline if type_name(step) == LOADING)
    steps = [step for step in dataset.pipeline if type_name(step) not in (LOADING, *OF_ANNOTATIONS)]
    if torch.get_default_dtype() not in (torch.float32, torch.float64):
        # Of half precision some constants of a model would be rounded, and would stay so.
        raise UserError(
            f"torch's default dtype is {torch.get_default_dtype()}; load with torch.float32 (torch.set_default_dtype)"
        )
    with building_in(kind.scope), torch.device('cpu'):
        # In the precision of images, which hosts convert to float32.
        model = build_model(cfg).float().eval()
        names = names_of(meta, dataset, model)
        colours = colours_of(meta, dataset, names)
        dtype = np.float32 if loading.get('to_float32') else np.uint8
        return kind(model, Compose(steps), loader_of(dataset), names, colours, dtype)


def build_model(cfg: Config) -> nn.Module:
    """A config's model as mmengine's runner builds it, without batch norm over several processes; in its scope."""
    settings = {**cfg.model}
    # mmpretrain's configs have it beside the model, or in it.
    if cfg.get('data_preprocessor'):
        settings.setdefault('data_preprocessor', cfg.data_preprocessor)
    return revert_sync_batchnorm(MODELS.build(settings))


LOADING = 'LoadImageFromFile'
# What a test pipeline has for the sake of annotations, of which one's own pictures have none.
OF_ANNOTATIONS = ('LoadAnnotations', 'LoadPanopticAnnotations', 'LoadOneDLAnnotations', 'MatchAnnotatedSize')
CIFAR = ('CIFAR10', 'CIFAR100')


def for_pictures(cfg: Config, path: str | Path) -> Config:
    """A copy of a config that tests on one data set, by a pipeline that any picture can go through, without LoRA."""
    cfg = deepcopy(cfg)
    dataset = next(leaf_datasets((cfg.get('test_dataloader') or {}).get('dataset')), ConfigDict())
    if type_name(dataset) in CIFAR:
        # Its files hold arrays of 32 x 32, red, green, blue, which its pipelines neither load nor resize.
        resize = ConfigDict(type='Resize', scale=(32, 32), interpolation='area')
        dataset.pipeline = [ConfigDict(type=LOADING), resize, *dataset.pipeline]
        preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
        cfg.model.data_preprocessor = {**preprocessor, 'to_rgb': not preprocessor.get('to_rgb', False)}
    if LOADING not in map(type_name, dataset.get('pipeline') or []):
        raise UserError(f'{path}: its test_dataloader names no pipeline with {LOADING}, by which images are prepared')
    cfg.test_dataloader.dataset = dataset
    # A plain network, which adds what LoRA has learned to its weights when it loads them.
    if 'lora_rank' in (cfg.model.get('backbone') or {}):
        cfg.model.backbone.lora_rank = 0
    return cfg


@contextmanager
def quiet_hosts() -> Iterator[None]:
    """Keep off the screen what hosts print while they build something. Errors are raised as ever.

    For commands, which have a process to themselves: what prints, logs and warns is one for all threads.
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


def names_of(meta: Any, dataset: ConfigDict, model: nn.Module) -> list[str]:
    """The names of a model's classes: of the checkpoint, where that has so many; else of the config; else made up.

    Hosts take COCO's or Cityscapes' without a word where a checkpoint has none.
    """
    counts = [getattr(module, 'num_classes', None) for module in model.modules()]
    count = max((count for count in counts if isinstance(count, int)), default=0)
    for info in infos_of(meta, dataset):
        names = info.get('classes')
        is_names = isinstance(names, Sequence) and all(isinstance(name, str) for name in names)
        if is_names and not isinstance(names, str) and names and len(names) == (count or len(names)):
            return [printable(name) for name in names]
    return [f'class {label}' for label in range(count)]


def colours_of(meta: Any, dataset: ConfigDict, names: Sequence[str]) -> list[Colour]:
    """A colour for each class, red, green, blue: of the checkpoint, else of the config, else of different hues."""
    return palette_of(len(names), [info.get('palette') for info in infos_of(meta, dataset)])


def infos_of(meta: Any, dataset: ConfigDict) -> list[dict[str, Any]]:
    """Names and colours of classes: of a checkpoint, then of its config's data set; in the host's scope."""
    meta = meta if isinstance(meta, Mapping) else {}
    info = meta.get('dataset_meta')
    # Of OpenMMLab's second generation, or of its first.
    info = info if isinstance(info, Mapping) else {key: meta.get(key) for key in ('CLASSES', 'PALETTE')}
    kind = dataset.type
    if not isinstance(kind, type):
        with DATASETS.switch_scope_and_registry(None) as registry:
            kind = registry.get(kind)
    of_class = getattr(kind, 'METAINFO', None) or {}
    return [
        {str(key).lower(): value for key, value in info.items()},
        {**of_class, **(dataset.get('metainfo') or {})},
    ]
