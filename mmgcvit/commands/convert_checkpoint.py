"""Convert a checkpoint between formats: mmgcvit convert SRC DST [--to FORMAT].

SRC is a file, an http(s) URL or ``timm://NAME``. The keys of its state dict show whether it comes from the original
code, timm or this project. No code in the file runs, unless --trust-checkpoint is given.
"""

import argparse
from pathlib import Path

from ..errors import UserError, shorten
from .options import Parser, add_trust_option, report_write_errors


def add_options(parser: Parser) -> None:
    parser.add_argument('source', metavar='SRC', help='a file, an http(s) URL or timm://NAME')
    parser.add_argument('target', metavar='DST', type=Path, help='the file to write; .safetensors selects that format')
    parser.add_argument(
        '--to',
        choices=['mmpretrain', 'original', 'timm'],
        default='mmpretrain',
        help='key names to write; mmpretrain means a classifier of this project (default: %(default)s)',
    )
    parser.add_argument('--ema', action='store_true', help='use the EMA weights')
    parser.add_argument('--prefix', help='use the keys with this prefix, if a file has several networks')
    add_trust_option(parser)


def main(args: argparse.Namespace) -> None:
    if args.target.exists():
        raise UserError(f'{args.target} exists; choose another file or remove it')
    if args.target.suffix == '.safetensors' and args.to == 'mmpretrain':
        raise UserError(
            f'{args.target}: mmpretrain cannot read safetensors; write a .pth file, or choose another format with --to'
        )
    if '://' not in args.source and not Path(args.source).expanduser().is_file():
        raise UserError(f'there is no checkpoint {args.source}')
    from ..checkpoints import read_weights
    from ..checkpoints.writing import convert, save_checkpoint, save_safetensors
    from ..registry import MODELS

    weights = read_weights(args.source, args.prefix, args.ema, args.trust_checkpoint)
    content = convert(weights, args.to)
    with report_write_errors(args.target):
        if args.target.suffix == '.safetensors':
            save_safetensors(content['state_dict'], args.target)
        else:
            save_checkpoint(content, args.target)
    arch = MODELS.get(weights.key_mapping.network).infer_arch(weights.tensors)
    no_head = '' if any(name.startswith('head.') for name in weights.tensors) else ', a backbone without a head'
    ignored = f' ({shorten(weights.ignored)})' if weights.ignored else ''
    print(
        f'{weights.key_mapping.network} {arch}{no_head} from {args.source} (format of '
        f'{weights.key_mapping.name}{", EMA" if weights.ema else ""}): {len(content["state_dict"])} tensors '
        f'written to {args.target}, {len(weights.ignored)} ignored{ignored}'
    )
