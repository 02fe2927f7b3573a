"""Load a trained model from a config and a checkpoint, or from a work dir."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS
from torch import nn

from ..checkpoints.pretrained import check_fits
from ..checkpoints.safe_loading import Checkpoint
from ..config import LOADERS, STARTED_WITH, get_type_name, read_config
from ..datasets.checks.sources import (
    get_dataset_class,
    iter_datasets,
    iter_unwrapped_datasets,
    list_local_paths,
)
from ..datasets.decoding import get_decoding_settings
from ..device import resolve_device
from ..errors import MANY, UserError, escape_controls, shorten
from ..files import SCORE_THR_FILE, compute_sha256, make_absolute
from ..mmengine_utils import BUILD_LOCK, build_in_scope
from ..models.speed_up import speed_up
from ..tasks import CLASSIFICATION, DETECTION, SEGMENTATION
from .drawing import choose_palette
from .predictor import Classifier, Detector, Predictor, Segmentor

Metadata = Mapping  # of a checkpoint (``meta``) or a dataset (``metainfo``)
PREDICTORS = {
    DETECTION.scope: Detector,
    SEGMENTATION.scope: Segmentor,
    CLASSIFICATION.scope: Classifier,
}


def load_model(
    config: Path, checkpoint: Checkpoint, device: str | None, score_thr: float | None
) -> Predictor:
    """Load a checkpoint into the model of a config. Raise the errors of :func:`mmgcvit.load`."""
    torch_device = resolve_device(device)
    # All threads share mmengine's default scope. In Python 3.11.7 they cannot parse configs
    # simultaneously (gh-106905).
    with BUILD_LOCK:
        cfg = read_config(config)
        predictor = build_predictor(cfg, config, checkpoint.content['meta'])
        check_fits(predictor.network, checkpoint)
        predictor.network.load_state_dict(checkpoint.content['state_dict'], strict=False)
        speed_up(predictor.network)
    predictor.network.to(torch_device)
    predictor.config = config
    predictor.checkpoint = checkpoint.source
    predictor.image_side = (cfg.get(STARTED_WITH) or {}).get('image_side')
    if predictor.task == DETECTION.name:
        # The loops in engine/tiled_loops.py have this setting.
        predictor.tiles = (cfg.get('test_cfg') or {}).get('side')
        if score_thr is None:
            score_thr = read_score_thr(config, checkpoint.source)
    elif score_thr is not None:
        raise UserError(
            f'score_thr is only for detectors, and this is a {predictor.task} model. Remove it'
        )
    if score_thr is not None:
        if not 0 <= score_thr <= 1:
            raise UserError(f'score_thr={score_thr}: expected a number from 0 to 1')
        predictor.score_thr = score_thr
    return predictor


def read_score_thr(config: Path, checkpoint: str) -> float | None:
    """Return the confidence threshold in a config's folder that ``train --data`` chose for a
    checkpoint with this content, or None.
    """
    path = config.parent / SCORE_THR_FILE
    file = Path(checkpoint)
    if not path.is_file() or not file.is_file():
        return None
    try:
        chosen = json.loads(path.read_text())
        digest = chosen['sha256']
        score_thr = float(chosen['score_thr'])
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f'{path} is damaged. Remove it, or set a threshold: --score-thr, in Python score_thr'
        ) from None
    return score_thr if digest == compute_sha256(file) else None


def check_started_here(cfg: Config, path: str | Path) -> None:
    """Raise a UserError if the data of a run's config have paths relative to another folder than
    the current one.

    The config is in the run's work dir, which it names relative to the folder where the run was
    started. If it does not, the data of ``train --data`` must be below the current folder.
    """
    files = []
    for _, dataset in iter_datasets(cfg, LOADERS):
        files += list_local_paths(dataset)
    if all(file.is_absolute() for file in files):
        return
    parents = make_absolute(path).parents
    here = Path.cwd()
    work_dir = Path(cfg.get('work_dir') or parents[0])
    is_relative = not work_dir.is_absolute()
    started_in = [folder for folder in parents if is_relative and folder / work_dir in parents]
    data = (cfg.get(STARTED_WITH) or {}).get('data', '')
    place = f'the folder above {data}'
    if started_in:
        place = started_in[0]
        is_here = here.samefile(place)
    else:
        # A copy of the config may be in another folder than the run's work dir.
        base = work_dir if work_dir.is_dir() else parents[0]
        is_here = not data or (base / data).resolve().is_relative_to(here)
    if not is_here:
        raise UserError(
            f'{path} is the config of a run whose data have paths relative to {place}, where it '
            'was started. Run this command there'
        )


def build_predictor(cfg: Config, path: str | Path, meta: Metadata) -> Predictor:
    """Build the predictor of a config, with random weights, on the CPU and in eval mode.

    The config may be modified.
    """
    scope = cfg.get('default_scope')
    loader = cfg.get('test_dataloader') or {}
    dataset = next(iter_unwrapped_datasets(loader.get('dataset')), {})
    if scope not in PREDICTORS or 'model' not in cfg or not dataset.get('pipeline'):
        raise UserError(
            f'{path} cannot be used for prediction. It needs a default_scope ('
            f'{" or ".join(PREDICTORS)}; now {scope}), a model, and a test_dataloader whose dataset '
            'has a pipeline'
        )
    model_cfg = get_model_config(cfg)
    if get_type_name(dataset) in ('CIFAR10', 'CIFAR100'):
        # CIFAR's pipelines neither decode nor resize images, since CIFAR's files contain RGB arrays
        # of 32 x 32. The images to predict are BGR and of any size. So they are resized, and the
        # config's to_rgb is inverted.
        dataset.pipeline.insert(0, ConfigDict(type='Resize', scale=(32, 32), interpolation='area'))
        preprocessor = model_cfg['data_preprocessor']
        preprocessor.to_rgb = not preprocessor.get('to_rgb', False)
    disable_lora(cfg)
    with build_in_scope(scope):
        # Convert the weights to float32, since the data_preprocessor converts images to float32.
        model = revert_sync_batchnorm(MODELS.build(model_cfg)).float().eval()
    return make_predictor(model, scope, dataset, meta)


def disable_lora(cfg: Config) -> None:
    """Change a config so that its backbone has no LoRA: a checkpoint's LoRA matrices are then merged
    into its weights, which is faster.
    """
    backbone = cfg.model.get('backbone') or {}
    if 'lora_rank' in backbone:
        backbone.lora_rank = 0


def get_model_config(cfg: Config) -> dict[str, Any]:
    """Return the model of a config with its data_preprocessor, which mmpretrain's configs have at the
    top level.
    """
    model_cfg = dict(cfg.model)
    if cfg.get('data_preprocessor'):
        model_cfg.setdefault('data_preprocessor', cfg.data_preprocessor)
    return model_cfg


def make_predictor(
    model: nn.Module, scope: str, dataset: ConfigDict, meta: Metadata, **options
) -> Predictor:
    """Make a predictor with class names and colours of a checkpoint's ``meta`` or a dataset.

    ``options`` are further attributes of :class:`.Predictor`, such as ``tiles``.
    """
    # Predictors pass decoded images without annotations.
    transforms = [
        step
        for step in dataset.get('pipeline', [])
        if not get_type_name(step).startswith(('Load', 'ApplyExifAsAnnotated'))
    ]
    with build_in_scope(scope):
        pipeline = Compose(transforms)
        metas = collect_dataset_metas(meta, dataset)
    names = find_class_names(metas, model)
    decoding = get_decoding_settings(dataset)
    palette = choose_palette(len(names), [info.get('palette') for info in metas])
    return PREDICTORS[scope](model, pipeline, decoding, names, palette, **options)


def find_class_names(metas: Sequence[Metadata], model: nn.Module) -> list[str]:
    """Return the class names of the first of ``metas`` with as many as the model has, or else
    ``class 0``, ...
    """
    count = max(getattr(module, 'num_classes', None) or 0 for module in model.modules())
    for info in metas:
        names = info.get('classes')
        if isinstance(names, list | tuple) and names and count in (0, len(names)):
            return [escape_controls(str(name)) for name in names]
    return [f'class {label}' for label in range(count)]


def collect_dataset_metas(meta: Metadata, dataset: ConfigDict) -> list[Metadata]:
    """Return dicts with ``classes`` and ``palette``: the checkpoint's and, by the default scope,
    the dataset's.
    """
    trained = meta.get('dataset_meta')
    if not isinstance(trained, Mapping):  # mmcv 1.x had CLASSES and PALETTE
        trained = {'classes': meta.get('CLASSES'), 'palette': meta.get('PALETTE')}
    known = getattr(get_dataset_class(dataset), 'METAINFO', None) or {}
    return [trained, {**known, **(dataset.get('metainfo') or {})}]


def check_class_names(
    checkpoint: str, trained: Sequence[str] | None, classes: Sequence[str] | None
) -> None:
    """Raise a UserError if a checkpoint has class names that the data does not have, or in another
    order.
    """
    if not isinstance(trained, list | tuple) or not trained or not classes:
        return
    trained = list(map(str, trained))
    classes = list(map(str, classes))
    if trained != classes:
        raise UserError(
            f'{checkpoint} was trained on the {len(trained)} classes {shorten(trained, MANY)}, but '
            f'the data has the {len(classes)} classes {shorten(classes, MANY)}. Use its own '
            'config, or give the data its classes in the same order'
        )


@contextmanager
def silence_output() -> Iterator[None]:
    """Hide what is printed, logged below the level ERROR, and warned about, in all threads of the
    process.
    """
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)
