"""Write a trained model as an ONNX file: mmgcvit export CONFIG [CHECKPOINT] OUT.onnx [options]."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..errors import UserError
from ..host.files import check_target
from ..predict.model_files import find_model_files
from .options import add_config_and_checkpoint

EXAMPLE = 'mmgcvit export work_dirs/photos model.onnx'
PAGE = 'docs/deploy.md'  # explains the command


def add_options(parser: ArgumentParser) -> None:
    add_config_and_checkpoint(parser)
    parser.add_argument('target', metavar='OUT.onnx', type=Path, help='the file to write')
    parser.add_argument('--overwrite', action='store_true', help='replace an existing OUT.onnx')
    parser.add_argument(
        '--half', action='store_true', help='convolutions and matrix products in float16'
    )
    parser.add_argument(
        '--no-check', action='store_true', help="do not compare the file's outputs with the model's"
    )


def main(args: Namespace) -> None:
    check_target(args.target, '.onnx', overwrite=args.overwrite)
    files = find_model_files(args.config, args.checkpoint)
    from ..export.comparing import ComparisonError
    from ..export.onnx_file import export_onnx
    from .loading import load_silently

    model = load_silently(files, 'cpu')
    try:
        difference = export_onnx(
            predictor=model, target=args.target, check=not args.no_check, half=args.half
        )
    except ComparisonError as error:
        raise UserError(f'{error}: add --no-check') from error
    print(f'{args.target}: {model.task}, {args.target.stat().st_size / 1e6:.1f} MB')
    if model.weights_limit:
        print(f'these weights are {model.weights_limit}, as those from which they were trained')
    if model.tiles:
        print(
            'the file predicts whole images. OnnxPredictor cuts them into tiles of '
            f'{model.tiles} px, as the run was trained on; other programs must'
        )
    if difference:
        print(
            "checked with onnxruntime: the outputs differ from PyTorch's by at most "
            f'{difference.value:.1e} of the largest value (in {difference.output})'
        )
