"""Check the data and the checkpoint, and test with mmengine's Runner."""

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.registry import METRICS

from ..checkpoints.fitting import fit_checkpoint
from ..datasets.checks.scores import find_unscored
from ..errors import UserError
from ..host.datasets import iter_unwrapped_datasets
from ..host.files import check_writable
from ..host.private_api import stop_workers
from ..host.runners import call_on_rank_0, get_timeout
from ..host.tasks import TASK_BY_SCOPE
from ..predict.loading import check_class_names, collect_dataset_metas, disable_lora
from ..predict.model_files import read_model_checkpoint
from .data import check_data
from .hooks.lists import list_test_hooks
from .hooks.progress import open_progress
from .interrupts import start_worker
from .ranks import join_process_group
from .setup import open_runner
from .unread import check_settings


def run_test(
    cfg: Config,
    checkpoint: str,
    out: str | None = None,
    tta: bool = False,
    progress: bool = False,
    hooks: Sequence[Hook] = (),
) -> None:
    """Test a checkpoint with a config, which is changed in place.

    Raise a UserError if the config, the checkpoint or the data is invalid.

    Args:
        cfg: The config.
        checkpoint: A file, a URL or a work dir.
        out: The file for the predictions.
        tta: Whether to use the config's test-time augmentation.
        progress: Whether to show the progress.
        hooks: Further hooks.
    """
    check_settings(cfg)
    check_writable(Path(cfg.work_dir), f'the work dir {cfg.work_dir}')
    disable_lora(cfg.model)
    if tta:
        enable_tta(cfg)
    join_process_group(cfg)
    loaded = call_on_rank_0(read_model_checkpoint, checkpoint, timeout=get_timeout(cfg))
    call_on_rank_0(check_data, cfg, ['test_dataloader'], timeout=get_timeout(cfg))
    # The config in the work dir of a resumed run has resume=True, which would load an optimizer
    # state.
    cfg.load_from = loaded.source
    cfg.resume = False
    with (
        open_progress(progress) as progress_hook,
        open_runner(cfg, loaded, list_test_hooks(progress_hook, hooks)) as runner,
    ):
        fit_checkpoint(runner.model, loaded)
        settings = next(iter_unwrapped_datasets(cfg.test_dataloader.dataset))
        trained, _ = collect_dataset_metas(loaded.content['meta'], settings)
        loader = runner.test_loop.dataloader
        loader.worker_init_fn = partial(start_worker, loader.worker_init_fn)
        dataset = loader.dataset
        check_class_names(loaded.source, trained.get('classes'), dataset.metainfo.get('classes'))
        unscored = find_unscored(dataset)
        if unscored:
            runner.logger.warning(f'the test images have {unscored}, so their scores say nothing')
        if out:
            # Configs of other packages, such as mmpose, have no task.
            task = TASK_BY_SCOPE.get(cfg.get('default_scope'))
            name = task.results_metric if task else 'DumpResults'
            metric = METRICS.build({'type': name, 'out_file_path': out})
            runner.test_evaluator.metrics.append(metric)
        runner.test()
        stop_workers(runner.test_dataloader)


def enable_tta(cfg: Config) -> None:
    """Enable test-time augmentation with the config's ``tta_model`` and ``tta_pipeline``."""
    if (cfg.get('test_cfg') or {}).get('side'):
        raise UserError(
            'test-time augmentation (tta) cannot be used with tiles '
            '(test_cfg.type=mmgcvit.TiledTestLoop). Use one of them',
            arguments=['tta'],
        )
    missing = [key for key in ('tta_model', 'tta_pipeline') if not cfg.get(key)]
    if missing:
        raise UserError(
            f'test-time augmentation (tta): the config has no {" and no ".join(missing)}. Add what '
            'is missing, or test without it',
            arguments=['tta'],
        )
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    for dataset in iter_unwrapped_datasets(cfg.test_dataloader.dataset):
        dataset.pipeline = deepcopy(cfg.tta_pipeline)
