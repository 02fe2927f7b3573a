"""Write a trained model's weights as safetensors: mmgcvit publish CONFIG [CHECKPOINT]
[OUT.safetensors].

The file has the weights of the whole model (the EMA weights if the run has them), and cannot
contain code.
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
    from ..checkpoints.converting import save_checkpoint
    from ..checkpoints.pretrained import remove_module_prefix
    from ..checkpoints.weights import find_state_dict

    checkpoint = files.read_checkpoint()
    state_dict, _ = find_state_dict(checkpoint.content, checkpoint.source)
    tensors = remove_module_prefix(state_dict)
    save_checkpoint(tensors, target)
    num_values = sum(tensor.numel() for tensor in tensors.values())
    print(f'{target}: {num_values / 1e6:.2f} M values, {target.stat().st_size / 1e6:.1f} MB')
    print(f'SHA-256 {compute_sha256(target)}')
