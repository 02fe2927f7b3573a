"""Write a trained model's weights as safetensors: mmgcvit publish CONFIG [CHECKPOINT]
[OUT.safetensors].

The file has the weights of the whole model (the EMA weights if the run has them), into which LoRA
matrices are merged, and cannot contain code. Its tensors must be those of the config's model, all
and no others. Its metadata have the names of the classes, the backbone, what limits the use of the
weights, and the confidence thresholds that ``train --data`` chose for a detector.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..host.files import check_target, compute_sha256
from ..predict.model_files import ModelFiles, find_model_files
from ..predict.thresholds import ScoreThresholds, read_thresholds
from .options import add_config_and_checkpoint

if TYPE_CHECKING:
    from mmengine.config import Config

EXAMPLE = 'mmgcvit publish work_dirs/photos'
PAGE = 'docs/checkpoints.md'  # explains the command


def add_options(parser: ArgumentParser) -> None:
    add_config_and_checkpoint(parser)
    parser.add_argument(
        'target',
        metavar='OUT.safetensors',
        type=Path,
        nargs='?',
        help='the file to write (default: model.safetensors in the work dir)',
    )


def main(args: Namespace) -> None:
    checkpoint = args.checkpoint
    target = args.target
    if target is None:
        # argparse stores a single argument after CONFIG as the checkpoint, but it is the target.
        # Without one, CONFIG is a work dir.
        target = Path(checkpoint or Path(args.config, 'model.safetensors'))
        checkpoint = None
    check_target(target, '.safetensors')
    files = find_model_files(args.config, checkpoint)
    from mmengine.registry import MODELS

    from ..checkpoints.converting import save_checkpoint
    from ..checkpoints.fitting import fit_checkpoint
    from ..checkpoints.licences import find_limit_of_model
    from ..checkpoints.published import describe_weights
    from ..checkpoints.weights import find_state_dict
    from ..host.runners import build_in_scope, silence_output
    from ..predict.loading import disable_lora, get_model_config

    checkpoint = files.read_checkpoint()
    find_state_dict(checkpoint.content, checkpoint.source)  # raises an error if it has no weights
    model_cfg = get_model_config(files.cfg)
    disable_lora(model_cfg)
    with silence_output(), build_in_scope(files.cfg.get('default_scope') or 'mmengine'):
        model = MODELS.build(model_cfg)
    fit_checkpoint(model, checkpoint)
    # Copies, since safetensors cannot write weights that layers share, such as RTMDet's
    # convolutions.
    tensors = {name: x.clone() for name, x in checkpoint.content['state_dict'].items()}
    thresholds = find_chosen_thresholds(files, checkpoint.source)
    meta = checkpoint.content['meta']
    limit = find_limit_of_model(checkpoint.source, meta)
    metadata = describe_weights(
        find_classes(files.cfg, meta), model_cfg.get('backbone') or {}, limit
    )
    if thresholds:
        metadata |= thresholds.to_metadata()
    save_checkpoint(tensors, target, metadata)
    num_values = sum(tensor.numel() for tensor in tensors.values())
    print(f'{target}: {num_values / 1e6:.2f} M values, {target.stat().st_size / 1e6:.1f} MB')
    if limit:
        print(f'these weights are {limit}, as those from which they were trained')
    if thresholds:
        print(
            f'confidence threshold {thresholds}, which predict and mmgcvit.load use with the file'
        )
    print(f'SHA-256 {compute_sha256(target)}')


def find_classes(cfg: 'Config', meta: Mapping[str, Any]) -> list[str] | None:
    """Return the names of the classes in a checkpoint's ``meta``, else those of the test dataset of
    a config, or None.
    """
    from ..host.datasets import iter_unwrapped_datasets
    from ..predict.loading import collect_dataset_metas

    dataset = next(iter_unwrapped_datasets((cfg.get('test_dataloader') or {}).get('dataset')), None)
    if dataset is None:
        return None
    for each in collect_dataset_metas(meta, dataset):
        names = each.get('classes')
        if isinstance(names, list | tuple) and names:
            return [str(name) for name in names]
    return None


def find_chosen_thresholds(files: ModelFiles, checkpoint: str) -> ScoreThresholds | None:
    """Return the confidence thresholds that a run has chosen for a detector's checkpoint, or that a
    published file has, or None.
    """
    from ..predict.loading import read_published_thresholds

    return read_thresholds(files.run, checkpoint) or read_published_thresholds(checkpoint)
