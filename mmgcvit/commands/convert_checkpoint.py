"""Convert a checkpoint between the layouts in which it exists: mmgcvit convert SRC DST [--to LAYOUT].

SRC is recognised by its content: a checkpoint of the original code, of timm, of this project or of another MM trainer,
a file or an http(s) address, or ``timm://NAME``. No code in it is run.
"""

import argparse
from pathlib import Path

from ..errors import UserError, shorten
from .options import Parser, add_trust_option, said_where_it_fails


def add_options(parser: Parser) -> None:
    parser.add_argument('source', metavar='SRC', help='a file, an http(s) address, or timm://NAME')
    parser.add_argument('target', metavar='DST', type=Path, help='the file to write; .safetensors for that format')
    parser.add_argument(
        '--to',
        choices=['mmpretrain', 'original', 'timm'],
        default='mmpretrain',
        help='layout to write; mmpretrain is a whole classifier of this project (default: %(default)s)',
    )
    parser.add_argument('--ema', action='store_true', help='take the moving average where the file has one')
    parser.add_argument('--prefix', help='take the tensors under this prefix, where a file holds several networks')
    add_trust_option(parser)


def main(args: argparse.Namespace) -> None:
    if args.target.exists():
        raise UserError(f'{args.target} exists; name another file, or remove it first')
    if args.target.suffix == '.safetensors' and args.to == 'mmpretrain':
        raise UserError(
            f'{args.target}: mmpretrain reads no safetensors; name a .pth, or write another layout with --to'
        )
    if '://' not in args.source and not Path(args.source).expanduser().is_file():
        raise UserError(f'there is no checkpoint {args.source}')
    from ..checkpoints import read_weights
    from ..checkpoints.writing import convert, save_checkpoint, save_safetensors
    from ..registry import MODELS

    weights = read_weights(args.source, args.prefix, args.ema, args.trust_checkpoint)
    content = convert(weights, args.to)
    with said_where_it_fails(args.target):
        if args.target.suffix == '.safetensors':
            save_safetensors(content['state_dict'], args.target)
        else:
            save_checkpoint(content, args.target)
    arch = MODELS.get(weights.layout.network).describe_weights(weights.tensors)
    kind = '' if any(name.startswith('head.') for name in weights.tensors) else ', a backbone without a head'
    ignored = f' ({shorten(weights.ignored)})' if weights.ignored else ''
    print(
        f'{weights.layout.network} {arch}{kind} from {args.source} (layout of '
        f'{weights.layout.name}{", moving average" if weights.ema else ""}): {len(content["state_dict"])} tensors '
        f'written to {args.target}, {len(weights.ignored)} ignored{ignored}'
    )
