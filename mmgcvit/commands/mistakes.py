"""Write a report on the mistakes of a trained model: mmgcvit mistakes CONFIG [CHECKPOINT] [options].

Predicts on all validation images. ``report.html`` has the scores of each class, the confusion matrix, the
precision, recall and F1 curves of a detector, and the worst images, with the ground truth beside the prediction.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import Progress

from ..config import read_config
from ..errors import UserError, escape_controls
from ..inference.model_files import check_model_files
from .options import add_model_options, add_out_dir, check_at_least, load_model, resolve_out_dir

if TYPE_CHECKING:
    from ..evaluation.mistakes import Mistakes
    from ..inference.predictor import Predictor

# Advice that commands/main.py adds to the error if the disk is full.
FULL_DISK = '. Free some disk space. The results so far are in {out_dir}'
# Maximum number of lines in each printed list: confusions, classes, images.
NUM_PRINTED = 5
WRITTEN = ('report.html', 'confusion.png', 'curves.png', 'mistakes.json', 'worst')


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument('--split', choices=['val', 'test'], default='val', help='dataset split (default: %(default)s)')
    add_out_dir(parser, 'mistakes', overwrite_help='replace the files of an earlier run')
    text = 'draw the N worst images (default: %(default)s)'
    parser.add_argument('--worst', type=int, default=20, metavar='N', help=text)
    parser.add_argument('--batch-size', type=int, default=1, metavar='N', help='images per batch (default: 1)')
    parser.add_argument('--score-thr', type=float, metavar='SCORE', help='minimum score of detections (default: 0.3)')


def main(args: argparse.Namespace) -> None:
    check_at_least(args, batch_size=1, worst=0)
    resolve_out_dir(args)
    check_model_files(args.config, args.checkpoint)
    from ..datasets.checks.paths import check_presence
    from ..evaluation.ground_truth import build_dataset
    from ..evaluation.mistakes import evaluate_images, write_mistakes
    from ..inference.class_names import check_class_names
    from ..inference.loading import format_device, silence_output
    from ..inference.outputs import check_out_dir

    check_out_dir(args.out_dir, WRITTEN, args.overwrite)
    model_files, model = load_model(args)
    cfg, loader_key = read_config(model_files.config), f'{args.split}_dataloader'
    check_presence(cfg, [loader_key])
    settings = (cfg.get(loader_key) or {}).get('dataset')
    if not settings:
        raise UserError(
            f'{model_files.config} has no {loader_key} with a dataset. Add a {loader_key}, or use --split '
            f'{"val" if args.split == "test" else "test"}'
        )
    with silence_output():
        dataset = build_dataset(settings, model.scope)
    # Without names in the checkpoint and in the config, the model's names are numbers.
    classes = [escape_controls(name) for name in dataset.metainfo.get('classes') or model.classes]
    is_named = model.classes != [f'class {label}' for label in range(len(classes))]
    check_class_names(model_files.checkpoint, model.classes if is_named else None, classes)
    print(f'{model.task}, {len(dataset)} images, on {format_device(model.device)}: {model_files.checkpoint}')
    with Progress(disable=not sys.stdout.isatty()) as progress:
        mistakes = evaluate_images(model, dataset, args.worst, args.batch_size, progress)
    title = f'{Path(model_files.checkpoint).name} of {model_files.config.name}, {args.split} split'
    write_mistakes(args.out_dir, model, dataset, mistakes, title)
    print_mistakes(mistakes, model, len(dataset))
    print(f'report: {args.out_dir / "report.html"}')


def print_mistakes(mistakes: 'Mistakes', model: 'Predictor', num_images: int) -> None:
    """Print the most frequent confusions, the best threshold of a detector, and the worst classes and images."""
    from ..evaluation.mistakes import COUNTED_UNITS, SCORES, score_classes, summarise_confusion_matrix

    print(f'{num_images} images. Counted {COUNTED_UNITS[model.task]} (ground truth → prediction):')
    for line in summarise_confusion_matrix(mistakes.confusion_matrix, model.classes, NUM_PRINTED):
        print(f'    {line}')
    if mistakes.curves is not None:
        best = mistakes.curves.overall.best_threshold
        print(
            f'F1 of all objects is highest at a confidence threshold of {best:.2f}. This report uses '
            f'{model.score_thr:.2f}. To change the threshold, use --score-thr here and in mmgcvit predict'
        )
    scores = score_classes(mistakes, model)
    print('classes with the lowest F1:')
    for name in sorted(scores, key=lambda name: scores[name]['f1'])[:NUM_PRINTED]:
        row = [f'{key} {value:.4g}' for key, value in scores[name].items() if value is not None]
        print(f'    {name}: {", ".join(row)}')
    print(f'worst images by {SCORES[model.task]}:')
    for image in mistakes.worst[:NUM_PRINTED]:
        print(f'    {image.score:.3f} {image.path}: {image.summary}')
