"""Load a trained model from a config and a checkpoint, or from a work dir."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS
from torch import nn

from ..checkpoints.downloading import resolve_file
from ..checkpoints.fitting import fit_checkpoint
from ..checkpoints.licences import find_limit_of_model
from ..checkpoints.reading import read_metadata
from ..checkpoints.safe_loading import Checkpoint
from ..datasets.decoding import get_decoding_settings
from ..errors import MANY, UserError, escape_controls, shorten
from ..host.config import get_type_name
from ..host.datasets import get_dataset_class, iter_unwrapped_datasets
from ..host.device import resolve_device
from ..host.files import normalise
from ..host.runners import BUILD_LOCK, build_in_scope
from ..host.tasks import CLASSIFICATION, DETECTION, SEGMENTATION
from ..models.speed_up import speed_up
from ..runs.folder import RunFolder
from .classifier import Classifier
from .detector import Detector
from .drawing import choose_palette
from .model_files import ModelFiles
from .predictor import Predictor
from .segmentor import Segmentor
from .thresholds import ScoreThr, ScoreThresholds, parse_metadata, read_thresholds

Metadata = Mapping[str, Any]  # of a checkpoint (``meta``) or a dataset (``metainfo``)
# By the package of the task, which is the ``default_scope`` of configs
PREDICTORS: dict[str, type[Predictor[Any]]] = {
    DETECTION.scope: Detector,
    SEGMENTATION.scope: Segmentor,
    CLASSIFICATION.scope: Classifier,
}


def load_model(
    files: ModelFiles, checkpoint: Checkpoint, device: str | None, score_thr: ScoreThr | None
) -> Predictor[Any]:
    """Load a checkpoint into the model of a config. Raise the errors of :func:`mmgcvit.load`."""
    torch_device = resolve_device(device)
    # All threads share mmengine's default scope. In Python 3.11.7 they cannot parse configs
    # simultaneously (gh-106905).
    with BUILD_LOCK:
        meta = checkpoint.content['meta']
        predictor = replace(
            build_predictor(files.cfg, files.config, meta),
            config=files.config,
            checkpoint=checkpoint.source,
            weights_limit=find_limit_of_model(checkpoint.source, meta),
            tiles=get_tiles(files.cfg),
        )
        if isinstance(predictor, Detector):
            predictor = choose_thresholds(predictor, files.run, score_thr)
        elif score_thr is not None:
            predictor = predictor.with_score_thr(score_thr)  # raises an error
        fit_checkpoint(predictor.network, checkpoint)
        predictor.network.load_state_dict(checkpoint.content['state_dict'], strict=False)
        speed_up(predictor.network, (files.cfg.get('env_cfg') or {}).get('linear_kernel'))
    predictor.network.to(torch_device)
    return predictor


def get_tiles(cfg: Config) -> int | None:
    """Return the side of the tiles in which the test loop of a config predicts, or None: it has
    none, or its models predict whole images.
    """
    if not PREDICTORS[cfg.default_scope].can_tile:
        return None
    # The loops in engine/tiled_loops.py have this setting.
    return (cfg.get('test_cfg') or {}).get('side')


def choose_thresholds(model: Detector, run: RunFolder, score_thr: ScoreThr | None) -> Detector:
    """Return a detector with its confidence thresholds: ``score_thr`` and, unless it is one for all
    classes, what was chosen for the checkpoint (:func:`find_thresholds`).
    """
    if score_thr is None or isinstance(score_thr, Mapping):
        model = model.with_thresholds(find_thresholds(run, str(model.checkpoint)))
    return model if score_thr is None else model.with_score_thr(score_thr)


def find_thresholds(run: RunFolder, checkpoint: str) -> ScoreThresholds:
    """Return a detector's confidence thresholds: those of the run, else those that ``mmgcvit
    publish`` has written into the checkpoint, else the default.
    """
    thresholds = read_thresholds(run, checkpoint)
    if thresholds is None:
        thresholds = read_published_thresholds(checkpoint)
    return thresholds or ScoreThresholds(Detector.score_thr)


def read_published_thresholds(checkpoint: str) -> ScoreThresholds | None:
    """Return the confidence thresholds in the metadata of a safetensors file, or None."""
    path = resolve_file(checkpoint)
    metadata = read_metadata(path)
    try:
        return parse_metadata(metadata)
    except ValueError as error:
        raise UserError(
            f'{path} has damaged confidence thresholds in its metadata. Set score_thr',
            arguments=['score_thr'],
        ) from error


def build_predictor(cfg: Config, path: str | Path, meta: Metadata) -> Predictor[Any]:
    """Build the predictor of a config, with random weights, on the CPU and in eval mode."""
    scope = cfg.get('default_scope')
    loader = cfg.get('test_dataloader') or {}
    # A copy, because the dataset of a config is also that of its ground truth.
    dataset = deepcopy(next(iter_unwrapped_datasets(loader.get('dataset')), ConfigDict()))
    if scope not in PREDICTORS or 'model' not in cfg or not dataset.get('pipeline'):
        raise UserError(
            f'{path} cannot be used for prediction. It needs a default_scope ('
            f'{" or ".join(PREDICTORS)}; now {scope}), a model, and a test_dataloader whose '
            'dataset has a pipeline'
        )
    model_cfg = get_model_config(cfg)
    disable_lora(model_cfg)
    PREDICTORS[scope].adapt_config(model_cfg)
    if get_type_name(dataset) in ('CIFAR10', 'CIFAR100'):
        # CIFAR's pipelines neither decode nor resize images, since CIFAR's files contain RGB arrays
        # of 32 x 32. The images to predict are BGR and of any size. So they are resized, and the
        # config's to_rgb is inverted.
        dataset.pipeline.insert(0, ConfigDict(type='Resize', scale=(32, 32), interpolation='area'))
        preprocessor = model_cfg['data_preprocessor']
        preprocessor.to_rgb = not preprocessor.get('to_rgb', False)
    with build_in_scope(scope):
        # Convert the weights to float32, since the data_preprocessor converts images to float32.
        model = revert_sync_batchnorm(MODELS.build(model_cfg)).float().eval()
    return make_predictor(model, scope, dataset, meta)


def get_model_config(cfg: Config) -> ConfigDict:
    """Return a copy of a config's model with its data_preprocessor, which mmpretrain's configs have
    at the top level or in the model.
    """
    return deepcopy(ConfigDict({'data_preprocessor': cfg.get('data_preprocessor'), **cfg.model}))


def disable_lora(model_cfg: ConfigDict) -> None:
    """Change the config of a model so that its backbone has no LoRA: a checkpoint's LoRA matrices
    are then merged into its weights, which is faster.
    """
    backbone = model_cfg.get('backbone') or ConfigDict()
    if 'lora_rank' in backbone:
        backbone.lora_rank = 0


def make_predictor(
    model: nn.Module, scope: str, dataset: ConfigDict, meta: Metadata
) -> Predictor[Any]:
    """Make a predictor with class names and colours of a checkpoint's ``meta`` or a dataset."""
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
    return PREDICTORS[scope](model, pipeline, decoding, names, palette)


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
    order. They are compared in one Unicode form.
    """
    if not isinstance(trained, list | tuple) or not trained or not classes:
        return
    trained = [normalise(str(name)) for name in trained]
    classes = [normalise(str(name)) for name in classes]
    if trained != classes:
        raise UserError(
            f'{checkpoint} was trained on the {len(trained)} classes {shorten(trained, MANY)}, but '
            f'the data has the {len(classes)} classes {shorten(classes, MANY)}. Use its own '
            'config, or give the data its classes in the same order'
        )
