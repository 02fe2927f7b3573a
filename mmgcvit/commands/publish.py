"""A trained model's weights, to give to others: python tools/publish.py CONFIG [CHECKPOINT] OUT.safetensors [--half].

Of a checkpoint of a run it keeps the weights of the whole model, the moving average where the run has one, without
optimizer and schedules, in a format that holds no code. ``mmgcvit predict``, ``test`` and ``load_from`` take the file.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..checkpoints.integrity import save_whole_safetensors, sha256
from ..checkpoints.reading import local_file
from ..errors import first_line
from ..files import check_writable
from ..inference import UserError, load
from ..inference.loading import find_source
from ..version import __version__
from .options import add_trust_option

SUFFIX = '.safetensors'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Write a trained model's weights as a file to give to others.")
    parser.add_argument('config', metavar='CONFIG', help='a config file, or the work dir of a run')
    parser.add_argument(
        'checkpoint',
        metavar='CHECKPOINT',
        nargs='?',
        help='a checkpoint of that config; may be left out with a work dir, whose best or newest one is taken',
    )
    parser.add_argument('target', metavar=f'OUT{SUFFIX}', type=Path, help='the file to write')
    parser.add_argument('--half', action='store_true', help='in float16: half the size, 3 to 4 digits of each number')
    add_trust_option(parser)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    if args.target.suffix != SUFFIX:
        raise UserError(f'{args.target}: expected a name that ends in {SUFFIX}')
    if args.target.exists():
        raise UserError(f'{args.target} exists; name another file, or remove it first')
    check_writable(args.target.parent, str(args.target))
    source = find_source(args.config, args.checkpoint)
    predictor = load(source.config, source.checkpoint, 'cpu', trust_checkpoint=args.trust_checkpoint)
    tensors = predictor.network.state_dict()
    if args.half:
        tensors = {name: in_half(name, tensor) for name, tensor in tensors.items()}
    metadata = {
        'format': 'pt',
        'mmgcvit': __version__,
        'config': source.config.name,
        'task': predictor.task,
        'classes': json.dumps(predictor.classes),
        'trained_sha256': sha256(local_file(source.checkpoint)),
    }
    write(tensors, metadata, args.target)
    numbers = sum(tensor.numel() for tensor in tensors.values())
    print(f'{args.target}: {numbers / 1e6:.2f} M numbers, {args.target.stat().st_size / 1e6:.1f} MB')
    print(f'SHA-256 {sha256(args.target)}')


def in_half(name: str, tensor: Tensor) -> Tensor:
    """A tensor in float16; whole numbers stay.

    Raises:
        UserError: It holds numbers that float16 does not.
    """
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    if not half.isfinite().all():
        raise UserError(f'{name} holds numbers up to {tensor.abs().max():.3g}, beyond float16; leave --half out')
    return half


def write(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], target: Path) -> None:
    """Write the file beside its place, then move it there; its digest is put beside it.

    Raises:
        UserError: It cannot be written, as on a full disk.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_whole_safetensors(tensors, target, metadata)
    except Exception as error:  # safetensors' own, with the disk's reason or without.
        raise UserError(f'{target} could not be written ({first_line(error)}); is there room on the disk?') from None
