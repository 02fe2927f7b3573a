"""Draw what a trained network does with an image: mmgcvit visualize KIND CONFIG [CHECKPOINT] IMAGE [options]."""

import argparse
from pathlib import Path

from ..errors import UserError
from ..files import find_free_path
from ..inference.sources import check_source
from .options import LEFT_OUT, Parser, add_model_options, load_model

KINDS = {
    'attention': 'local and global attention of a stage: of one query, and what each token receives',
    'queries': 'the global query of each stage as maps',
    'gradcam': 'which part of the image speaks for a class, a box, a region',
    'shifts': "LSA's shifted copies, and which of them each patch attends to",
}
SHAPE = 'CONFIG [CHECKPOINT] IMAGE [options]'


def add_options(parser: Parser) -> None:
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='KIND')
    parsers = {}
    for kind, what in KINDS.items():
        usage = f'{parser.prog} {kind} {SHAPE}'
        parsers[kind] = kinds.add_parser(kind, help=what, description=f'Draw {what}.', usage=usage)
        add_model_options(parsers[kind], checkpoint=None)
        parsers[kind].add_argument('rest', nargs='+', metavar='[CHECKPOINT] IMAGE', help=f'{LEFT_OUT}; then one image')
        parsers[kind].add_argument(
            '--out',
            type=Path,
            metavar='FILE.png',
            help='default: IMAGE_KIND.png in this folder, IMAGE_KIND2.png, ...; also .pdf, .svg',
        )
    number = {'type': int, 'metavar': 'N'}
    attention, gradcam, shifts = (parsers[kind].add_argument for kind in ('attention', 'gradcam', 'shifts'))
    attention('--stage', help='from 0 (default: 2, or an earlier one of at least 4 x 4 tokens)', **number)
    attention('--block', help='one of the pair, from 0 (default: the last pair)', **number)
    for add in (attention, shifts):
        add('--head', help='from 0 (default: the mean of all)', **number)
    attention('--at', type=place, metavar='X,Y', help='the query in pixels of the image (default: the middle)')
    gradcam('--stage', help='from 0 (default: the last of at least 4 x 4 tokens that has something)', **number)
    gradcam('--class', dest='class_name', metavar='NAME', help='name or number (default: what the model finds first)')
    gradcam('--box', help="of a detector, from 0 by descending score; with --class among the class's", **number)


def place(text: str) -> tuple[float, float]:
    try:
        x, y = map(float, text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r}: expected X,Y, for example 120,80') from None
    return x, y


def main(args: argparse.Namespace) -> None:
    *checkpoint, image = args.rest
    if len(checkpoint) > 1:
        raise UserError(f'expected CONFIG, CHECKPOINT and one IMAGE; {len(checkpoint) + 2} were given')
    args.checkpoint = checkpoint[0] if checkpoint else None
    out = args.out or find_free_path(Path(f'{Path(image).stem}_{args.kind}.png'))
    if out.resolve() == Path(image).resolve():
        raise UserError(f'--out {out} is the image itself; name another file')
    check_source(args.config, args.checkpoint)
    if not Path(image).is_file():
        raise UserError(f'{image}: there is no such file')
    from .. import visualization

    visualization.check_ending(out)
    _, model = load_model(args)
    if args.kind == 'attention':
        found = visualization.attention(model, image, args.stage, args.block, args.head, args.at)
        figure = visualization.draw_attention(found)
    elif args.kind == 'queries':
        figure = visualization.draw_queries(visualization.queries(model, image))
    elif args.kind == 'gradcam':
        found = visualization.gradcam(model, image, args.class_name, args.box, args.stage)
        if not found.cam.any():
            other = found.stage - 1 if found.stage else 1
            print(f'nothing speaks for class {found.class_name} at stage {found.stage}; try --stage {other}')
        figure = visualization.draw_gradcam(found)
    else:
        figure = visualization.draw_shifts(visualization.shifts(model, image, args.head))
    visualization.save(figure, out)
    print(f'{args.kind}: {out}')
