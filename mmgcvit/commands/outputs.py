"""What testing gives besides scores, asked of each host in its own words: pictures, dumps, test-time augmentation."""

from copy import deepcopy
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.evaluator import BaseMetric, DumpResults

from ..datasets.checks import leaf_datasets
from ..errors import UserError


def draw_predictions(cfg: Config, show_dir: str) -> None:
    """Have every tested image drawn with its predictions, into ``show_dir``.

    Raises:
        UserError: The config has no visualization hook.
    """
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None or 'visualizer' not in cfg:
        raise UserError(
            '--show-dir: the config has no default_hooks.visualization, or no visualizer; the configs of this project '
            'have both'
        )
    # Absolute, because hosts put a relative folder under the work dir, mmdet once more for every batch.
    folder = str(Path(show_dir).resolve())
    scope = cfg.get('default_scope')
    if scope == 'mmdet':
        hook.update(draw=True, test_out_dir=folder)
    elif scope == 'mmseg':
        hook.update(draw=True)
        cfg.visualizer.save_dir = folder
    else:
        hook.update(enable=True, out_dir=folder, interval=1)


def dump_metric(cfg: Config, out: str) -> BaseMetric:
    """The metric that writes predictions to a pickle file, masks run-length encoded.

    Raises:
        UserError: The file's name does not end in .pkl or .pickle.
    """
    if not out.endswith(('.pkl', '.pickle')):
        raise UserError(f'--out {out}: predictions are pickled; expected a name ending in .pkl or .pickle')
    if cfg.get('default_scope') == 'mmdet':
        from mmdet.evaluation import DumpDetResults

        return DumpDetResults(out_file_path=out)
    return DumpResults(out_file_path=out)


def enable_tta(cfg: Config) -> None:
    """Test each image in several views and merge them, as the config's ``tta_model`` and ``tta_pipeline`` say.

    Raises:
        UserError: The config lacks either.
    """
    missing = [key for key in ('tta_model', 'tta_pipeline') if key not in cfg]
    if missing:
        raise UserError(f'--tta: the config has no {" and no ".join(missing)}')
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    for dataset in leaf_datasets(cfg.test_dataloader.dataset):
        dataset.pipeline = deepcopy(cfg.tta_pipeline)
