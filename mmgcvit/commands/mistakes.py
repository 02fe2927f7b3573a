"""Confusion matrix and worst images of a trained model: mmgcvit mistakes CONFIG [CHECKPOINT] [options].

Goes once through the validation data. Writes the confusion matrix, and the images that the model does worst on, each
with the truth beside the prediction.
"""

import argparse
import sys

from ..errors import UserError
from ..hosts.configs import read_config
from ..inference.sources import check_source, find_source
from .options import Parser, add_model_options, add_out_dir, check_at_least, settle_out_dir

FULL_DISK = '; {out_dir} has what was done until then'
# So many pairs and images are named on the screen.
NAMED = 5


def add_options(parser: Parser) -> None:
    add_model_options(parser)
    parser.add_argument('--split', choices=['val', 'test'], default='val', help='whose data (default: %(default)s)')
    add_out_dir(parser, 'mistakes', overwrite="replace an earlier call's files")
    parser.add_argument(
        '--worst', type=int, default=20, metavar='N', help='draw the N worst images (default: %(default)s)'
    )
    parser.add_argument('--batch-size', type=int, default=1, metavar='N', help='so many images at a time (default: 1)')
    parser.add_argument(
        '--score-thr', type=float, metavar='SCORE', help='objects of lower scores are not found (default: 0.3)'
    )


def main(args: argparse.Namespace) -> int:
    check_at_least(args, batch_size=1, worst=0)
    settle_out_dir(args)
    check_source(args.config, args.checkpoint)
    from ..datasets.checks.presence import check_presence
    from ..engine.progress import Display
    from ..inference.loading import format_device, load_for_command
    from ..visualization.judging import SCORES, truths_of
    from ..visualization.mistakes import check_folder, find_mistakes, write_confusion, write_worst

    folder, earlier = args.out_dir, check_folder(args.out_dir, args.overwrite)
    source = find_source(args.config, args.checkpoint)
    cfg, loader = read_config(source.config), f'{args.split}_dataloader'
    check_presence(cfg, [loader])
    model = load_for_command(source, args.device, args.score_thr, args.trust_checkpoint)
    truths = truths_of(cfg, loader, model)
    folder.mkdir(parents=True, exist_ok=True)
    display = Display(sys.stdout)
    display.line(f'{model.task}, {len(truths)} images, on {format_device(model.device)}: {source.checkpoint}')
    try:
        found = find_mistakes(model, truths, args.worst, args.batch_size, display)
    finally:
        display.close()
    if not found.images:
        raise UserError(f'none of the {len(truths)} images of {loader} could be used')
    write_confusion(found.confusion, folder)
    for path in earlier:
        path.unlink(missing_ok=True)
    write_worst(found, truths, folder)
    confusion = found.confusion
    display.line(
        f'{found.images} images, {confusion.right:.1%} of {confusion.counts.sum():,} {confusion.counted} right'
    )
    for pair in confusion.most_confused(NAMED):
        confused = f'{pair.truth} → {pair.predicted}'
        display.line(f'    {confused}: {pair.count:,}, {pair.share:.1%} of its {confusion.counted}')
    display.line(f'worst by {SCORES[truths.model.task]}')
    for judged in found.worst[:NAMED]:
        display.line(f'    {judged.verdict.score:.3f} {truths.info(judged.number)["img_path"]}: {judged.verdict.why}')
    display.line(f'{folder}: written')
    if found.failed:
        raise UserError(f'{len(found.failed)} images could not be used, named above')
    return 0
