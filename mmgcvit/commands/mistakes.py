"""Find the mistakes of a trained model: mmgcvit mistakes CONFIG [CHECKPOINT] [options]."""

from argparse import ArgumentParser, Namespace

from rich.console import Console
from rich.table import Table

from ..config import read_config
from ..errors import UserError, check_installed, escape_controls
from ..files import MISTAKES
from ..inference.model_files import find_model_files
from .options import (
    add_integer,
    add_model_options,
    add_out_dir,
    check_at_least,
    check_out_dir,
    create_out_dir,
)


def add_options(parser: ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument(
        '--split',
        choices=['val', 'test'],
        default='val',
        help='dataset split (default: %(default)s)',
    )
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
    from ..datasets.checks.sources import check_presence
    from ..evaluation.mistakes import evaluate_images, score_classes, write_mistakes
    from ..evaluation.samples import build_dataset
    from ..evaluation.scoring import summarise_confusion_matrix
    from ..inference.loading import check_class_names, check_started_here, silence_output
    from ..inference.outputs import format_limit
    from .loading import load_silently

    model = load_silently(files, args.device, args.score_thr)
    cfg = read_config(files.config)
    loader_key = f'{args.split}_dataloader'
    check_started_here(cfg, files.config)
    check_presence(cfg, [loader_key])
    if not cfg.get(loader_key):
        raise UserError(f'{files.config} has no {loader_key}. Choose the other --split')
    with silence_output():
        dataset = build_dataset(cfg[loader_key].dataset, cfg.default_scope)
    classes = [escape_controls(name) for name in dataset.metainfo.get('classes') or ()]
    # Without names in the checkpoint and in the config, the model's names are numbers.
    if model.classes != [f'class {label}' for label in range(len(classes))]:
        check_class_names(model.checkpoint, model.classes, classes)
    print(model)
    mistakes = evaluate_images(model, dataset, args.worst, args.batch_size)
    create_out_dir(args, 'worst', ['mistakes.json', 'worst/[0-9][0-9][0-9]*_*.jpg'])
    write_mistakes(args.out_dir, model, dataset, mistakes)
    print_table(score_classes(mistakes, model))
    print(summarise_confusion_matrix(mistakes.confusion_matrix, model.classes))
    curves = mistakes.curves
    if curves and curves.overall.num_objects:
        print(
            f'{curves.format_ap()}; confidence threshold: {model.score_thr:g} (--score-thr), F1 is '
            f'highest at {curves.overall.best_threshold:.2f}'
        )
        limited = mistakes.list_limited(model.score_thr)
        if limited:
            print(format_limit(limited, len(dataset), model))
    print(f'{len(dataset)} images; written to {args.out_dir}')


def print_table(scores: dict[str, dict]) -> None:
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
