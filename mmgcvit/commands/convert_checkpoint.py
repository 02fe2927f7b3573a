"""Convert a checkpoint between the layouts in which it exists: tools/convert_checkpoint.py SRC DST [--to LAYOUT].

SRC is recognised by its content: a checkpoint of the original code, of timm, of this project or of another MM trainer,
a file or an http(s) address, or ``timm://NAME``. No code in it is run.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoints import CheckpointError, Weights, read_weights
from ..checkpoints.loading import shorten
from ..checkpoints.reading import local_file
from ..checkpoints.writing import mmpretrain_checkpoint, sha256, state_dict_for
from ..registry import MODELS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
    return parser.parse_args()


def check_complete(weights: Weights) -> None:
    """Refuse weights that lack a tensor of their arch; output norms and a head there need not be."""
    network = MODELS.get(weights.layout.network)
    with torch.device('meta'):
        try:
            model = network(network.facts.read(weights.tensors).arch())
        except (ValueError, IndexError, ZeroDivisionError) as error:
            raise CheckpointError(f'{weights.source} is no whole {weights.layout.network}: {error}') from None
    needed = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith('norm')}
    missing = [name for name in needed if name not in weights.tensors]
    if missing:
        raise CheckpointError(f'{weights.source} lacks {len(missing)} tensors of its arch: {shorten(missing)}')


def convert(weights: Weights, to: str) -> dict[str, Any]:
    """The content of the file to write."""
    check_complete(weights)
    network = MODELS.get(weights.layout.network)
    layouts = {layout.key: layout for layout in network.layouts if layout.key}
    if to in layouts:
        return {'state_dict': state_dict_for(weights, layouts[to])}
    if to != 'mmpretrain':
        raise CheckpointError(f'{weights.layout.network} weights have no layout of {to}; choose mmpretrain or original')
    digest = None if weights.source.startswith('timm://') else sha256(local_file(weights.source))
    return mmpretrain_checkpoint(weights, network.describe_weights(weights.tensors).strip("'"), digest)


def write(content: Mapping[str, Any], target: Path) -> None:
    """Write a file beside its place, then move it there: never half a checkpoint.

    Raises:
        SystemExit: It cannot be written, as on a full disk.
    """
    unfinished = target.with_name(target.name + '.unfinished')
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_as(target.suffix, content, unfinished)
        unfinished.rename(target)
    except Exception as error:  # torch's and safetensors' own, with the disk's reason or without.
        unfinished.unlink(missing_ok=True)
        reason = str(error).splitlines()[0]
        raise SystemExit(f'{target} could not be written ({reason}); is there room on the disk?') from None


def write_as(suffix: str, content: Mapping[str, Any], path: Path) -> None:
    """Write a file of the format that a suffix asks for."""
    if suffix == '.safetensors':
        from safetensors.torch import save_file

        tensors: dict[str, Tensor] = {name: tensor.contiguous() for name, tensor in content['state_dict'].items()}
        save_file(tensors, path)
    else:
        torch.save(content, path)


def main() -> None:
    args = parse_args()
    if args.target.exists():
        raise SystemExit(f'{args.target} exists; name another file, or remove it first')
    if args.target.suffix == '.safetensors' and args.to == 'mmpretrain':
        raise SystemExit(
            f'{args.target}: mmpretrain reads no safetensors; name a .pth, or write another layout with --to'
        )
    try:
        weights = read_weights(args.source, args.prefix, args.ema)
        content = convert(weights, args.to)
    except CheckpointError as error:
        raise SystemExit(str(error)) from None
    write(content, args.target)
    arch = MODELS.get(weights.layout.network).describe_weights(weights.tensors)
    kind = '' if any(name.startswith('head.') for name in weights.tensors) else ', a backbone without a head'
    ignored = f' ({shorten(weights.ignored)})' if weights.ignored else ''
    print(
        f'{weights.layout.network} {arch}{kind} from {args.source} (layout of '
        f'{weights.layout.name}{", moving average" if weights.ema else ""}): {len(content["state_dict"])} tensors '
        f'written to {args.target}, {len(weights.ignored)} ignored{ignored}'
    )


if __name__ == '__main__':
    main()
