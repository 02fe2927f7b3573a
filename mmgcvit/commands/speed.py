"""Images per second and memory of a whole model: mmgcvit speed CONFIG [CHECKPOINT] [options].

In inference from prepared images to results at the photo's own size, post-processing included; with --train a training
step with its optimizer. At the size that the config's pipelines make of a photo; no data set is needed. Backbones alone
are compared by mmgcvit benchmark, parameters and multiply-adds are counted by flops.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..inference.sources import check_named, config_of, find_source, has_checkpoint
from .options import Parser, add_model_options, check_at_least

if TYPE_CHECKING:
    from ..experiments.speed import Inference, Row, Training

MEGABYTE = 1 << 20
# The most frequent size of COCO's photos.
PHOTO = (480, 640)


def add_options(parser: Parser) -> None:
    random_weights = 'a checkpoint of that config (default: random weights, which find other objects than trained ones)'
    add_model_options(parser, checkpoint=random_weights)
    parser.add_argument('--train', action='store_true', help='a training step: forward, backward, optimizer')
    parser.add_argument(
        '--batch-sizes', type=int, nargs='+', default=[1], metavar='N', help='images at a time (default: 1)'
    )
    parser.add_argument(
        '--photo-size',
        type=int,
        nargs=2,
        default=PHOTO,
        metavar=('HEIGHT', 'WIDTH'),
        help='of the made-up photo before the pipeline, which sizes it as the config says (default: 480 640)',
    )
    parser.add_argument('--photo', metavar='FILE', help='a photo to take instead, as yours are; in inference')
    parser.add_argument('--rounds', type=int, default=10, metavar='N', help='timed steps (default: %(default)s)')
    parser.add_argument('--no-memory', action='store_true', help='leave out peak memory, a process for each figure')


def main(args: argparse.Namespace) -> None:
    check_at_least(args, batch_sizes=1, photo_size=1, rounds=1)
    if args.train and (args.photo or args.checkpoint):
        raise UserError('--train takes random weights and a made-up photo; leave CHECKPOINT and --photo out')
    path = Path(args.config).expanduser()
    if not (path.is_file() and args.checkpoint is None):
        check_named(path, args.checkpoint)
    from ..experiments.speed import Row, measure
    from ..hosts.machine import check_gpus, chosen_device
    from ..inference.loading import in_words
    from ..ops.compiled import check_operators_load

    if args.device == 'auto':
        check_gpus()
    check_operators_load()
    device = chosen_device(args.device)
    work = work_of(args, str(device))
    kind = 'training steps' if args.train else f'inference, {getattr(work, "checkpoint", None) or "random weights"}'
    print(f'{work.config}: {kind}, on {in_words(device)}\n')
    heading = ['images', 'each, px', 'ms', 'p10 to p90', 'images/s', 'weights, MB', 'peak beyond them, MB']
    print(f'| {" | ".join(heading)} |\n|{"---|" * len(heading)}', flush=True)
    rows, failed = [], []
    for batch_size in args.batch_sizes:
        found = measure(work, batch_size, args.rounds, not args.no_memory)
        if isinstance(found, Row):
            rows.append(found)
            print(line_of(found), flush=True)
        else:
            failed.append(f'{batch_size} images at a time: {found}')
    for row in rows:
        if row.parts:
            whole = sum(row.parts.values())
            shares = ', '.join(f'{name} {seconds / whole:.0%}' for name, seconds in row.parts.items())
            print(f'\n{row.batch_size} at a time: {shares}')
    if failed:
        raise UserError('\n'.join(failed))


def work_of(args: argparse.Namespace, device: str) -> Inference | Training:
    from ..experiments.speed import Inference, Training

    size = tuple(args.photo_size)
    path = Path(args.config).expanduser()
    if args.train or not (args.checkpoint or has_checkpoint(path)):
        config = str(config_of(path) if path.is_dir() else path)
        if not Path(config).is_file():
            raise UserError(f'there is no config {args.config}, neither a file nor a work dir')
        return Training(config, device, size) if args.train else Inference(config, None, device, size, args.photo)
    source = find_source(args.config, args.checkpoint)
    # Of a work dir the checkpoint's settings are taken, as it is loaded.
    return Inference(str(path), source.checkpoint, device, size, args.photo, args.trust_checkpoint)


def line_of(row: Row) -> str:
    timing = row.timing
    cells = [
        str(row.batch_size),
        f'{row.shape[1]} × {row.shape[2]}',
        f'{1000 * timing.median:.4g}',
        f'{1000 * timing.percentile(10):.4g} to {1000 * timing.percentile(90):.4g}',
        f'{row.batch_size / timing.median:.3g}',
        f'{row.weights / MEGABYTE:.0f}',
        '' if row.peak is None else f'{row.peak / MEGABYTE:.0f}',
    ]
    return f'| {" | ".join(cells)} |'
