"""Write a trained model's weights as safetensors: mmgcvit publish CONFIG [CHECKPOINT]
[OUT.safetensors].

The file has the weights of the whole model (the EMA weights if the run has them), into which LoRA
matrices are merged, the confidence threshold that ``train --data`` has chosen for a detector, and
cannot contain code. Its tensors must be those of the config's model, all
and no others.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..files import check_target, compute_sha256
from ..inference.model_files import find_model_files
from .options import add_config_and_checkpoint


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
    from ..checkpoints.pretrained import check_fits
    from ..checkpoints.reading import SCORE_THR, read_score_thr
    from ..checkpoints.weights import find_state_dict
    from ..inference.loading import disable_lora, get_model_config, silence_output
    from ..mmengine_utils import build_in_scope

    checkpoint = files.read_checkpoint()
    find_state_dict(checkpoint.content, checkpoint.source)  # raises an error if it has no weights
    model_cfg = get_model_config(files.cfg)
    disable_lora(model_cfg)
    with silence_output(), build_in_scope(files.cfg.get('default_scope') or 'mmengine'):
        model = MODELS.build(model_cfg)
    check_fits(model, checkpoint)
    # Copies, since safetensors cannot write weights that layers share, such as RTMDet's convolutions.
    tensors = {name: x.clone() for name, x in checkpoint.content['state_dict'].items()}
    # The threshold that the run has chosen for this checkpoint, or that a published file has.
    score_thr = files.run.read_score_thr(checkpoint.source)
    if score_thr is None:
        score_thr = read_score_thr(checkpoint.source)
    metadata = {} if score_thr is None else {SCORE_THR: str(score_thr)}
    save_checkpoint(tensors, target, metadata)
    num_values = sum(tensor.numel() for tensor in tensors.values())
    print(f'{target}: {num_values / 1e6:.2f} M values, {target.stat().st_size / 1e6:.1f} MB')
    if score_thr is not None:
        print(
            f'confidence threshold {score_thr:g}, which predict and mmgcvit.load use with the file'
        )
    print(f'SHA-256 {compute_sha256(target)}')
