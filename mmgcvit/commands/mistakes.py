"""Find the mistakes of a trained model: mmgcvit mistakes CONFIG [CHECKPOINT] [options]."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    add_score_thr,
    check_at_least,
    check_out_dir,
    collect_score_thr,
    create_out_dir,
)

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset

    from ..evaluation.mistakes import Mistakes
    from ..evaluation.task_evaluation import ClassReport
    from ..inference.predictor import Predictor

EXAMPLE = 'mmgcvit mistakes work_dirs/photos --worst 40'
PAGE = 'docs/look_at_a_run.md'  # explains the command


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
    add_score_thr(
        parser, 'minimum score, of one class with CLASS=; can be repeated (default: as of predict)'
    )


def main(args: Namespace) -> None:
    check_at_least(args, batch_size=1, worst=0)
    score_thr = collect_score_thr(args.score_thr)
    files = find_model_files(args.config, args.checkpoint)
    check_installed('mistakes', 'supervision')
    check_out_dir(args, MISTAKES)
    from ..datasets.checks.scores import find_unscored
    from ..evaluation.mistakes import evaluate_images, write_mistakes
    from .loading import load_silently

    model = load_silently(files, args.device, score_thr)
    dataset = load_split(files, args.split, args.data)
    check_classes(model, dataset)
    unscored = find_unscored(dataset)
    if unscored:
        print(f'the {args.split} images have {unscored}, so their scores say nothing')
    print(model)
    mistakes = evaluate_images(model, dataset, args.worst, args.batch_size)
    out_dir = create_out_dir(args, 'worst', ['mistakes.json', 'worst/[0-9][0-9][0-9]*_*.jpg'])
    write_mistakes(out_dir, model, dataset, mistakes)
    print_scores(mistakes, model)
    print(f'{len(dataset)} images; written to {out_dir}')


def load_split(files: ModelFiles, split: str, data: Sequence[Path]) -> 'BaseDataset':
    """Load the validation or test dataset of a config, which is checked as before a test.

    ``data`` are the folders of a run's data, if the user has named them. Raise a UserError if the
    config has no such dataset, its files are not found, or a rule is broken that stops a test.
    """
    from ..datasets.checks.sources import check_presence
    from ..engine.data import check_data
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


def check_classes(model: 'Predictor[Any]', dataset: 'BaseDataset') -> None:
    """Raise a UserError if the model has other classes than the dataset."""
    from ..inference.loading import check_class_names

    classes = [escape_controls(name) for name in dataset.metainfo.get('classes') or ()]
    # Without names in the checkpoint and in the config, the model's names are numbers.
    if model.classes != [f'class {label}' for label in range(len(classes))]:
        check_class_names(model.checkpoint, model.classes, classes)


def print_scores(mistakes: 'Mistakes', model: 'Predictor[Any]') -> None:
    """Print the scores of each class, and those of all classes together."""
    from ..evaluation.evaluations import EVALUATION_BY_TASK

    evaluation = EVALUATION_BY_TASK[model.task]
    print_table(evaluation.report_classes(mistakes.scores, model.classes))
    print('\n'.join(evaluation.summarise(mistakes.scores, model)))


def print_table(reports: Sequence['ClassReport']) -> None:
    """Print the scores of each class."""
    table = Table(box=None)
    table.add_column('class', overflow='fold')
    for column in reports[0].list_scores():
        # In two lines, so that nine columns fit into 80 characters.
        table.add_column(column.replace('_', '\n'), justify='right', no_wrap=True)
    for report in reports:
        values = report.list_scores().values()
        cells = ['–' if value is None else f'{value:.4g}' for value in values]
        table.add_row(report.name, *cells)
    Console(markup=False, emoji=False, highlight=False).print(table)
