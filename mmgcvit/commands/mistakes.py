"""Find the mistakes of a trained model: mmgcvit mistakes CONFIG [CHECKPOINT] [options]."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from ..errors import UserError, check_installed, escape_controls
from ..files import MISTAKES
from ..inference.model_files import ModelFiles, find_model_files
from .options import (
    add_data_folder,
    add_integer,
    add_model_options,
    add_out_dir,
    check_at_least,
    check_out_dir,
    create_out_dir,
)

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset

    from ..evaluation.mistakes import Mistakes
    from ..inference.predictor import Predictor


def add_options(parser: ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument(
        '--split',
        choices=['val', 'test'],
        default='val',
        help='dataset split (default: %(default)s)',
    )
    add_data_folder(parser)
    add_out_dir(parser, 'mistakes', 'replace the files of an earlier run')
    add_integer(parser, '--worst', 'draw N worst images (default: 20)', default=20)
    add_integer(parser, '--batch-size', 'images per batch (default: 1)', default=1)
    parser.add_argument(
        '--score-thr', type=float, metavar='SCORE', help='minimum score (default: as of predict)'
    )


def main(args: Namespace) -> None:
    check_at_least(args, batch_size=1, worst=0, score_thr=0)
    files = find_model_files(args.config, args.checkpoint)
    check_installed('mistakes', 'supervision')
    check_out_dir(args, MISTAKES)
    from ..datasets.checks.scores import find_unscored
    from ..evaluation.mistakes import evaluate_images, write_mistakes
    from .loading import load_silently

    model = load_silently(files, args.device, args.score_thr)
    dataset = load_split(files, args.split, args.data)
    check_classes(model, dataset)
    unscored = find_unscored(dataset)
    if unscored:
        print(f'the {args.split} images have {unscored}, so their scores say nothing')
    print(model)
    mistakes = evaluate_images(model, dataset, args.worst, args.batch_size)
    out_dir = create_out_dir(args, 'worst', ['mistakes.json', 'worst/[0-9][0-9][0-9]*_*.jpg'])
    write_mistakes(out_dir, model, dataset, mistakes)
    print_scores(mistakes, model, len(dataset))
    print(f'{len(dataset)} images; written to {out_dir}')


def load_split(files: ModelFiles, split: str, data: Path | None) -> 'BaseDataset':
    """Load the validation or test dataset of a config, which is checked as before a test.

    ``data`` is the folder of a run's data, if the user has named it. Raise a UserError if the
    config has no such dataset, its files are not found, or a rule is broken that stops a test.
    """
    from ..datasets.checks.sources import check_presence
    from ..engine.setup import check_data
    from ..evaluation.samples import build_dataset
    from ..inference.loading import silence_output
    from ..run_data import locate_data

    cfg = locate_data(files.cfg, files.config, data)
    loader_key = f'{split}_dataloader'
    check_presence(cfg, [loader_key])
    if not cfg.get(loader_key):
        raise UserError(f'{files.config} has no {loader_key}. Choose the other --split')
    check_data(cfg, [loader_key])
    with silence_output():
        return build_dataset(cfg[loader_key].dataset, cfg.default_scope)


def check_classes(model: 'Predictor', dataset: 'BaseDataset') -> None:
    """Raise a UserError if the model has other classes than the dataset."""
    from ..inference.loading import check_class_names

    classes = [escape_controls(name) for name in dataset.metainfo.get('classes') or ()]
    # Without names in the checkpoint and in the config, the model's names are numbers.
    if model.classes != [f'class {label}' for label in range(len(classes))]:
        check_class_names(model.checkpoint, model.classes, classes)


def print_scores(mistakes: 'Mistakes', model: 'Predictor', num_images: int) -> None:
    """Print the scores of each class, the most frequent confusions, and the AP of a detector."""
    from ..evaluation.mistakes import score_classes
    from ..evaluation.scoring import summarise_confusion_matrix
    from ..inference.outputs import format_limit

    print_table(score_classes(mistakes, model))
    print(summarise_confusion_matrix(mistakes.confusion_matrix, model.classes))
    curves = mistakes.curves
    if not curves or not curves.overall.num_objects:
        return
    print(
        f'{curves.format_ap()}; confidence threshold: {model.score_thr:g} (--score-thr), F1 is '
        f'highest at {curves.overall.best_threshold:.2f}'
    )
    limited = mistakes.list_limited(model.score_thr)
    if limited:
        print(format_limit(limited, num_images, model))


def print_table(scores: Mapping[str, Mapping[str, float | None]]) -> None:
    """Print the scores of each class."""
    table = Table(box=None)
    table.add_column('class', overflow='fold')
    for column in next(iter(scores.values())):
        # In two lines, so that nine columns fit into 80 characters.
        table.add_column(column.replace('_', '\n'), justify='right', no_wrap=True)
    for name, row in scores.items():
        cells = ['–' if value is None else f'{value:.4g}' for value in row.values()]
        table.add_row(name, *cells)
    Console(markup=False, emoji=False, highlight=False).print(table)
