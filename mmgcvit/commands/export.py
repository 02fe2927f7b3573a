"""Write a trained model as a file of ONNX: mmgcvit export CONFIG [CHECKPOINT] OUT.onnx [options].

For images of any size and batches of any number; classes, mean and deviation are inside. The file is compared with the
model in onnxruntime before it has its name.
"""

import argparse
from pathlib import Path

from ..errors import UserError
from ..files import check_target
from ..inference.sources import check_named
from .options import Parser, add_model_options, check_at_least, load_model


def add_options(parser: Parser) -> None:
    add_model_options(parser, device=False)
    parser.add_argument('target', metavar='OUT.onnx', type=Path, help='the file to write')
    parser.add_argument('--part', choices=['backbone'], help='write that alone (default: the whole model)')
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
    parser.add_argument(
        '--trtexec',
        metavar='IMAGES',
        type=int,
        help="print the call of TensorRT's trtexec that makes an engine of the file, for so many images at most",
    )


def main(args: argparse.Namespace) -> None:
    check_target(args.target, '.onnx', args.overwrite)
    check_named(args.config, args.checkpoint)
    check_at_least(args, trtexec=1)
    from ..export import check_onnx, write
    from ..export.int8 import calibration_images
    from ..export.metadata import trtexec_line

    check_onnx()
    if args.calibrate is not None and not args.int8:
        raise UserError('--calibrate is for weights in 8 bits; add --int8, or leave it out')
    if args.calibrate is not None and args.part is not None:
        raise UserError(f'--calibrate is for whole models; leave it out with --part {args.part}')
    images = None if args.calibrate is None else calibration_images(args.calibrate)
    source, model = load_model(args)
    difference = write(model, source, args.target, args.part, args.overwrite, not args.no_check, args.int8, images)
    precision = ', int8' if args.int8 else ''
    print(f'{args.target}: {args.part or model.task}{precision}, {args.target.stat().st_size / 1e6:.1f} MB')
    if difference is None:
        print('not compared with the model')
    else:
        before = ', before quantization' if args.int8 else ''
        print(
            f'largest difference from the model in onnxruntime{before}: {difference.largest:.1e} of the '
            f'largest number ({difference.output})'
        )
    if args.trtexec is not None:
        print(trtexec_line(args.target, args.trtexec))
