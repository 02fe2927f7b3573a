"""Draw attention, queries, Grad-CAM or shifts: mmgcvit visualize KIND CONFIG [CHECKPOINT] IMAGE
[options].
"""

import argparse
from pathlib import Path

from ..errors import UserError
from ..files import check_figure_suffix, create_numbered, is_url, write_figure
from ..inference.model_files import check_model_files
from .options import CONFIG_OR_WORK_DIR, OPTIONAL_CHECKPOINT, add_device_option, load_model

HAS_SUBCOMMANDS = True
KINDS = {
    'attention': "a stage's local and global attention: one query's weights, and the mean weight that each token gets",
    'queries': 'the global query of each GC ViT stage',
    'gradcam': 'Grad-CAM of a class of a classifier',
    'shifts': 'which shifted copy of the image each patch of LSA (Locally Shifted Attention) attends to',
}


def add_options(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='KIND')
    parsers = {}
    for kind, description in KINDS.items():
        usage = f'{parser.prog} {kind} CONFIG [CHECKPOINT] IMAGE [options]'
        parsers[kind] = kinds.add_parser(
            kind, help=description, description=f'Draw {description}.', usage=usage
        )
        parsers[kind].add_argument('config', metavar='CONFIG', help=CONFIG_OR_WORK_DIR)
        add_device_option(parsers[kind])
        parsers[kind].add_argument(
            'rest', nargs='+', metavar='[CHECKPOINT] IMAGE', help=OPTIONAL_CHECKPOINT
        )
        out = 'output file: .png, .pdf or .svg (default: IMAGE_KIND.png, IMAGE_KIND2.png, ...)'
        parsers[kind].add_argument('--out', type=Path, metavar='FILE.png', help=out)
    integer = {'type': int, 'metavar': 'N'}
    add_attention, add_gradcam, add_shifts = (
        parsers[kind].add_argument for kind in ('attention', 'gradcam', 'shifts')
    )
    text = 'stage index, from 0 (default: 2; if it has fewer than 4 x 4 tokens, the last earlier stage that has enough)'
    add_attention('--stage', help=text, **integer)
    text = 'block index, from 0 (default: the last). A local and a global block that form a pair are both drawn'
    add_attention('--block', help=text, **integer)
    for add in (add_attention, add_shifts):
        add('--head', help='head index, from 0 (default: the mean of all heads)', **integer)
    add_attention(
        '--at',
        type=parse_point,
        metavar='X,Y',
        help='query position in image pixels (default: the centre)',
    )
    add_gradcam(
        '--stage',
        help='stage index, from 0 (default: the last stage of at least 4 x 4 tokens)',
        **integer,
    )
    add_gradcam(
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
    *checkpoint, image = args.rest
    if len(checkpoint) > 1:
        raise UserError(f'expected CONFIG [CHECKPOINT] IMAGE, got {len(checkpoint) + 2} arguments')
    args.checkpoint = checkpoint[0] if checkpoint else None
    default, out = Path(f'{Path(image).stem}_{args.kind}.png'), args.out
    if out and out.resolve() == Path(image).resolve():
        raise UserError(f'--out {out} is the input image. Choose another file')
    check_model_files(args.config, args.checkpoint)
    if not is_url(image) and not Path(image).is_file():
        raise UserError(f'{image} does not exist')
    from ..figures import attention_maps, gradcam_maps, query_maps, shift_maps

    check_figure_suffix(out or default)
    model = load_model(args)
    if args.kind == 'attention':
        attention = attention_maps.compute_attention(
            model, image, args.stage, args.block, args.head, args.at
        )
        figure = attention_maps.draw_attention(attention)
    elif args.kind == 'queries':
        figure = query_maps.draw_queries(query_maps.compute_queries(model, image))
    elif args.kind == 'gradcam':
        figure = gradcam_maps.draw_gradcam(
            gradcam_maps.compute_gradcam(model, image, args.class_name, args.stage)
        )
    else:
        figure = shift_maps.draw_shifts(shift_maps.compute_shifts(model, image, args.head))
    out = out or create_numbered(default, Path.touch)
    write_figure(out, figure)
    print(f'{args.kind}: {out}')
