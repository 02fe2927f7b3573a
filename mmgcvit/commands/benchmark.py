"""Time and peak memory of backbones, side by side in one run.

    mmgcvit benchmark compare gcvit:tiny plain:gcvit:tiny swin:tiny --sizes 800x1333 --modes infer train
    mmgcvit benchmark sizes gcvit:tiny@16                  cost against image size, 256 to 2048 px a side
    mmgcvit benchmark batches gcvit:tiny swin:tiny         cost against the number of images
    mmgcvit benchmark layers gcvit:tiny                    where the time goes
    mmgcvit benchmark data configs/mask_rcnn_gcvit_t.py    loading alone, as a config does it

Models: gcvit:ARCH, gcvit:ARCH@WINDOW, lsa:ARCH; plain:gcvit:ARCH and so on, the same computed plainly, as the tests do
for comparison (in a clone); swin:ARCH and convnext:ARCH of mmpretrain; timm:NAME. PATH::MODEL is the MODEL of another
checkout of this project, on a CPU. Results go to the screen as Markdown and, with a plot and as JSON, into --out.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from .options import Parser, add_device_option


def add_options(parser: Parser) -> None:
    parser.epilog = __doc__.partition('\n\n')[2]
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    compare = add_command(commands, 'compare', 'compare_models', 'several models, several cases', rounds=10)
    compare.add_argument(
        '--sizes', type=image_size, nargs='+', default=[(224, 224)], metavar='SIZE', help='224, 800x1333'
    )
    compare.add_argument('--batch', type=positive, default=1, help='images at a time (default: %(default)s)')
    compare.add_argument('--modes', choices=('infer', 'train'), nargs='+', default=['infer'])
    compare.add_argument('--precisions', choices=('fp32', 'bf16', 'fp16'), nargs='+', default=['fp32'])
    compare.add_argument('--run', choices=('eager', 'compiled', 'both'), default='eager')
    compare.add_argument('--no-memory', action='store_true', help='leave out peak memory, a process for each figure')
    sizes = add_command(commands, 'sizes', 'grow', 'cost against image size', rounds=3)
    sizes.add_argument('--sides', type=positive, nargs='+', default=[256, 512, 1024, 2048], help='pixels a side')
    batches = add_command(commands, 'batches', 'grow', 'cost against the number of images', rounds=5)
    batches.add_argument('--size', type=image_size, default=(224, 224))
    batches.add_argument('--batches', type=positive, nargs='+', default=[1, 2, 4, 8, 16, 32])
    for command in (sizes, batches):
        command.add_argument('--mode', choices=('infer', 'train'), default='infer')
    layers = add_command(
        commands, 'layers', 'show_layers', 'where the time goes in inference, by type of layer', rounds=0
    )
    layers.add_argument('--size', type=image_size, default=(224, 224))
    layers.add_argument('--batch', type=positive, default=1)
    data = commands.add_parser('data', help="loading of a config's training data, without a model")
    data.add_argument('config')
    data.add_argument('--batches', type=positive, default=50, help='how many to load (default: %(default)s)')
    data.set_defaults(command='time_data', threads=None)


def add_command(commands: Any, name: str, function: str, help_text: str, rounds: int) -> argparse.ArgumentParser:
    """A command, done by a function of the experiment, with the options that all that measure models have."""
    parser = commands.add_parser(name, help=help_text)
    parser.set_defaults(command=function, name=name)
    parser.add_argument('models', nargs='+', metavar='MODEL', help='the first is what others are compared with')
    add_device_option(parser)
    parser.add_argument('--threads', type=positive, help='of torch on a CPU (default: all cores)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/benchmark'), help='folder (default: %(default)s)')
    if rounds:
        parser.add_argument('--rounds', type=positive, default=rounds, help='timed calls (default: %(default)s)')
    return parser


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{number}, expected at least 1')
    return number


def image_size(text: str) -> tuple[int, int]:
    """Read a size in pixels: ``224`` for a square, ``800x1333`` for height and width."""
    sides = [positive(side) for side in text.split('x')]
    if len(sides) > 2:
        raise argparse.ArgumentTypeError(f'{text}, expected a side or HEIGHTxWIDTH')
    return sides[0], sides[-1]


def main(args: argparse.Namespace) -> None:
    import torch

    from ..experiments import benchmark
    from ..hosts.machine import chosen_device, use_gpus

    if 'device' in args:
        use_gpus('benchmark', args.device)
        args.device = chosen_device(args.device).type
    if args.threads:
        torch.set_num_threads(args.threads)
    getattr(benchmark, args.command)(args, partial(print, flush=True))
