"""Use a trained model on your own pictures: mmgcvit predict CONFIG [CHECKPOINT] INPUT ... [options].

Draws what it finds into copies of images and videos, and writes it as JSON.
"""

import argparse
import os
import sys

from ..errors import UserError, check_installed, counted
from ..files import ADDRESSES
from ..inference.inputs import FRAMES_OF_A_CAMERA, find_inputs
from ..inference.sources import check_named, has_checkpoint
from .options import LEFT_OUT, Parser, add_model_options, add_out_dir, check_at_least, load_model, settle_out_dir
from .screen import INTERRUPTED

FULL_DISK = '; {out_dir} has what was done until then'
CHECKPOINTS = ('.pth', '.pt', '.tar', '.ckpt', '.safetensors')


def add_options(parser: Parser) -> None:
    parser.usage = '%(prog)s CONFIG [CHECKPOINT] INPUT [INPUT ...] [options]'
    add_model_options(parser, checkpoint=None)
    parser.add_argument(
        'rest',
        nargs='*',
        metavar='[CHECKPOINT] INPUT',
        help=f"{LEFT_OUT}; then images, videos, folders of them, patterns ('photos/**/*.jpg'), camera:0",
    )
    add_out_dir(
        parser,
        'predictions',
        "write beside an earlier call's files, over those of the same names; says how many others stay",
    )
    parser.add_argument(
        '--batch-size', type=int, default=1, metavar='N', help='so many images, or tiles, at a time (default: 1)'
    )
    parser.add_argument(
        '--tiles',
        type=int,
        metavar='SIDE',
        help='predict larger images in overlapping squares of so many pixels a side (detection and segmentation)',
    )
    parser.add_argument(
        '--score-thr',
        '--pred-score-thr',
        type=float,
        metavar='SCORE',
        help='leave out objects of lower scores, from pictures and JSON (default: 0.3, --track: 0.1; detection only)',
    )
    parser.add_argument(
        '--track',
        action='store_true',
        help='number the objects of videos and cameras, each the same in all frames (detection only; needs lap)',
    )
    parser.add_argument('--no-save-vis', action='store_true', help='draw no pictures')
    parser.add_argument('--no-save-pred', action='store_true', help='write no JSON and no label maps')
    parser.add_argument('--camera', type=int, metavar='N', help='look at what camera N sees, as INPUT camera:N does')
    parser.add_argument(
        '--frames',
        type=int,
        metavar='N',
        help=f'take N frames of each video and camera (default: all; {FRAMES_OF_A_CAMERA} of a camera)',
    )


def main(args: argparse.Namespace) -> int:
    # FFmpeg says in its own words what is wrong with videos, before we do; read when the first one is opened.
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
    args.checkpoint, named = split(args)
    check_at_least(args, batch_size=1, frames=1, tiles=32)
    settle_out_dir(args)
    if args.camera is not None and args.camera < 0:
        raise UserError(f'--camera {args.camera}: cameras are numbered from 0')
    if args.no_save_vis and args.no_save_pred:
        raise UserError('--no-save-vis --no-save-pred: nothing would be written; leave one of them out')
    check_named(args.config, args.checkpoint)
    if not named:
        raise UserError(
            'name what to look at behind CONFIG and CHECKPOINT: images, videos, folders, patterns, or camera:0'
        )
    inputs = find_inputs(named)
    if args.track:
        if inputs.images:
            raise UserError(f'--track: {inputs.images[0]} is an image; name videos and cameras alone')
        check_installed('--track', 'lap')
        from ..inference.tracking import SCORES

    from ..inference.outputs import Outputs

    outputs = Outputs(args.out_dir, inputs.files, args.overwrite)
    from ..engine.progress import Display
    from ..inference.loading import in_words
    from ..inference.running import Task

    source, model = load_model(args)
    display = Display(sys.stdout)
    display.line(f'{model.task}, {len(model.classes)} classes, on {in_words(model.device)}: {source.checkpoint}')
    if args.track:
        if model.task != 'detection':
            raise UserError(f'--track: objects are what detectors find; this is {model.task}')
        model.score_thr = SCORES['low'] if args.score_thr is None else args.score_thr
    drawn, written = not args.no_save_vis, not args.no_save_pred
    task = Task(model, outputs, display, args.batch_size, drawn, written, args.tiles, args.track)
    try:
        task.predict(inputs, args.frames)
    except KeyboardInterrupt:
        display.line('interrupted')
        return INTERRUPTED
    finally:
        display.close()
        if left_over := outputs.left_over():
            number = counted(len(left_over), 'file')
            display.line(f'not replaced: {number} of an earlier call, {left_over[0]} the first')
        done = [counted(task.images, 'image')] if inputs.images else []
        done += [counted(task.frames, 'frame')] if inputs.videos or inputs.cameras else []
        failed = f', {len(task.failed)} skipped' if task.failed else ''
        display.line(f'{" and ".join(done)} predicted{failed}: {args.out_dir}')
    if task.failed:
        raise UserError(f'{len(task.failed)} of the inputs could not be used, named above')
    return 0


def split(args: argparse.Namespace) -> tuple[str | None, list[str]]:
    """The checkpoint, None where it is left out, and the inputs."""
    rest = list(args.rest)
    if args.camera is not None:
        rest.append(f'camera:{args.camera}')
    # What stands alone and is no checkpoint by its name is to be looked at.
    is_checkpoint = rest and (rest[0].startswith(ADDRESSES) or rest[0].lower().endswith(CHECKPOINTS))
    if is_checkpoint or (len(rest) > 1 and not has_checkpoint(args.config)):
        return rest[0], rest[1:]
    return None, rest
