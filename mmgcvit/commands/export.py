"""A trained model as a file of ONNX: python tools/export.py CONFIG [CHECKPOINT] OUT.onnx [options].

For images of any size and batches of any number; classes, mean and deviation are inside. The file is compared with the
model in onnxruntime before it has its name. CONFIG may be the work dir of a run; then CHECKPOINT may be left out, as
with a config that trained weights come with (configs/demo).
"""

import argparse
from pathlib import Path

from ..export import check_onnx, check_target, write
from ..export.graphs import BACKBONE
from ..export.int8 import Quantization
from ..inference import UserError, load
from ..inference.loading import find_source
from .options import add_trust_option


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Write a trained model as a file of ONNX.')
    parser.add_argument('config', metavar='CONFIG', help='a config file, or the work dir of a run')
    parser.add_argument(
        'checkpoint',
        metavar='CHECKPOINT',
        nargs='?',
        help='a checkpoint of that config; may be left out with a work dir, whose best or newest one is taken, and '
        'with a config that trained weights come with',
    )
    parser.add_argument('target', metavar='OUT.onnx', type=Path, help='the file to write')
    parser.add_argument('--part', choices=[BACKBONE], help='write that alone (default: the whole model)')
    parser.add_argument('--overwrite', action='store_true', help='replace OUT.onnx where it is there already')
    parser.add_argument('--no-check', action='store_true', help='do not compare the file with the model')
    parser.add_argument('--int8', action='store_true', help='weights in 8 bits (default: float32)')
    parser.add_argument(
        '--calibrate',
        metavar='IMAGES',
        nargs='+',
        help='with --int8: image files or folders, by whose ranges activations and convolutions are in 8 bits too; '
        'some dozens, not those that accuracy is measured on',
    )
    add_trust_option(parser)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    check_onnx()
    check_target(args.target, args.overwrite)
    quantization = quantization_of(args)
    source = find_source(args.config, args.checkpoint)
    predictor = load(source.config, source.checkpoint, 'cpu', trust_checkpoint=args.trust_checkpoint)
    written = write(predictor, source, args.target, args.part, args.overwrite, not args.no_check, quantization)
    precision = ', int8' if args.int8 else ''
    print(f'{written.path}: {args.part or predictor.task}{precision}, {written.size / 1e6:.1f} MB')
    if written.difference is None:
        print('not compared with the model')
    else:
        before = ', before quantization' if args.int8 else ''
        print(
            f'largest difference from the model in onnxruntime{before}: {written.difference.largest:.1e} of the '
            f'largest number ({written.difference.output})'
        )


def quantization_of(args: argparse.Namespace) -> Quantization | None:
    """How the options ask for 8 bits; None where they do not.

    Raises:
        UserError: They do not go together, or name images that cannot be read.
    """
    if args.calibrate is None:
        return Quantization() if args.int8 else None
    if not args.int8:
        raise UserError('--calibrate is for weights in 8 bits; add --int8, or leave it out')
    if args.part is not None:
        raise UserError(f'--calibrate is for whole models; leave it out with --part {args.part}')
    return Quantization(args.calibrate)
