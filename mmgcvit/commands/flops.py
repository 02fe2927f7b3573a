"""Count parameters and multiply-adds of a model: mmgcvit flops CONFIG --shape HEIGHT WIDTH."""

import argparse

from ..config import enter_scope, parse_cfg_options, read_config
from .options import CONFIG, add_cfg_options


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help=CONFIG)
    size, text = ('HEIGHT', 'WIDTH'), 'image size in pixels, for example 800 1280'
    parser.add_argument('--shape', type=int, nargs=2, required=True, metavar=size, help=text)
    add_cfg_options(parser)


def main(args: argparse.Namespace) -> None:
    cfg = read_config(args.config, parse_cfg_options(args.cfg_options))
    from mmengine.registry import MODELS

    from ..experiments.complexity import count_by_part, count_parameters
    from ..models.layers.windows import ceil_div

    enter_scope(cfg)
    model = MODELS.build(cfg.model)
    parameters = count_parameters(model)
    divisor = getattr(getattr(model, 'data_preprocessor', None), 'pad_size_divisor', 1)
    height, width = padded = tuple(ceil_div(side, divisor) * divisor for side in args.shape)
    parts = count_by_part(model, padded)
    note = '' if padded == tuple(args.shape) else f', padded to multiples of {divisor}'
    print(f'{args.config}, one image of {height}x{width} px (height x width){note}\n')
    print('| part | parameters (M) | multiply-adds (G) |\n|---|---|---|')
    for part in parts:
        print(f'| {part.name} | {part.parameters / 1e6:.2f} | {part.macs / 1e9:.2f} |')
    print(f'| **whole model** | **{parameters / 1e6:.2f}** | **{sum(part.macs for part in parts) / 1e9:.2f}** |')
