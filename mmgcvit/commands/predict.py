"""Predict on images and videos: mmgcvit predict CONFIG [CHECKPOINT] INPUT ... [options]."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from ..errors import UserError, check_installed, format_count, shorten
from ..files import FILES, FOLDERS, PICTURES, is_url
from ..inference.inputs import find_inputs
from ..inference.model_files import find_model_files
from .options import (
    add_integer,
    add_model_options,
    add_out_dir,
    check_at_least,
    check_out_dir,
    create_out_dir,
)

if TYPE_CHECKING:
    from ..inference.predictor import Predictor
    from ..inference.running import PredictionRun

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
    add_integer(parser, '--batch-size', 'images or tiles per batch (default: 1)', default=1)
    parser.add_argument('--amp', action='store_true', help='compute in bfloat16')
    add_integer(
        parser, '--tiles', 'predict large images in tiles of SIDE x SIDE pixels', metavar='SIDE'
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


def main(args: argparse.Namespace) -> None:
    # Silence FFmpeg's messages about broken videos.
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
    checkpoint, patterns = split_checkpoint_and_inputs(args)
    check_at_least(args, batch_size=1, tiles=32, score_thr=0)
    if args.no_save_vis and args.no_save_pred:
        raise UserError(
            '--no-save-vis and --no-save-pred together write nothing. Remove one of them'
        )
    files = find_model_files(args.config, checkpoint)
    if not patterns:
        hint = '. Everything after --classes is read as a class. Put INPUT before --classes'
        raise UserError(
            f'no INPUT given. After {checkpoint or args.config}, pass images, videos, folders or '
            f'patterns such as "photos/*.jpg"{hint if args.classes else ""}'
        )
    check_installed('predict', 'supervision')
    images, videos = find_inputs(patterns)
    check_out_dir(args, (*FILES, *FOLDERS))
    import torch

    from ..inference.loading import format_device
    from ..inference.outputs import Outputs
    from ..inference.running import PredictionRun
    from .loading import load_silently

    model = load_silently(files, args.device, args.score_thr)
    classes = '1 class' if len(model.classes) == 1 else f'{len(model.classes)} classes'
    print(f'{model.task}, {classes}, on {format_device(model.device)}: {model.checkpoint}')
    if model.task == 'detection':
        print(f'confidence threshold: {model.score_thr:g}')
        if args.tiles is None and model.tiles:
            print(f'tiles of {model.tiles} px, as in the training')
    elif args.classes is not None:
        raise UserError(
            f'--classes is only for detectors, and this is a {model.task} model. Remove --classes'
        )
    batch_size = args.batch_size
    if args.tiles is not None:
        # Read one image at a time. Its tiles are predicted in batches.
        model, batch_size = model.with_tiles(args.tiles, batch_size), 1
    classes = args.classes and [model.classes[model.find_label(name)] for name in args.classes]
    create_out_dir(args, PICTURES, () if args.no_save_pred else FILES)
    run = PredictionRun(
        model,
        Outputs(args.out_dir, images + videos),
        batch_size,
        draw=not args.no_save_vis,
        write=not args.no_save_pred,
        classes=classes,
        draw_labels=not args.hide_labels,
    )
    try:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=args.amp):
            run.predict(images, videos)
    finally:
        print_summary(run, bool(images), bool(videos))
    if run.num_failed:
        raise UserError(
            f'{format_count(run.num_failed, "input")} could not be predicted. See the messages '
            'above'
        )


def print_summary(run: PredictionRun, with_images: bool, with_videos: bool) -> None:
    """Print what has been predicted and written, also after an error."""
    from ..inference.outputs import format_limit, make_table

    if run.counts:
        table = make_table(run.counts, run.model.classes, run.model.task)
        Console(markup=False, emoji=False, highlight=False).print(table)
    if run.limited:
        print(format_limit(run.limited, len(run.counts), run.model.limit))
    if run.model.task != 'classification' and not run.model.tiles:
        print(compare_sizes(run.sizes, run.model), end='')
    counts = []
    if with_images:
        counts.append(format_count(len(run.sizes), 'image'))
    if with_videos:
        counts.append(format_count(len(run.counts) - len(run.sizes), 'frame'))
    folder = run.outputs.folder
    skipped = f', {run.num_failed} skipped' if run.num_failed else ''
    pictures = f', pictures in {folder / PICTURES}' if run.draw else ''
    print(f'{" and ".join(counts)} predicted{skipped}: {folder}{pictures}')


def compare_sizes(sizes: Mapping[str, tuple[int, int]], model: Predictor) -> str:
    """Return a message about images in which objects cannot be as large as in training, or ''.

    A run of ``train --data`` knows the longer side of its training images. Of other models, the
    size is known to which they resize images.
    """
    trained_side = model.started_with.get('image_side')
    scale = model.scale
    if trained_side:
        ratios = {name: max(size) / trained_side for name, size in sizes.items()}
        lowest, words = 1 / MAX_RATIO, f'or smaller than in training ({trained_side} px)'
        side = trained_side
    elif scale:
        longer, shorter = scale
        ratios = {
            name: max(max(size) / longer, min(size) / shorter) for name, size in sizes.items()
        }
        lowest, words = 0, f'than what the network gets ({longer} x {shorter} px)'
        side = MAX_RATIO * shorter
    else:
        return ''
    others = [name for name, ratio in ratios.items() if not lowest <= ratio <= MAX_RATIO]
    if not others:
        return ''
    return (
        f'{len(others)} of {format_count(len(sizes), "image")} ({shorten(others)}): over '
        f'{MAX_RATIO} times larger {words}. If objects in larger ones are lost, add --tiles '
        f'{side}\n'
    )


def split_checkpoint_and_inputs(args: argparse.Namespace) -> tuple[str | None, list[str]]:
    """Return the checkpoint (or None) and the inputs.

    Without a checkpoint, argparse stores the first input as one. The suffix tells them apart.
    """
    if args.checkpoint is None:
        return None, []
    first = args.checkpoint
    path = first.partition('?')[0] if is_url(first) else first
    if Path(path).suffix.lower() in CHECKPOINT_SUFFIXES:
        return first, args.inputs
    return None, [first, *args.inputs]
