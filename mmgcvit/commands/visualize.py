"""Pictures that explain a trained network: python tools/visualize.py KIND CONFIG CHECKPOINT IMAGE [options].

KIND is attention, queries, gradcam or shifts. CONFIG may be the work dir of a run; then CHECKPOINT may be left out.
"""

import argparse
from pathlib import Path
from typing import Any

from .. import visualization
from ..inference import Predictor, UserError, load
from .options import add_trust_option

KINDS = {
    'attention': 'local and global attention of a stage: of one query, and what each token receives',
    'queries': 'the global query of each stage as maps',
    'gradcam': 'which part of the image speaks for a class, a box, a region',
    'shifts': "LSA's shifted copies, and which of them each patch attends to",
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw what a trained network does with an image.')
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='KIND')
    shared = shared_options()
    parsers = {
        kind: kinds.add_parser(
            kind, help=what, description=f'Draw {what}.', parents=[shared], usage=f'{parser.prog} {kind} {SHAPE}'
        )
        for kind, what in KINDS.items()
    }
    stage = {'type': int, 'metavar': 'N'}
    parsers['attention'].add_argument(
        '--stage', help='from 0 (default: 2, or an earlier one of at least 4 x 4 tokens)', **stage
    )
    parsers['attention'].add_argument('--block', help='one of the pair, from 0 (default: the last pair)', **stage)
    for kind in ('attention', 'shifts'):
        parsers[kind].add_argument('--head', help='from 0 (default: the mean of all)', **stage)
    parsers['attention'].add_argument(
        '--at', type=place, metavar='X,Y', help='the query in pixels of the image (default: the middle)'
    )
    parsers['gradcam'].add_argument(
        '--stage', help='from 0 (default: the last of at least 4 x 4 tokens that has something)', **stage
    )
    parsers['gradcam'].add_argument(
        '--class', dest='class_name', metavar='NAME', help='name or number (default: what the model finds first)'
    )
    parsers['gradcam'].add_argument(
        '--box', help="of a detector, from 0, the surest first; with --class among the class's", **stage
    )
    return parser.parse_args()


SHAPE = 'CONFIG [CHECKPOINT] IMAGE [options]'


def shared_options() -> argparse.ArgumentParser:
    """What all kinds take."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument('config', metavar='CONFIG', help='a config file, or the work dir of a run')
    parser.add_argument(
        'rest',
        nargs='+',
        metavar='[CHECKPOINT] IMAGE',
        help='a checkpoint of that config, which may be left out as with predict; then one image',
    )
    parser.add_argument(
        '--out', type=Path, metavar='FILE.png', help='default: IMAGE_KIND.png in the current folder; also .pdf, .svg'
    )
    parser.add_argument('--device', default='auto', help='auto: a GPU where there is one (default); cpu, cuda, cuda:N')
    add_trust_option(parser)
    return parser


def place(text: str) -> tuple[float, float]:
    """X,Y as two numbers."""
    try:
        x, y = map(float, text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r}: expected X,Y, for example 120,80') from None
    return x, y


def drawn(args: argparse.Namespace, model: Predictor, image: str) -> Any:
    """The figure of one kind."""
    if args.kind == 'attention':
        found = visualization.attention(model, image, args.stage, args.block, args.head, args.at)
        return visualization.draw_attention(found)
    if args.kind == 'queries':
        return visualization.draw_queries(visualization.queries(model, image))
    if args.kind == 'gradcam':
        found = visualization.gradcam(model, image, args.class_name, args.box, args.stage)
        if not found.cam.any():
            other = found.stage - 1 if found.stage else 1
            print(f'nothing speaks for class {found.class_name} at stage {found.stage}; try --stage {other}')
        return visualization.draw_gradcam(found)
    return visualization.draw_shifts(visualization.shifts(model, image, args.head))


def main(args: argparse.Namespace) -> None:
    *checkpoint, image = args.rest
    if len(checkpoint) > 1:
        raise UserError(f'expected CONFIG, CHECKPOINT and one IMAGE; {len(checkpoint) + 2} were given')
    out = args.out or Path(f'{Path(image).stem}_{args.kind}.png')
    visualization.check_ending(out)
    if out.resolve() == Path(image).resolve():
        raise UserError(f'--out {out} is the image itself; name another file')
    model = load(
        args.config, checkpoint[0] if checkpoint else None, args.device, trust_checkpoint=args.trust_checkpoint
    )
    visualization.save(drawn(args, model, image), out)
    print(f'{args.kind}: {out}')
