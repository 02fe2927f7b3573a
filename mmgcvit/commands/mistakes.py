"""Find the mistakes of a trained model: mmgcvit mistakes CONFIG [CHECKPOINT] [options]."""

import argparse

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..config import read_config
from ..errors import UserError, check_installed, escape_controls
from ..files import MISTAKES
from ..inference.model_files import check_model_files
from .options import (
    add_model_options,
    add_out_dir,
    check_at_least,
    check_out_dir,
    create_out_dir,
    load_model,
)


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument(
        '--split',
        choices=['val', 'test'],
        default='val',
        help='dataset split (default: %(default)s)',
    )
    add_out_dir(parser, 'mistakes', overwrite_help='replace the files of an earlier run')
    parser.add_argument(
        '--worst',
        type=int,
        default=20,
        metavar='N',
        help='draw N worst images (default: %(default)s)',
    )
    parser.add_argument(
        '--batch-size', type=int, default=1, metavar='N', help='images per batch (default: 1)'
    )
    parser.add_argument(
        '--score-thr', type=float, metavar='SCORE', help='minimum score (default: as of predict)'
    )


def main(args: argparse.Namespace) -> None:
    check_at_least(args, batch_size=1, worst=0, score_thr=0)
    check_model_files(args.config, args.checkpoint)
    check_installed('mistakes', 'supervision')
    from ..datasets.checks.sources import check_presence
    from ..evaluation.grids import build_dataset
    from ..evaluation.mistakes import (
        evaluate_images,
        score_classes,
        summarise_confusion_matrix,
        write_mistakes,
    )
    from ..inference.loading import check_class_names, format_device, silence_output

    check_out_dir(args, MISTAKES)
    model = load_model(args)
    cfg, loader_key = read_config(model.config), f'{args.split}_dataloader'
    check_presence(cfg, [loader_key])
    settings = (cfg.get(loader_key) or {}).get('dataset')
    if not settings:
        raise UserError(
            f'{model.config} has no {loader_key} with a dataset. Add it, or choose the other '
            '--split'
        )
    with silence_output():
        dataset = build_dataset(settings, model.scope)
    # Without names in the checkpoint and in the config, the model's names are numbers.
    classes = [escape_controls(name) for name in dataset.metainfo.get('classes') or model.classes]
    is_named = model.classes != [f'class {label}' for label in range(len(classes))]
    check_class_names(model.checkpoint, model.classes if is_named else None, classes)
    print(
        f'{model.task}, {len(dataset)} images, on {format_device(model.device)}: {model.checkpoint}'
    )
    mistakes = evaluate_images(model, dataset, args.worst, args.batch_size)
    create_out_dir(args, 'worst', ['mistakes.json', 'worst/[0-9][0-9][0-9]*_*.jpg'])
    write_mistakes(args.out_dir, model, dataset, mistakes)
    by_class = score_classes(mistakes, model)
    table = Table('class', *(column.replace('_', ' ') for column in next(iter(by_class.values()))))
    for name, row in by_class.items():
        table.add_row(
            escape(name), *('–' if value is None else f'{value:g}' for value in row.values())
        )
    Console().print(table)
    print(summarise_confusion_matrix(mistakes.confusion_matrix, model.classes))
    if (curves := mistakes.curves) is not None and np.isfinite(curves.ap).any():
        scores = [f'boxes: mAP {np.nanmean(curves.ap):.3f}, AP50 {np.nanmean(curves.ap50):.3f}']
        if curves.mask_ap is not None:
            scores.append(
                f'masks: mAP {np.nanmean(curves.mask_ap):.3f}, AP50 '
                f'{np.nanmean(curves.mask_ap50):.3f}'
            )
        scores.append(f'confidence threshold: {model.score_thr:g} (--score-thr)')
        print(f'{"; ".join(scores)}, F1 is highest at {curves.overall.best_threshold:.2f}')
    print(f'written to {args.out_dir}')
