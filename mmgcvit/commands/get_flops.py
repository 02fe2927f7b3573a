"""Count a model's parameters and multiply-adds: mmgcvit flops CONFIG --shape HEIGHT WIDTH.

``--table`` instead of a config prints the published variants beside the paper's figures, as Markdown.
"""

import argparse

from ..config import enter_scope, overrides, read_config
from ..errors import UserError
from .options import Parser, add_cfg_options

# Multiply-adds in billions and ImageNet top-1 of the variants as published (the paper, and the authors' list of
# models), by arch, image size and windows. The last two are fine-tuned from ImageNet-21K.
PUBLISHED = {
    ('xxtiny', 224, (7, 7, 14, 7)): (2.1, 79.9),
    ('xtiny', 224, (7, 7, 14, 7)): (2.6, 82.0),
    ('tiny', 224, (7, 7, 14, 7)): (4.7, 83.5),
    ('tiny2', 224, (7, 7, 14, 7)): (5.5, 83.7),
    ('small', 224, (7, 7, 14, 7)): (8.5, 84.3),
    ('small2', 224, (7, 7, 14, 7)): (10.7, 84.8),
    ('base', 224, (7, 7, 14, 7)): (14.8, 85.0),
    ('large', 224, (7, 7, 14, 7)): (32.6, 85.7),
    ('large', 384, (12, 12, 24, 12)): (120.4, 87.4),
    ('large', 512, (16, 16, 32, 16)): (245.0, 87.6),
}
NUM_CLASSES = 1000


def add_options(parser: Parser) -> None:
    parser.add_argument('config', nargs='?', help='a config file of any task')
    parser.add_argument(
        '--shape', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'), help='of the image in pixels, for example 800 1280'
    )
    parser.add_argument('--table', action='store_true', help="the published variants beside the paper's figures")
    add_cfg_options(parser)


def print_model(config: str, size: tuple[int, int], options: dict | None) -> None:
    cfg = read_config(config, options)
    from mmengine.registry import MODELS

    from ..experiments.complexity import count_parameters, model_parts
    from ..models.layers.windows import divide_up

    enter_scope(cfg)
    model = MODELS.build(cfg.model)
    parameters = count_parameters(model)
    divisor = getattr(getattr(model, 'data_preprocessor', None), 'pad_size_divisor', 1)
    height, width = padded = tuple(divide_up(side, divisor) * divisor for side in size)
    parts = model_parts(model, padded)
    print(f'{config}, one image of {height}x{width} px (height x width){"" if padded == size else ", padded"}\n')
    print('| part | parameters (M) | multiply-adds (G) |\n|---|---|---|')
    for part in parts:
        print(f'| {part.name} | {part.parameters / 1e6:.2f} | {part.macs / 1e9:.2f} |')
    print(f'| **whole model** | **{parameters / 1e6:.2f}** | **{sum(part.macs for part in parts) / 1e9:.2f}** |')


def print_variants() -> None:
    import torch

    from .. import registry
    from ..experiments.complexity import count_macs, count_parameters

    print('| arch | image | windows | parameters | multiply-adds (G) | published (G) | top-1, published |')
    print('|---|---|---|---|---|---|---|')
    for (arch, side, windows), (published_macs, top1) in PUBLISHED.items():
        with torch.device('meta'):
            backbone = registry.MODELS.get('GCViT')(
                arch, window_size=windows, pretrain_img_size=side, out_indices=(3,)
            ).eval()
            head = torch.nn.Linear(backbone.stage_dims[-1], NUM_CLASSES)
            image = torch.empty(1, 3, side, side)
        macs = count_macs(lambda backbone=backbone, image=image: backbone(image))
        parameters = count_parameters(backbone) + count_parameters(head)
        cells = [arch, f'{side}x{side}', ', '.join(map(str, windows)), f'{parameters:,}', f'{macs / 1e9:.3f}']
        print('| ' + ' | '.join(map(str, [*cells, published_macs, top1])) + ' |')


def main(args: argparse.Namespace) -> None:
    if args.table == bool(args.config) or bool(args.config) != bool(args.shape):
        raise UserError('give a CONFIG and --shape HEIGHT WIDTH, or --table alone')
    if args.table:
        print_variants()
    else:
        print_model(args.config, tuple(args.shape), overrides(args.cfg_options))
