"""Convert a checkpoint between formats: mmgcvit convert SRC DST [--to FORMAT].

SRC is a file, an http(s) URL or ``timm://NAME``. Its format (of the original code, timm, NVIDIA TAO
or this project) is recognised by the keys of its state dict. For TAO's DINO, the config is written
too. No code in the file runs.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..errors import UserError, shorten
from ..host.files import check_target, expand_user, is_url, write_text

EXAMPLE = 'mmgcvit convert gcvit_1k_tiny.pth.tar gcvit_tiny.pth'
PAGE = 'docs/checkpoints.md'  # explains the command


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument('source', metavar='SRC', help='a file, an http(s) URL or timm://NAME')
    parser.add_argument(
        'target', metavar='DST', type=Path, help='file to write: .pth or .safetensors'
    )
    parser.add_argument(
        '--to',
        choices=['mmpretrain', 'original', 'timm'],
        help="format of the keys (default: that of mmpretrain's ImageClassifier; for a DINO of "
        "NVIDIA TAO, mmdet's)",
    )
    parser.add_argument('--ema', action='store_true', help='use the EMA weights')
    parser.add_argument(
        '--prefix', help='convert only tensors with this prefix, if SRC has several networks'
    )


def main(args: Namespace) -> None:
    source = args.source
    target = args.target
    check_target(target, '.pth', '.safetensors')
    is_local = not is_url(source) and not source.startswith('timm://')
    if is_local and not expand_user(source).is_file():
        raise UserError(f'there is no checkpoint {source}')
    from ..checkpoints.converting import convert, convert_dino, save_checkpoint
    from ..checkpoints.licences import find_limit_of_model
    from ..checkpoints.weights import read_weights

    weights = read_weights(source, args.prefix, args.ema)
    detector = None if args.to or args.prefix else convert_dino(weights)
    if detector:
        state_dict, cfg = detector
        config = target.with_suffix('.py')
        check_target(config, '.py')
        unused = []  # all tensors of the file are those of the detector
    else:
        to = args.to or 'mmpretrain'
        if target.suffix.lower() == '.safetensors' and to == 'mmpretrain':
            raise UserError(
                f'{target}: mmpretrain cannot read safetensors. Write a .pth file, or add --to '
                'original or (only for GC ViT) --to timm'
            )
        state_dict = convert(weights, to)
        unused = weights.unused
    save_checkpoint(state_dict, target, limit=find_limit_of_model(source, meta={}))
    network = weights.network
    print(
        f'{network.__name__} {network.infer_arch(weights.tensors)} from {source} (format of '
        f'{weights.key_mapping.name}{", EMA" if weights.ema else ""}): '
        f'{len(state_dict)} tensors written to {target}, {len(unused)} in the file are '
        f'unused{f" ({shorten(unused)})" if unused else ""}'
    )
    if detector:
        write_text(config, cfg.pretty_text)
        print(
            f'{config} is its config (num_classes={cfg.model.bbox_head.num_classes}). Predict with:'
        )
        print(f'mmgcvit predict {config} {target} IMAGE')
