"""Predict on images and videos: mmgcvit predict CONFIG [CHECKPOINT] INPUT ... [options]."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError, format_count
from ..host.files import make_absolute
from ..ops.requirements import check_installed
from ..own.pictures.finding import find_inputs
from ..own.pictures.output_files import FILES, FOLDERS, PICTURES
from ..own.runs.made import get_started_with
from ..predict.model_files import ModelFiles, find_model_files
from ..predict.thresholds import ScoreThr
from .options import (
    add_integer,
    add_model_options,
    add_out_dir,
    add_score_thr,
    check_at_least,
    check_out_dir,
    collect_score_thr,
    create_out_dir,
    split_checkpoint,
)

if TYPE_CHECKING:
    from ..own.pictures.measurements import PixelSize
    from ..predict.predictor import Predictor

EXAMPLE = 'mmgcvit predict work_dirs/photos new_photos --out-dir found'
PAGE = 'docs/predict.md'  # explains the command
# The keys of ``OBJECT_WRITERS``, whose import takes seconds
LABEL_FORMATS = ('coco', 'yolo', 'voc', 'label-studio', 'labelme')


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
    add_prediction_options(parser)
    add_output_options(parser)
    add_integer(parser, '--frames', 'only the first N frames of each video (default: all)')
    add_label_options(parser)
    add_measure_options(parser)


def add_prediction_options(parser: ArgumentParser) -> None:
    """Add the options that say how images are predicted."""
    add_integer(parser, '--batch-size', 'images or tiles per batch (default: 1)', default=1)
    parser.add_argument('--amp', action='store_true', help='compute in bfloat16')
    add_integer(
        parser, '--tiles', 'predict large images in tiles of SIDE x SIDE pixels', metavar='SIDE'
    )
    add_score_thr(
        parser,
        'minimum score of detections, of one class with CLASS=; can be repeated (default: as train '
        '--data chose, else 0.3)',
        '--pred-score-thr',
    )
    parser.add_argument(
        '--classes', nargs='+', metavar='NAME', help='keep only detections of these classes'
    )


def add_output_options(parser: ArgumentParser) -> None:
    """Add the options that say what is drawn and written."""
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


def add_label_options(parser: ArgumentParser) -> None:
    """Add the options for labels to correct."""
    parser.add_argument(
        '--labels',
        type=Path,
        metavar='FOLDER',
        help='write the pictures with their predictions as labels to correct into a new FOLDER',
    )
    parser.add_argument(
        '--labels-format',
        choices=LABEL_FORMATS,
        help="format of a detector's --labels (default: coco; segmentors write maps, and "
        'classifiers class folders)',
    )


def add_measure_options(parser: ArgumentParser) -> None:
    """Add the options for measurements."""
    parser.add_argument(
        '--measure',
        action='store_true',
        help='write objects.csv: size, shape and intensity of each detected object',
    )
    parser.add_argument(
        '--pixel-size',
        metavar='LENGTH',
        help="with --measure: a pixel's side, such as 0.65um, for columns in this unit",
    )


def main(args: Namespace) -> None:
    # Silence FFmpeg's messages about broken videos.
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
    checkpoint, patterns = split_checkpoint(args.checkpoint, args.inputs)
    check_at_least(args, batch_size=1, frames=1)
    score_thr = collect_score_thr(args.score_thr)
    files = find_model_files(args.config, checkpoint)
    if not patterns:
        raise UserError(
            f'no INPUT given. After {checkpoint or args.config}, and before --classes, pass '
            'images, videos, folders or patterns such as "photos/*.jpg"'
        )
    check_installed('predict', 'supervision')
    images, videos = find_inputs(patterns)
    check_out_dir(args, (*FILES, *FOLDERS))
    check_label_options(args, images, videos)
    pixel_size = read_pixel_size(args)
    model = load_for_predict(args, files, score_thr)
    image_side = get_started_with(files.cfg).get('image_side')
    predict_inputs(args, model, images, videos, pixel_size, image_side)


def load_for_predict(
    args: Namespace, files: ModelFiles, score_thr: Sequence[ScoreThr]
) -> 'Predictor[Any]':
    """Load the model with the options of the command, and print both.

    Raise a UserError for options that its task does not have.
    """
    from ..own.training.object_sizes import explain_small_tiles
    from ..predict.results import find_labels
    from .loading import load_silently

    model = load_silently(files, args.device, score_thr)
    print(model)
    if args.tiles is not None:
        model = model.with_tiles(args.tiles, args.batch_size)
    for line in model.describe_settings():
        print(line)
    object_side = get_started_with(files.cfg).get('object_side')
    small_tiles = explain_small_tiles(model.tiles, object_side)
    if small_tiles:
        print(f'in training, {small_tiles}')
    for option, value in (('--classes', args.classes), ('--measure', args.measure)):
        if value and not model.finds_objects:
            raise UserError(
                f'{option} is only for detectors, and this is a {model.task} model. Remove {option}'
            )
    find_labels(args.classes or (), model.classes)
    return model


def predict_inputs(
    args: Namespace,
    model: 'Predictor[Any]',
    images: Sequence[str],
    videos: Sequence[str],
    pixel_size: 'PixelSize | None',
    image_side: int | None,
) -> None:
    """Predict all inputs. Raise a UserError at the end if some could not be predicted."""
    import torch

    from .prediction_run import PredictionRun, PredictOptions

    labels = None
    if args.labels:
        from ..own.labels.folder import LabelFolder

        labels = LabelFolder(model, args.labels, args.labels_format, args.classes)
    out_dir = create_out_dir(args, PICTURES, FILES if args.write else ())
    options = PredictOptions(
        batch_size=1 if args.tiles else args.batch_size,
        classes=args.classes or (),
        frames=args.frames,
        draw=args.draw,
        with_labels=args.with_labels,
        write=args.write,
        measure=args.measure,
        pixel_size=pixel_size,
        image_side=image_side,
    )
    run = PredictionRun(model, images, videos, options=options, out_dir=out_dir, labels=labels)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=args.amp):
        run.predict()
    if run.num_failed:
        raise UserError(
            f'{format_count(run.num_failed, "input")} could not be predicted. See the messages '
            'above'
        )


def check_label_options(args: Namespace, images: Sequence[str], videos: Sequence[str]) -> None:
    """Raise a UserError if labels of these inputs cannot be written into the folder ``--labels``."""
    if not args.labels:
        if args.labels_format:
            raise UserError('--labels-format needs --labels FOLDER. Add it')
        return
    from ..own.labels.folder import check_new_folder, check_pictures

    if args.out_dir and make_absolute(args.labels).is_relative_to(make_absolute(args.out_dir)):
        raise UserError(
            f'--labels {args.labels}: expected a folder that is not in the one of --out-dir, whose '
            'files are not read as data'
        )
    check_new_folder(args.labels)
    check_pictures(images, videos)


def read_pixel_size(args: Namespace) -> 'PixelSize | None':
    """Return the value of ``--pixel-size``, if it is given.

    Raise a UserError if it is wrong, or without ``--measure``; or if a package for measuring is
    missing.
    """
    from ..own.pictures.measurements import parse_pixel_size

    if args.measure:
        check_installed('--measure', 'skimage')
    if args.pixel_size is None:
        return None
    if not args.measure:
        raise UserError('--pixel-size needs --measure. Add it')
    return parse_pixel_size(args.pixel_size)
