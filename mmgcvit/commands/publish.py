"""Write a trained model's weights as safetensors: mmgcvit publish CONFIG [CHECKPOINT]
[OUT.safetensors].

The file has the weights of the whole model (the EMA weights if the run has them), and cannot
contain code.
"""

import argparse
from pathlib import Path

from ..errors import UserError
from ..files import check_target, compute_sha256
from ..inference.model_files import check_model_files, read_model_checkpoint
from ..version import __version__
from .options import add_config_and_checkpoint


def add_options(parser: argparse.ArgumentParser) -> None:
    add_config_and_checkpoint(parser)
    text = 'the file to write (default: model.safetensors in the work dir)'
    parser.add_argument('target', metavar='OUT.safetensors', type=Path, nargs='?', help=text)


def main(args: argparse.Namespace) -> None:
    # If CONFIG is followed by one argument, argparse stores it in args.checkpoint, but it is the
    # output file.
    args.checkpoint, target = (
        (args.checkpoint, args.target) if args.target else (None, args.checkpoint)
    )
    if target is None and not Path(args.config).is_dir():
        raise UserError(
            f'{args.config} is not a work dir. Add an output file, for example model.safetensors'
        )
    target = Path(target or Path(args.config, 'model.safetensors'))
    check_target(target, '.safetensors', overwrite=None)
    check_model_files(args.config, args.checkpoint)
    from ..checkpoints.converting import save_safetensors
    from ..checkpoints.pretrained import MODULE_PREFIX
    from ..checkpoints.weights import find_state_dict, merge_lora

    checkpoint = read_model_checkpoint(check_model_files(args.config, args.checkpoint))
    tensors, _ = find_state_dict(checkpoint.content, checkpoint.source)
    tensors = {MODULE_PREFIX.sub('', name): tensor for name, tensor in tensors.items()}
    merge_lora(tensors)
    save_safetensors(tensors, target, {'mmgcvit': __version__})
    num_values = sum(tensor.numel() for tensor in tensors.values())
    print(f'{target}: {num_values / 1e6:.2f} M values, {target.stat().st_size / 1e6:.1f} MB')
    print(f'SHA-256 {compute_sha256(target)}')
