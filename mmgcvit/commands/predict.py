"""Predict on images and videos: mmgcvit predict CONFIG [CHECKPOINT] INPUT ... [options]."""

import os
from argparse import ArgumentParser, Namespace

from ..errors import UserError, check_installed, format_count
from ..files import FILES, FOLDERS, PICTURES
from ..inference.inputs import find_inputs
from ..inference.model_files import find_model_files
from ..tile_sizes import explain_small_tiles
from .options import (
    add_integer,
    add_model_options,
    add_out_dir,
    check_at_least,
    check_out_dir,
    create_out_dir,
)

CHECKPOINT_SUFFIXES = ('.pth', '.pt', '.tar', '.ckpt', '.safetensors')


def add_options(parser: ArgumentParser) -> None:
    parser.usage = '%(prog)s CONFIG [CHECKPOINT] INPUT [INPUT ...] [options]'
    add_model_options(parser)
    parser.add_argument(
        'inputs',
        nargs='*',
        metavar='INPUT',
        help="images, videos, folders, URLs of images, or glob patterns ('photos/**/*.jpg')",
    )
    add_out_dir(
        parser, 'predictions', 'write into an existing folder and replace files of the same names'
    )
    add_integer(parser, '--batch-size', 'images or tiles per batch (default: 1)', default=1)
    parser.add_argument('--amp', action='store_true', help='compute in bfloat16')
    add_integer(
        parser, '--tiles', 'predict large images in tiles of SIDE x SIDE pixels', metavar='SIDE'
    )
    parser.add_argument(
        '--score-thr',
        '--pred-score-thr',
        type=float,
        metavar='SCORE',
        help='minimum score of detections (default: the one that train --data chose, else 0.3)',
    )
    parser.add_argument(
        '--classes', nargs='+', metavar='NAME', help='keep only detections of these classes'
    )
    parser.add_argument(
        '--hide-labels',
        action='store_false',
        dest='with_labels',
        help='draw no class names and scores',
    )
    parser.add_argument(
        '--no-save-vis', action='store_false', dest='draw', help='write no pictures'
    )
    parser.add_argument(
        '--no-save-pred',
        action='store_false',
        dest='write',
        help='write no JSON, CSV and segmentation maps',
    )
    add_integer(parser, '--frames', 'only the first N frames of each video (default: all)')


def main(args: Namespace) -> None:
    # Silence FFmpeg's messages about broken videos.
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
    checkpoint = args.checkpoint
    patterns = args.inputs
    # Without a checkpoint, argparse stores the first input as one. The suffix, before a URL's
    # query, tells them apart.
    if checkpoint and not checkpoint.partition('?')[0].lower().endswith(CHECKPOINT_SUFFIXES):
        checkpoint, patterns = None, [checkpoint, *patterns]
    check_at_least(args, batch_size=1, score_thr=0, frames=1)
    files = find_model_files(args.config, checkpoint)
    if not patterns:
        raise UserError(
            f'no INPUT given. After {checkpoint or args.config}, and before --classes, pass images, '
            'videos, folders or patterns such as "photos/*.jpg"'
        )
    check_installed('predict', 'supervision')
    images, videos = find_inputs(patterns)
    check_out_dir(args, (*FILES, *FOLDERS))
    import torch

    from ..inference.results import find_label
    from .loading import load_silently
    from .prediction_run import PredictionRun

    model = load_silently(files, args.device, args.score_thr)
    print(model)
    if args.tiles is not None:
        model = model.with_tiles(args.tiles, args.batch_size)
    if model.task == 'detection':
        print(f'confidence threshold: {model.score_thr:g}, tiles: {model.tiles or "none"}')
        small_tiles = explain_small_tiles(model.tiles, model.object_side)
        if small_tiles:
            print(f'in training, {small_tiles}')
    elif args.classes:
        raise UserError(
            f'--classes is only for detectors, and this is a {model.task} model. Remove --classes'
        )
    for name in args.classes or ():
        find_label(name, model.classes)
    out_dir = create_out_dir(args, PICTURES, FILES if args.write else ())
    run = PredictionRun(model, images, videos, args=args, out_dir=out_dir)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=args.amp):
        run.predict()
    if run.num_failed:
        raise UserError(
            f'{format_count(run.num_failed, "input")} could not be predicted. See the messages '
            'above'
        )
