"""Convert a checkpoint between formats: mmgcvit convert SRC DST [--to FORMAT].

SRC is a file, an http(s) URL or ``timm://NAME``. Its format (of the original code, timm, NVIDIA TAO
or this project) is recognised by the keys of its state dict. For TAO's DINO, the config is written
too. No code in the file runs.
"""

import argparse
from pathlib import Path

from ..errors import UserError, shorten
from ..files import check_target, write_text


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('source', metavar='SRC', help='a file, an http(s) URL or timm://NAME')
    parser.add_argument(
        'target', metavar='DST', type=Path, help='file to write: .pth or .safetensors'
    )
    text = "format of the keys (default: that of mmpretrain's ImageClassifier; for a DINO of NVIDIA TAO, mmdet's)"
    parser.add_argument('--to', choices=['mmpretrain', 'original', 'timm'], help=text)
    parser.add_argument('--ema', action='store_true', help='use the EMA weights')
    parser.add_argument(
        '--prefix', help='convert only tensors with this prefix, if SRC has several networks'
    )


def main(args: argparse.Namespace) -> None:
    # The config of a detector gets the name of the checkpoint, with the suffix .py.
    check_target(
        args.target, '.pth' if args.target.suffix == '.py' else args.target.suffix, overwrite=None
    )
    if '://' not in args.source and not Path(args.source).expanduser().is_file():
        raise UserError(f'there is no checkpoint {args.source}')
    from ..checkpoints.converting import convert, convert_dino, save_checkpoint, save_safetensors
    from ..checkpoints.weights import read_weights

    weights = read_weights(args.source, args.prefix, args.ema)
    detector = convert_dino(weights) if args.to is None and args.prefix is None else None
    if (
        detector is None
        and args.target.suffix == '.safetensors'
        and args.to in (None, 'mmpretrain')
    ):
        advice = 'Write a .pth file, or add --to original or (only for GC ViT) --to timm'
        raise UserError(f'{args.target}: mmpretrain cannot read safetensors. {advice}')
    content, cfg = detector or (convert(weights, args.to or 'mmpretrain'), None)
    config = args.target.with_suffix('.py')
    if cfg:
        check_target(config, '.py', overwrite=None)
    if args.target.suffix == '.safetensors':
        save_safetensors(content['state_dict'], args.target)
    else:
        save_checkpoint(content, args.target)
    has_head = any(name.startswith('head.') for name in weights.tensors)
    kind = ', in a DINO' if cfg else '' if has_head else ', a backbone without a head'
    network, unused = weights.network, [] if cfg else weights.unused
    print(
        f'{network.__name__} {network.infer_arch(weights.tensors)}{kind} from {args.source} '
        '(format of '
        f'{weights.key_mapping.name}{", EMA" if weights.ema else ""}): '
        f'{len(content["state_dict"])} tensors '
        f'written to {args.target}, {len(unused)} in the file are '
        f'unused{f" ({shorten(unused)})" if unused else ""}'
    )
    if cfg:
        write_text(config, cfg.pretty_text)
        print(
            f'{config} is its config (num_classes={cfg.model.bbox_head.num_classes}). Predict with:'
        )
        print(f'mmgcvit predict {config} {args.target} IMAGE')
