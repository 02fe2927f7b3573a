"""Convert a checkpoint between formats: mmgcvit convert SRC DST [--to FORMAT].

SRC is a file, an http(s) URL or ``timm://NAME``. Its format (of the original code, timm or this project) is recognised
by the keys of its state dict. No code in the file runs.
"""

import argparse
from pathlib import Path

from ..errors import UserError, shorten
from ..files import check_target


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('source', metavar='SRC', help='a file, an http(s) URL or timm://NAME')
    parser.add_argument('target', metavar='DST', type=Path, help='file to write: .pth or .safetensors')
    text = "format of the keys; mmpretrain: those of mmpretrain's ImageClassifier (default: %(default)s)"
    parser.add_argument('--to', choices=['mmpretrain', 'original', 'timm'], default='mmpretrain', help=text)
    parser.add_argument('--ema', action='store_true', help='use the EMA weights')
    parser.add_argument('--prefix', help='convert only tensors with this prefix, if SRC has several networks')


def main(args: argparse.Namespace) -> None:
    check_target(args.target, args.target.suffix, overwrite=None)
    if args.target.suffix == '.safetensors' and args.to == 'mmpretrain':
        raise UserError(
            f'{args.target}: mmpretrain cannot read safetensors. Write a .pth file, or add --to original or (only for '
            'GC ViT) --to timm'
        )
    if '://' not in args.source and not Path(args.source).expanduser().is_file():
        raise UserError(f'there is no checkpoint {args.source}')
    from ..checkpoints.converting import convert, save_checkpoint, save_safetensors
    from ..checkpoints.weights import read_weights
    from ..registry import list_networks

    weights = read_weights(args.source, list_networks().values(), args.prefix, args.ema)
    content = convert(weights, args.to)
    if args.target.suffix == '.safetensors':
        save_safetensors(content['state_dict'], args.target)
    else:
        save_checkpoint(content, args.target)
    no_head = '' if any(name.startswith('head.') for name in weights.tensors) else ', a backbone without a head'
    unused = f' ({shorten(weights.unused)})' if weights.unused else ''
    network = weights.network
    print(
        f'{network.__name__} {network.infer_arch(weights.tensors)}{no_head} from {args.source} (format of '
        f'{weights.key_mapping.name}{", EMA" if weights.ema else ""}): {len(content["state_dict"])} tensors '
        f'written to {args.target}, {len(weights.unused)} in the file are unused{unused}'
    )
