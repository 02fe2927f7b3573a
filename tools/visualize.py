"""Draw attention, queries, Grad-CAM or shifts: python tools/visualize.py KIND CONFIG [CHECKPOINT]
IMAGE [options].
"""

import argparse
import sys
from pathlib import Path

from mmgcvit.commands.main import run_command
from mmgcvit.commands.options import (
    CONFIG_OR_WORK_DIR,
    OPTIONAL_CHECKPOINT,
    add_device_option,
    add_integer,
)
from mmgcvit.errors import UserError
from mmgcvit.files import check_figure_suffix, create_numbered, is_url, write_figure
from mmgcvit.inference.model_files import find_model_files

HAS_SUBCOMMANDS = True
KINDS = {
    'attention': (
        "a stage's local and global attention: one query's weights, and the mean weight that each "
        'token gets'
    ),
    'queries': 'the global query of each GC ViT stage',
    'gradcam': 'Grad-CAM of a class of a classifier',
    'shifts': (
        'which shifted copy of the image each patch of LSA (Locally Shifted Attention) attends to'
    ),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('config', metavar='CONFIG', help=CONFIG_OR_WORK_DIR)
    add_device_option(common)
    common.add_argument('rest', nargs='+', metavar='[CHECKPOINT] IMAGE', help=OPTIONAL_CHECKPOINT)
    common.add_argument(
        '--out',
        type=Path,
        metavar='FILE.png',
        help='output file: .png, .pdf or .svg (default: IMAGE_KIND.png, IMAGE_KIND2.png, ...)',
    )
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='KIND')
    parsers = {}
    for kind, description in KINDS.items():
        parsers[kind] = kinds.add_parser(
            kind,
            parents=[common],
            help=description,
            description=f'Draw {description}.',
            usage=f'{parser.prog} {kind} CONFIG [CHECKPOINT] IMAGE [options]',
        )
    attention, gradcam = parsers['attention'], parsers['gradcam']
    add_integer(
        attention,
        '--stage',
        'stage index, from 0 (default: 2; if it has fewer than 4 x 4 tokens, the last earlier '
        'stage that has enough)',
    )
    add_integer(
        attention,
        '--block',
        'block index, from 0 (default: the last). A local and a global block that form a pair are '
        'both drawn',
    )
    for kind in ('attention', 'shifts'):
        text = 'head index, from 0 (default: the mean of all heads)'
        add_integer(parsers[kind], '--head', text)
    attention.add_argument(
        '--at',
        type=parse_point,
        metavar='X,Y',
        help='query position in image pixels (default: the centre)',
    )
    add_integer(
        gradcam,
        '--stage',
        'stage index, from 0 (default: the last stage of at least 4 x 4 tokens)',
    )
    gradcam.add_argument(
        '--class',
        dest='class_name',
        metavar='NAME',
        help='class name or index (default: the predicted class)',
    )


def parse_point(text: str) -> tuple[float, float]:
    try:
        x, y = map(float, text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r}: expected X,Y, for example 120,80') from None
    return x, y


def main(args: argparse.Namespace) -> None:
    *checkpoints, image = args.rest
    if len(checkpoints) > 1:
        raise UserError(f'expected CONFIG [CHECKPOINT] IMAGE, got {len(checkpoints) + 2} arguments')
    if args.out and args.out.resolve() == Path(image).resolve():
        raise UserError(f'--out {args.out} is the input image. Choose another file')
    files = find_model_files(args.config, *checkpoints)
    if not is_url(image) and not Path(image).is_file():
        raise UserError(f'{image} does not exist')
    default = Path(f'{Path(image).stem}_{args.kind}.png')
    from figures import attention_maps, gradcam_maps, query_maps, shift_maps

    from mmgcvit.commands.loading import load_silently

    check_figure_suffix(args.out or default)
    model = load_silently(files, args.device)
    if args.kind == 'attention':
        attention = attention_maps.compute_attention(
            model, image, args.stage, args.block, args.head, args.at
        )
        figure = attention_maps.draw_attention(attention)
    elif args.kind == 'queries':
        queries = query_maps.compute_queries(model, image)
        figure = query_maps.draw_queries(queries)
    elif args.kind == 'gradcam':
        gradcam = gradcam_maps.compute_gradcam(model, image, args.class_name, args.stage)
        figure = gradcam_maps.draw_gradcam(gradcam)
    else:
        shifts = shift_maps.compute_shifts(model, image, args.head)
        figure = shift_maps.draw_shifts(shifts)
    out = args.out or create_numbered(default, Path.touch)
    write_figure(out, figure)
    print(f'{args.kind}: {out}')


if __name__ == '__main__':
    run_command(sys.modules[__name__])
