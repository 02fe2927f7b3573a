"""Compare models by time, measured alternately, and on a GPU by peak memory.

    mmgcvit benchmark gcvit:tiny timm:gcvit_tiny timm:convnext_tiny --batch 16 --modes infer train
    mmgcvit benchmark gcvit:tiny@16 gcvit:tiny@24 --sizes 800x1333
    mmgcvit benchmark configs/mask_rcnn_gcvit_t.py --sizes 800x1333 --batch 1 2

Backbones: gcvit:ARCH, gcvit:ARCH@WINDOW_SIZE, lsa:ARCH, timm:NAME. With a config file, the whole model is measured:
preprocessing and network, then post-processing (inference) or losses and gradients (training). MODEL+MODULE:FUNCTION
measures the model that a Python function returns for MODEL.
"""

import argparse
import itertools
import sys
from pathlib import Path

from .options import add_device_option, check_at_least


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.epilog = __doc__.partition('\n\n')[2]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('models', nargs='+', metavar='MODEL', help='see below; speeds are relative to the first MODEL')
    sizes = 'image sizes in pixels, for example 800x1333 (default: 224)'
    parser.add_argument('--sizes', type=parse_size, nargs='+', default=[(224, 224)], metavar='SIZE', help=sizes)
    parser.add_argument('--batch', type=int, nargs='+', default=[1], metavar='N', help='batch sizes (default: 1)')
    parser.add_argument('--modes', choices=('infer', 'train'), nargs='+', default=['infer'], help='default: infer')
    precisions, ways = ('fp32', 'bf16', 'fp16'), ('eager', 'compiled')
    parser.add_argument('--precisions', choices=precisions, nargs='+', default=['fp32'], help='default: fp32')
    parser.add_argument('--run', choices=ways, nargs='+', default=['eager'], help='compiled: torch.compile')
    parser.add_argument('--rounds', type=int, default=10, metavar='N', help='measurements per model (default: 10)')
    parser.add_argument('--threads', type=int, metavar='N', help='CPU threads (default: all cores)')
    add_device_option(parser)


def parse_size(text: str) -> tuple[int, int]:
    """Parse an image size in pixels: ``224`` for a square, ``800x1333`` for height and width."""
    sides = text.split('x')
    if len(sides) > 2 or not all(side.isdigit() and int(side) for side in sides):
        raise argparse.ArgumentTypeError(
            f'{text}: expected SIDE or HEIGHTxWIDTH in pixels, for example 224 or 800x1333'
        )
    return int(sides[0]), int(sides[-1])


def main(args: argparse.Namespace) -> None:
    check_at_least(args, batch=1, rounds=1, threads=1)
    sys.path.insert(0, str(Path.cwd()))  # so that MODULE:FUNCTION can be imported from the current folder
    import torch

    from ..device import disable_cudnn_attention, resolve_device
    from ..experiments.benchmark import Case, compare

    device = resolve_device(args.device)
    if args.threads:
        torch.set_num_threads(args.threads)
    machine = f'{torch.get_num_threads()} threads'
    disable_cudnn_attention()
    if device.type == 'cuda':
        torch.cuda.set_device(device)
        machine = torch.cuda.get_device_name()
    print(f'torch {torch.__version__}, {machine}\n')
    cases = itertools.product(args.sizes, args.batch, args.modes, args.precisions, args.run)
    for size, batch, mode, precision, run in cases:
        case = Case(size, batch, mode, precision, run == 'compiled', device.type)
        print(compare(args.models, case, args.rounds), flush=True)
