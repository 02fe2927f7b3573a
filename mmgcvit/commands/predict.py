"""Predict on images and videos: mmgcvit predict CONFIG [CHECKPOINT] INPUT ... [options]."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from ..errors import UserError, check_installed, format_count, shorten
from ..files import FILES, FOLDERS, IMAGE_SUFFIXES, PICTURES, is_url
from ..inference.inputs import VIDEO_SUFFIXES, find_inputs
from ..inference.model_files import check_model_files, find_default_checkpoint
from .options import (
    add_model_options,
    add_out_dir,
    check_at_least,
    check_out_dir,
    create_out_dir,
    load_model,
)

CHECKPOINT_SUFFIXES = ('.pth', '.pt', '.tar', '.ckpt', '.safetensors')
# Images are named whose longer side differs from that of the training images by more than this
# factor
MAX_RATIO = 2


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.usage = '%(prog)s CONFIG [CHECKPOINT] INPUT [INPUT ...] [options]'
    add_model_options(parser)
    text = "images, videos, folders, URLs of images, or glob patterns ('photos/**/*.jpg')"
    parser.add_argument('inputs', nargs='*', metavar='INPUT', help=text)
    add_out_dir(
        parser, 'predictions', 'write into an existing folder and replace files of the same names'
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        default=1,
        metavar='N',
        help='images or tiles per batch (default: 1)',
    )
    parser.add_argument('--amp', action='store_true', help='compute in bfloat16')
    parser.add_argument(
        '--tiles',
        type=int,
        metavar='SIDE',
        help='predict large images in tiles of SIDE x SIDE pixels',
    )
    text = 'minimum score of detections (default: the one that train --data chose, else 0.3)'
    parser.add_argument('--score-thr', '--pred-score-thr', type=float, metavar='SCORE', help=text)
    parser.add_argument(
        '--classes', nargs='+', metavar='NAME', help='keep only detections of these classes'
    )
    parser.add_argument('--hide-labels', action='store_true', help='draw no class names and scores')
    parser.add_argument('--no-save-vis', action='store_true', help='write no pictures')
    parser.add_argument(
        '--no-save-pred', action='store_true', help='write no JSON, CSV and segmentation maps'
    )
    parser.add_argument(
        '--frames',
        type=int,
        metavar='N',
        help='only the first N frames of each video (default: all)',
    )


def main(args: argparse.Namespace) -> None:
    # Silence FFmpeg's messages about broken videos.
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
    args.checkpoint, patterns = split_checkpoint_and_inputs(args)
    check_at_least(args, batch_size=1, frames=1, tiles=32, score_thr=0)
    if args.no_save_vis and args.no_save_pred:
        raise UserError(
            '--no-save-vis and --no-save-pred together write nothing. Remove one of them'
        )
    check_model_files(args.config, args.checkpoint)
    if not patterns:
        hint = (
            '. Everything after --classes is read as a class. Put INPUT before --classes'
            if args.classes
            else ''
        )
        inputs = f'images, videos, folders or patterns such as "photos/*.jpg"{hint}'
        raise UserError(f'no INPUT given. After {args.checkpoint or args.config}, pass {inputs}')
    check_installed('predict', 'supervision')
    images, videos = find_inputs(patterns)
    import torch

    from ..inference.outputs import Outputs, make_table

    check_out_dir(args, (*FILES, *FOLDERS))
    from ..config import read_config
    from ..datasets.own_data import STARTED_WITH
    from ..inference.loading import format_device
    from ..inference.running import PredictionRun

    model = load_model(args)
    print(
        f'{model.task}, {len(model.classes)} classes, on {format_device(model.device)}: '
        f'{model.checkpoint}'
    )
    if model.task == 'detection':
        print(f'confidence threshold: {model.score_thr:g}')
        if args.tiles is None and model.tiles:
            print(f'tiles of {model.tiles} px, as in the training')
    elif args.classes is not None:
        raise UserError(
            f'--classes is only for detectors, and this is a {model.task} model. Remove --classes'
        )
    if args.tiles is not None:
        # Read one image at a time. Its tiles are predicted in batches.
        model, args.batch_size = model.with_tiles(args.tiles, args.batch_size), 1
    labels = args.classes and [model.find_label(name) for name in args.classes]
    # Configs of train --data have the longer side of the training images, except for classifiers.
    trained_side = not model.tiles and (read_config(model.config).get(STARTED_WITH) or {}).get(
        'image_side'
    )
    create_out_dir(args, PICTURES, () if args.no_save_pred else FILES)
    switches = {
        'draw': not args.no_save_vis,
        'write': not args.no_save_pred,
        'draw_labels': not args.hide_labels,
    }
    outputs = Outputs(args.out_dir, [*images, *videos])
    run = PredictionRun(model, outputs, args.batch_size, labels=labels, **switches)
    try:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=args.amp):
            run.predict(images, videos, args.frames)
    finally:
        if run.counts:
            table = make_table(run.counts, model.classes, model.task)
            Console(markup=False, emoji=False, highlight=False).print(table)
        if trained_side:
            print(compare_sides(run.sides, trained_side), end='')
        counts = [format_count(len(run.sides), 'image')] if images else []
        counts += [format_count(len(run.counts) - len(run.sides), 'frame')] if videos else []
        skipped = f', {run.num_failed} skipped' if run.num_failed else ''
        pictures = '' if args.no_save_vis else f', pictures in {args.out_dir / "vis"}'
        print(f'{" and ".join(counts)} predicted{skipped}: {args.out_dir}{pictures}')
    if run.num_failed:
        raise UserError(
            f'{format_count(run.num_failed, "input")} could not be predicted. See the messages '
            'above'
        )


def compare_sides(sides: Mapping[str, int], trained_side: int) -> str:
    """Return a message about images whose longer sides differ much from that of the training
    images, or ''.
    """
    others = [
        name
        for name, side in sides.items()
        if not 1 / MAX_RATIO <= side / trained_side <= MAX_RATIO
    ]
    text = f'{len(others)} of {format_count(len(sides), "image")} ({shorten(others)}) are over {MAX_RATIO} times '
    text += f'larger or smaller than in training ({trained_side} px). If objects in larger ones are lost, add --tiles '
    return f'{text}{trained_side}\n' if others else ''


def split_checkpoint_and_inputs(args: argparse.Namespace) -> tuple[str | None, list[str]]:
    """Return the checkpoint (or None) and the inputs.

    Without a checkpoint, argparse stores the first input as one.
    """
    rest = [args.checkpoint, *args.inputs] if args.checkpoint else []
    name = rest[0].lower() if rest else ''
    suffix = Path(name.partition('?')[0] if is_url(name) else name).suffix
    # A URL with another suffix, or none, is a checkpoint if inputs follow, and otherwise an image.
    is_other = is_url(name) and len(rest) > 1 and suffix not in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)
    is_checkpoint = suffix in CHECKPOINT_SUFFIXES or is_other
    # If CONFIG has no default checkpoint, the first of several arguments is the checkpoint,
    # whatever its suffix.
    if is_checkpoint or (len(rest) > 1 and not find_default_checkpoint(args.config)):
        return rest[0], rest[1:]
    return None, rest
