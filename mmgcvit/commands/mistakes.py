"""Find the mistakes of a trained model: mmgcvit mistakes CONFIG [CHECKPOINT] [options]."""

from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from ..errors import UserError, escape_controls, format_count
from ..ops.requirements import check_installed
from ..own.pictures.output_files import LABEL_ERRORS, MISTAKES
from ..predict.model_files import ModelFiles, find_model_files
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
    print_newer_files,
)

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.dataset import BaseDataset

    from ..own.judging.label_errors import LabelError
    from ..own.judging.mistakes import Mistakes
    from ..own.judging.task_evaluation import ClassReport
    from ..predict.predictor import Predictor
    from ..predict.thresholds import ScoreThr

EXAMPLE = 'mmgcvit mistakes work_dirs/photos --worst 40'
PAGE = 'docs/look_at_a_run.md'  # explains the command


def add_options(parser: ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument(
        '--split',
        choices=['val', 'test', 'train'],
        help='dataset split; train only with --labels (default: val; with --labels val and train)',
    )
    parser.add_argument(
        '--labels',
        action='store_true',
        help='list labels that may be wrong instead: missing, extra, misplaced and swapped ones',
    )
    add_data_folder(parser)
    add_out_dir(parser, 'mistakes', 'replace the files of an earlier run')
    add_integer(
        parser, '--worst', 'draw N worst images, or labels of --labels (default: 20)', default=20
    )
    add_integer(parser, '--batch-size', 'images per batch (default: 1)', default=1)
    add_score_thr(
        parser, 'minimum score, of one class with CLASS=; can be repeated (default: as of predict)'
    )


def main(args: Namespace) -> None:
    check_at_least(args, batch_size=1, worst=0)
    if args.split == 'train' and not args.labels:
        raise UserError(
            '--split train: scores of images that the model was trained on say nothing about '
            'others. Choose val or test, or look for wrong labels with --labels'
        )
    score_thr = collect_score_thr(args.score_thr)
    files = find_model_files(args.config, args.checkpoint)
    check_installed('mistakes', 'supervision')
    from ..own.runs.run_data import locate_data

    print_newer_files(locate_data(files.cfg, files.config, args.data))
    if args.labels:
        list_label_errors(args, files, score_thr)
    else:
        list_mistakes(args, files, score_thr)


def list_mistakes(args: Namespace, files: ModelFiles, score_thr: 'ScoreThr | None') -> None:
    """Write and print the mistakes of a model on a split."""
    check_out_dir(args, MISTAKES)
    from ..datasets.checks.scores import find_unscored
    from ..own.judging.mistakes import evaluate_images, write_mistakes
    from .loading import load_silently

    split = args.split or 'val'
    model = load_silently(files, args.device, score_thr)
    dataset = load_split(files, split, args.data)
    check_classes(model, dataset)
    unscored = find_unscored(dataset)
    if unscored:
        print(f'the {split} images have {unscored}, so their scores say nothing')
    print(model)
    mistakes = evaluate_images(model, dataset, args.worst, args.batch_size)
    out_dir = create_out_dir(args, 'worst', ['mistakes.json', 'worst/[0-9][0-9][0-9]*_*.jpg'])
    write_mistakes(out_dir, model, dataset, mistakes)
    print_scores(mistakes, model)
    print(f'{len(dataset)} images; written to {out_dir}')


def list_label_errors(args: Namespace, files: ModelFiles, score_thr: 'ScoreThr | None') -> None:
    """Write and count the labels that a model contradicts."""
    table, pictures = LABEL_ERRORS
    check_out_dir(args, LABEL_ERRORS)
    from ..own.judging.evaluations import EVALUATION_BY_TASK
    from ..own.judging.label_errors import find_label_errors, write_label_errors
    from .loading import load_silently

    model = load_silently(files, args.device, score_thr)
    names = [args.split] if args.split else ['val', 'train']
    splits = {name: load_unwrapped(files, name, args.data) for name in names}
    for datasets in splits.values():
        for dataset in datasets:
            check_classes(model, dataset)
    print(model)
    limits = EVALUATION_BY_TASK[model.task].describe_kinds(model.classes)
    if limits:
        print(limits)
    errors = find_label_errors(model, splits, args.batch_size)
    outdated = [table, f'{pictures}/[0-9][0-9][0-9]*_*.jpg']
    out_dir = create_out_dir(args, pictures, outdated)
    write_label_errors(out_dir, model, errors, args.worst)
    print_label_counts(errors, splits)
    print(f'the most likely come first in {out_dir / table}')


def print_label_counts(
    errors: Sequence['LabelError'], splits: Mapping[str, Sequence['BaseDataset']]
) -> None:
    """Print how many labels of each split and kind may be wrong."""
    for split, datasets in splits.items():
        counts = Counter(error.suspect.kind.value for error in errors if error.split == split)
        kinds = ', '.join(f'{count} {kind}' for kind, count in counts.most_common())
        num_images = format_count(sum(map(len, datasets)), f'{split} image')
        print(f'{num_images}: {counts.total()} labels may be wrong{kinds and f" ({kinds})"}')
    if 'train' in splits:
        print(
            'train images are less certain: the model was trained on their labels, also the wrong '
            'ones'
        )


def load_split(files: ModelFiles, split: str, data: Sequence[Path]) -> 'BaseDataset':
    """Load the validation or test dataset of a config (see :func:`read_checked_config`)."""
    from ..datasets.loading import build_dataset
    from ..host.runners import silence_output

    cfg = read_checked_config(files, split, data)
    with silence_output():
        return build_dataset(cfg[f'{split}_dataloader'].dataset, cfg.default_scope)


def load_unwrapped(files: ModelFiles, split: str, data: Sequence[Path]) -> list['BaseDataset']:
    """Load the datasets of a split of a config (see :func:`read_checked_config`): each image once, also
    those without labels, though wrappers and filters of a training repeat or leave out some.
    """
    from ..datasets.loading import build_dataset
    from ..host.datasets import iter_unwrapped_datasets
    from ..host.runners import silence_output

    cfg = read_checked_config(files, split, data)
    settings = [*iter_unwrapped_datasets(cfg[f'{split}_dataloader'].dataset)]
    for dataset in settings:
        dataset.pop('filter_cfg', None)
    with silence_output():
        return [build_dataset(dataset, cfg.default_scope) for dataset in settings]


def read_checked_config(files: ModelFiles, split: str, data: Sequence[Path]) -> 'Config':
    """Return a model's config, with paths of data that exist here, whose dataset of a split is
    checked as before a test or a training.

    ``data`` are the folders of a run's data, if the user has named them. Raise a UserError if the
    config has no such dataset, its files are not found, or a rule is broken that stops a test.
    """
    from ..datasets.checks.sources import check_presence
    from ..engine.data import check_data
    from ..own.runs.run_data import locate_data

    cfg = locate_data(files.cfg, files.config, data)
    loader_key = f'{split}_dataloader'
    check_presence(cfg, [loader_key])
    if not cfg.get(loader_key):
        raise UserError(f'{files.config} has no {loader_key}. Choose another --split')
    check_data(cfg, [loader_key])
    return cfg


def check_classes(model: 'Predictor[Any]', dataset: 'BaseDataset') -> None:
    """Raise a UserError if the model has other classes than the dataset."""
    from ..predict.loading import check_class_names

    classes = [escape_controls(name) for name in dataset.metainfo.get('classes') or ()]
    # Without names in the checkpoint and in the config, the model's names are numbers.
    if model.classes != [f'class {label}' for label in range(len(classes))]:
        check_class_names(model.checkpoint, model.classes, classes)


def print_scores(mistakes: 'Mistakes', model: 'Predictor[Any]') -> None:
    """Print the scores of each class, and those of all classes together."""
    from ..own.judging.evaluations import EVALUATION_BY_TASK

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
