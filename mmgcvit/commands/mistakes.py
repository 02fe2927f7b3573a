"""Write the confusion matrix and the worst images of a trained model: mmgcvit mistakes CONFIG [CHECKPOINT] [options].

Predicts on all validation images. The worst images are drawn with the ground truth beside the prediction.
"""

import argparse
import sys

from rich.progress import Progress

from ..config import read_config
from ..errors import UserError
from ..inference.sources import check_source, find_source
from .options import Parser, add_model_options, add_out_dir, check_at_least, resolve_out_dir

FULL_DISK = '; {out_dir} has the results up to here'
# Maximum number of confusions and of images to print.
NUM_PRINTED = 5


def add_options(parser: Parser) -> None:
    add_model_options(parser)
    parser.add_argument('--split', choices=['val', 'test'], default='val', help='split (default: %(default)s)')
    add_out_dir(parser, 'mistakes', overwrite='replace files of an earlier call')
    parser.add_argument(
        '--worst', type=int, default=20, metavar='N', help='draw the N worst images (default: %(default)s)'
    )
    parser.add_argument('--batch-size', type=int, default=1, metavar='N', help='images per batch (default: 1)')
    parser.add_argument('--score-thr', type=float, metavar='SCORE', help='minimum score of detections (default: 0.3)')


def main(args: argparse.Namespace) -> None:
    check_at_least(args, batch_size=1, worst=0)
    resolve_out_dir(args)
    check_source(args.config, args.checkpoint)
    from ..datasets.checks.sources import check_presence
    from ..inference.loading import format_device, load_for_command, silence_output
    from ..inference.outputs import check_out_dir
    from ..visualization.ground_truth import build_dataset
    from ..visualization.mistakes import (
        COUNTED,
        SCORES,
        find_mistakes,
        score_classes,
        summarise_confusion_matrix,
        write_mistakes,
    )

    check_out_dir(args.out_dir, ('confusion.png', 'mistakes.json', 'worst'), args.overwrite)
    source = find_source(args.config, args.checkpoint)
    cfg, loader = read_config(source.config), f'{args.split}_dataloader'
    check_presence(cfg, [loader])
    model = load_for_command(source, args.device, args.score_thr, args.trust_checkpoint)
    settings = (cfg.get(loader) or {}).get('dataset')
    if not settings:
        raise UserError(f'the config has no {loader} with a dataset')
    with silence_output():
        dataset = build_dataset(settings, model.scope)
    classes = dataset.metainfo.get('classes') or ()
    if classes and len(classes) != len(model.classes):
        raise UserError(
            f'the data set has {len(classes)} classes, the model {len(model.classes)}; use the config that '
            'this checkpoint was trained with'
        )
    print(f'{model.task}, {len(dataset)} images, on {format_device(model.device)}: {source.checkpoint}')
    with Progress(disable=not sys.stdout.isatty()) as progress:
        counts, worst = find_mistakes(model, dataset, args.worst, args.batch_size, progress)
    write_mistakes(args.out_dir, model, dataset, counts, worst)
    print(f'{len(dataset)} images, {COUNTED[model.task]}:')
    for line in summarise_confusion_matrix(counts, model.classes, NUM_PRINTED):
        print(f'    {line}')
    scores = score_classes(counts, model.classes)
    weakest = sorted(scores, key=lambda name: scores[name]['f1'])[:NUM_PRINTED]
    print('classes with the lowest F1')
    for name in weakest:
        print(f'    {name}: ' + ', '.join(f'{key} {value:.4g}' for key, value in scores[name].items()))
    print(f'worst by {SCORES[model.task]}')
    for mistake in worst[:NUM_PRINTED]:
        print(f'    {mistake.score:.3f} {mistake.path}: {mistake.text}')
    print(f'{args.out_dir}: written')
