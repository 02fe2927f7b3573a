"""Write a trained model's weights as safetensors: mmgcvit publish CONFIG [CHECKPOINT] [OUT.safetensors].

The file has the weights of the whole model (the EMA weights if the run has them) without optimizer state, in a format
that cannot contain code. ``mmgcvit predict``, ``mmgcvit test`` and the setting ``load_from`` can read it.
"""

import argparse
import json
from pathlib import Path

from ..errors import UserError
from ..files import check_target, sha256
from ..inference.sources import check_source
from ..version import __version__
from .options import Parser, add_model_options, load_model, report_write_errors

SUFFIX = '.safetensors'


def add_options(parser: Parser) -> None:
    add_model_options(parser, device=False)
    parser.add_argument(
        'target',
        metavar=f'OUT{SUFFIX}',
        type=Path,
        nargs='?',
        help=f'the file to write (default: model{SUFFIX} in the work dir)',
    )


def main(args: argparse.Namespace) -> None:
    # argparse takes a single argument after CONFIG for the checkpoint.
    checkpoint, target = (args.checkpoint, args.target) if args.target else (None, args.checkpoint)
    if target is None and not Path(args.config).is_dir():
        raise UserError(f'expected the file to write, OUT{SUFFIX}; it is optional only for a work dir')
    args.checkpoint, target = checkpoint, Path(target or Path(args.config, f'model{SUFFIX}'))
    check_target(target, SUFFIX, overwrite=None)
    check_source(args.config, args.checkpoint)
    from ..checkpoints.reading import resolve_file
    from ..checkpoints.writing import save_safetensors

    source, model = load_model(args)
    tensors = model.network.state_dict()
    metadata = {
        'mmgcvit': __version__,
        'config': source.config.name,
        'task': model.task,
        'classes': json.dumps(model.classes),
        'trained_sha256': sha256(resolve_file(source.checkpoint)),
    }
    with report_write_errors(target):
        save_safetensors(tensors, target, metadata)
    num_values = sum(tensor.numel() for tensor in tensors.values())
    print(f'{target}: {num_values / 1e6:.2f} M values, {target.stat().st_size / 1e6:.1f} MB')
    print(f'SHA-256 {sha256(target)}')
