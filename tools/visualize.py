"""Draw what a network attends to: python tools/visualize.py KIND CONFIG [CHECKPOINT] IMAGE.

The figures are in tools/figures.
"""

import argparse
import sys
from pathlib import Path

from mmgcvit.commands.main import run_command
from mmgcvit.commands.options import add_integer, add_model_options
from mmgcvit.errors import UserError
from mmgcvit.host.files import create_numbered, is_url
from mmgcvit.own.judging.figures import check_figure_suffix, write_figure
from mmgcvit.predict.model_files import find_model_files

KINDS = {
    'attention': "a stage's local and global attention",
    'queries': 'the global query of each GC ViT stage',
    'gradcam': 'Grad-CAM of a class of a classifier',
    'shifts': 'to which shifted copy of the image each patch of LSA attends',
}
# The kinds that have an option.
OPTION_KINDS = {
    'stage': ('attention', 'gradcam'),
    'block': ('attention',),
    'head': ('attention', 'shifts'),
    'at': ('attention',),
    'class': ('gradcam',),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    kinds = '; '.join(f'{kind}: {description}' for kind, description in KINDS.items())
    parser.add_argument('kind', choices=KINDS, metavar='KIND', help=kinds)
    add_model_options(parser)
    parser.add_argument('image', metavar='IMAGE', help='path or URL')
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FILE.png',
        help='output file: .png, .pdf or .svg (default: IMAGE_KIND.png, IMAGE_KIND2.png, ...)',
    )
    add_integer(
        parser,
        '--stage',
        'attention, gradcam: stage index, from 0 (default: 2 for attention, the last for gradcam; '
        'if it has fewer than 4 x 4 tokens, the last earlier stage that has enough)',
    )
    add_integer(
        parser,
        '--block',
        'attention: block index, from 0 (default: the last). A local and a global block that form '
        'a pair are both drawn',
    )
    add_integer(
        parser, '--head', 'attention, shifts: head index, from 0 (default: the mean of all heads)'
    )
    parser.add_argument(
        '--at',
        type=parse_point,
        metavar='X,Y',
        help='attention: query position in pixels of the drawn image (default: the centre)',
    )
    parser.add_argument(
        '--class',
        metavar='NAME',
        help='gradcam: class name or index (default: the predicted class)',
    )


def parse_point(text: str) -> tuple[float, float]:
    try:
        x, y = map(float, text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r}: expected X,Y, for example 120,80') from None
    return x, y


def main(args: argparse.Namespace) -> None:
    values = vars(args)
    for option, kinds in OPTION_KINDS.items():
        if values[option] is not None and args.kind not in kinds:
            raise UserError(f'--{option} is for {" and ".join(kinds)}, not for {args.kind}')
    image, out = args.image, args.out
    if out and out.resolve() == Path(image).resolve():
        raise UserError(f'--out {out} is the input image. Choose another file')
    files = find_model_files(args.config, args.checkpoint)
    if not is_url(image) and not Path(image).is_file():
        raise UserError(f'{image} does not exist')
    default = Path(f'{Path(image).stem}_{args.kind}.png')
    check_figure_suffix(out or default)
    # Imported here, so that errors in the arguments are reported without importing torch.
    from figures.attention_maps import compute_attention, draw_attention
    from figures.gradcam_maps import compute_gradcam, draw_gradcam
    from figures.query_maps import compute_queries, draw_queries
    from figures.shift_maps import compute_shifts, draw_shifts

    from mmgcvit.commands.loading import load_silently

    model = load_silently(files, args.device)
    if args.kind == 'attention':
        attention = compute_attention(
            model, image, stage=args.stage, block=args.block, head=args.head, at=args.at
        )
        figure = draw_attention(attention)
    elif args.kind == 'queries':
        figure = draw_queries(compute_queries(model, image))
    elif args.kind == 'gradcam':
        figure = draw_gradcam(compute_gradcam(model, image, values['class'], args.stage))
    else:
        figure = draw_shifts(compute_shifts(model, image, args.head))
    out = out or create_numbered(default, Path.touch)
    write_figure(out, figure)
    print(f'{args.kind}: {out}')


if __name__ == '__main__':
    run_command(sys.modules[__name__])
