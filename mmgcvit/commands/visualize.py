"""Draw attention, queries, Grad-CAM or shifts: mmgcvit visualize KIND CONFIG [CHECKPOINT] IMAGE [options]."""

import argparse
from pathlib import Path

from ..errors import UserError
from ..files import find_free_path
from ..inference.model_files import check_model_files
from .options import OPTIONAL_CHECKPOINT, Parser, add_model_options, load_model

KINDS = {
    'attention': 'local and global attention of a stage, for one query and as received by each token',
    'queries': 'the global query of each stage',
    'gradcam': 'Grad-CAM of a class, a box or a region',
    'shifts': "which of LSA's shifted copies each patch attends to",
}
ARGUMENTS = 'CONFIG [CHECKPOINT] IMAGE [options]'


def add_options(parser: Parser) -> None:
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='KIND')
    parsers = {}
    for kind, description in KINDS.items():
        usage = f'{parser.prog} {kind} {ARGUMENTS}'
        parsers[kind] = kinds.add_parser(kind, help=description, description=f'Draw {description}.', usage=usage)
        add_model_options(parsers[kind], checkpoint=None)
        parsers[kind].add_argument(
            'rest', nargs='+', metavar='[CHECKPOINT] IMAGE', help=f'{OPTIONAL_CHECKPOINT}; then one image'
        )
        parsers[kind].add_argument(
            '--out',
            type=Path,
            metavar='FILE.png',
            help='.png, .pdf or .svg (default: IMAGE_KIND.png, IMAGE_KIND2.png, ...)',
        )
    integer = {'type': int, 'metavar': 'N'}
    attention, gradcam, shifts = (parsers[kind].add_argument for kind in ('attention', 'gradcam', 'shifts'))
    attention('--stage', help='stage, from 0 (default: 2, or an earlier one of at least 4 x 4 tokens)', **integer)
    attention('--block', help='block, from 0; it is drawn with its pair (default: the last pair)', **integer)
    for add in (attention, shifts):
        add('--head', help='head, from 0 (default: the mean of all)', **integer)
    attention('--at', type=parse_point, metavar='X,Y', help='query position in image pixels (default: the middle)')
    gradcam('--stage', help='stage, from 0 (default: the last of at least 4 x 4 tokens with a nonzero map)', **integer)
    gradcam('--class', dest='class_name', metavar='NAME', help='class name or index (default: the highest-scoring)')
    gradcam('--box', help='box of a detector, from 0 by descending score (of --class, if given)', **integer)


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
    out = args.out or find_free_path(Path(f'{Path(image).stem}_{args.kind}.png'))
    if out.resolve() == Path(image).resolve():
        raise UserError(f'--out {out} is the input image; choose another file')
    check_model_files(args.config, args.checkpoint)
    if not Path(image).is_file():
        raise UserError(f'{image} does not exist')
    from .. import visualization

    visualization.check_ending(out)
    _, model = load_model(args)
    if args.kind == 'attention':
        attention = visualization.compute_attention(model, image, args.stage, args.block, args.head, args.at)
        figure = visualization.draw_attention(attention)
    elif args.kind == 'queries':
        figure = visualization.draw_queries(visualization.compute_queries(model, image))
    elif args.kind == 'gradcam':
        gradcam = visualization.compute_gradcam(model, image, args.class_name, args.box, args.stage)
        if not gradcam.cam.any():
            other_stage = gradcam.stage - 1 if gradcam.stage else 1
            print(f'the map of class {gradcam.class_name} at stage {gradcam.stage} is zero; try --stage {other_stage}')
        figure = visualization.draw_gradcam(gradcam)
    else:
        figure = visualization.draw_shifts(visualization.compute_shifts(model, image, args.head))
    visualization.save(figure, out)
    print(f'{args.kind}: {out}')
