"""Test a checkpoint by a config. Reads from the top: options, checks, mmengine's Runner, test."""

from copy import deepcopy

from mmengine.config import Config, ConfigDict
from mmengine.evaluator import BaseMetric, DumpResults

from ..checkpoints.loading import check_fits
from ..checkpoints.safe_loading import safe_checkpoint_loading
from ..config import is_drawn, read_config
from ..datasets.checks.sources import leaf_datasets, type_name
from ..errors import UserError
from ..mmengine_utils import call_on_rank_0
from ..ops.compiled import check_operators
from .hooks.progress import open_progress
from .processes import join_processes
from .setup import build_runner, check_data


def run_test(
    cfg: Config,
    checkpoint: str,
    test_data: str | None = None,
    show_dir: str | None = None,
    out: str | None = None,
    tta: bool = False,
    progress: bool = False,
    trust_checkpoint: bool = False,
) -> None:
    """Test a checkpoint as a config of :func:`.setup.load_config` says.

    Args:
        cfg: Is changed as the options say.
        checkpoint: A file or an address.
        test_data: A config whose data to test on.
        show_dir: A folder for every image with its predictions drawn.
        out: A pickle file for the predictions.
        tta: Merge several views of each image, as the config's ``tta_pipeline`` says.
        progress: Show bars instead of the log, which goes to its file only.
        trust_checkpoint: Read the checkpoint as Python does, running code in it.

    Raises:
        UserError: Something that was given cannot be tested.
    """
    if test_data:
        cfg.merge_from_dict(read_config(test_data).to_dict())
    if show_dir:
        draw_predictions(cfg, show_dir)
    if tta:
        enable_tta(cfg)
    check_operators(cfg)
    join_processes(cfg)
    call_on_rank_0(check_data, cfg, ['test_dataloader'])
    cfg.load_from = checkpoint
    with (
        safe_checkpoint_loading(cfg.work_dir, [checkpoint] if trust_checkpoint else []) as read,
        open_progress(progress) as hook,
    ):
        runner = build_runner(cfg, hook)
        check_fits(runner.model, read(checkpoint), checkpoint)
        if out:
            runner.test_evaluator.metrics.append(dump_metric(cfg, out))
        runner.test()


def draw_predictions(cfg: Config, folder: str) -> None:
    """Have every tested image drawn with its predictions, into a folder, as the config's validation images."""
    if not is_drawn(cfg):
        raise UserError(
            f'--show-dir: nothing here draws {type_name(cfg.model)} of {cfg.get("default_scope")}; its host does, by '
            'default_hooks.visualization: docs/other_tasks.md'
        )
    shown = (cfg.get('default_hooks') or {}).get('visualization') or {}
    hook = {'type': 'mmgcvit.ValVisualizationHook', 'test_out_dir': folder, 'score_thr': shown.get('score_thr', 0.3)}
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]


def dump_metric(cfg: Config, out: str) -> BaseMetric:
    """The metric that writes predictions to a pickle file, masks run-length encoded."""
    if cfg.get('default_scope') == 'mmdet':
        from mmdet.evaluation import DumpDetResults

        return DumpDetResults(out_file_path=out)
    return DumpResults(out_file_path=out)


def enable_tta(cfg: Config) -> None:
    """Test each image in several views and merge them, as the config's ``tta_model`` and ``tta_pipeline`` say."""
    missing = [key for key in ('tta_model', 'tta_pipeline') if not cfg.get(key)]
    if missing:
        raise UserError(f'--tta: the config has no {" and no ".join(missing)}')
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    for dataset in leaf_datasets(cfg.test_dataloader.dataset):
        dataset.pipeline = deepcopy(cfg.tta_pipeline)
