"""Convert a checkpoint between the layouts in which it exists: mmgcvit convert SRC DST [--to LAYOUT].

SRC is recognised by its content: a checkpoint of the original code, of timm, of this project or of another MM trainer,
a file or an http(s) address, or ``timm://NAME``. No code in it is run.
"""

import argparse
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints import CheckpointError, Weights
from ..checkpoints.integrity import save_whole, save_whole_safetensors, sha256
from ..checkpoints.loading import check_complete
from ..checkpoints.reading import local_file, read_checkpoint, read_trusted_checkpoint
from ..checkpoints.weights import FINAL_NORM, grid_in, table_of, weights_in
from ..checkpoints.writing import mmpretrain_checkpoint, state_dict_for
from ..errors import UserError, shorten
from ..registry import MODELS
from .options import add_trust_option, said_where_it_fails

OPTIONAL = re.compile(r'norm\d+\.|final_norm\.|head\.')
# The index of positions, which the original's layout has beside each table, grows with the window's fourth power.
LARGEST_WINDOW = 64


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert a checkpoint between the layouts in which it exists.')
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
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    if args.target.exists():
        raise UserError(f'{args.target} exists; name another file, or remove it first')
    if args.target.suffix == '.safetensors' and args.to == 'mmpretrain':
        raise UserError(
            f'{args.target}: mmpretrain reads no safetensors; name a .pth, or write another layout with --to'
        )
    read = read_trusted_checkpoint if args.trust_checkpoint else read_checkpoint
    weights = weights_in(read(args.source), args.source, args.prefix, args.ema)
    content = convert(weights, args.to)
    with said_where_it_fails(args.target):
        if args.target.suffix == '.safetensors':
            save_whole_safetensors(content['state_dict'], args.target, {'format': 'pt'})
        else:
            save_whole(content, args.target)
    arch = MODELS.get(weights.layout.network).describe_weights(weights.tensors)
    kind = '' if any(name.startswith('head.') for name in weights.tensors) else ', a backbone without a head'
    ignored = f' ({shorten(weights.ignored)})' if weights.ignored else ''
    print(
        f'{weights.layout.network} {arch}{kind} from {args.source} (layout of '
        f'{weights.layout.name}{", moving average" if weights.ema else ""}): {len(content["state_dict"])} tensors '
        f'written to {args.target}, {len(weights.ignored)} ignored{ignored}'
    )


def convert(weights: Weights, to: str) -> dict[str, Any]:
    """The content of the file to write."""
    check_complete(weights.source, weights.tensors, expected_tensors(weights), OPTIONAL)
    for name in filter(table_of, weights.tensors):
        if max(grid_in(weights.tensors, name, weights.source)) > 2 * LARGEST_WINDOW:
            raise CheckpointError(f'{weights.source}: {name} is of windows larger than {LARGEST_WINDOW}')
    network = MODELS.get(weights.layout.network)
    layouts = {layout.key: layout for layout in network.layouts if layout.key}
    if to in layouts:
        return {'state_dict': state_dict_for(weights, layouts[to])}
    if to != 'mmpretrain':
        raise CheckpointError(f'{weights.layout.network} weights have no layout of {to}; choose mmpretrain or original')
    digest = None if weights.source.startswith('timm://') else sha256(local_file(weights.source))
    return mmpretrain_checkpoint(weights, network.describe_weights(weights.tensors).strip("'"), digest)


def expected_tensors(weights: Weights) -> dict[str, Tensor]:
    """The tensors, without numbers, of the network that weights are of: all its norms, and a head of their classes."""
    network = MODELS.get(weights.layout.network)
    try:
        arch = network.arch_type.seen_in(weights.tensors)
        depths = arch['depths']
        if sum(depths) > len(weights.tensors):
            raise ValueError(f'{len(weights.tensors)} tensors for {sum(depths)} blocks')
        with torch.device('meta'):
            model = network(arch, out_indices=range(len(depths)))
            final_norm = getattr(model, f'norm{len(depths) - 1}')
            expected = model.state_dict() | final_norm.state_dict(prefix=FINAL_NORM)
            if 'head.fc.weight' in weights.tensors:
                classes = len(weights.tensors['head.fc.weight'])
                expected |= nn.Linear(final_norm.weight.shape[0], classes).state_dict(prefix='head.fc.')
    except (ValueError, TypeError, IndexError, ZeroDivisionError, RuntimeError) as error:
        raise CheckpointError(f'{weights.source} is no whole {weights.layout.network}: {error}') from None
    return expected
