"""Apply the options of ``mmgcvit train`` and ``mmgcvit test`` to a config."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

from mmengine.config import Config

from ..host.cfg_options import parse_cfg_options
from ..host.config import override_settings
from ..host.files import make_portable_path
from ..own.runs.run_data import note_work_dir


def apply_options(
    cfg: Config,
    options: Sequence[str] | None = None,
    work_dir: str | Path | None = None,
    launcher: str = 'none',
) -> Config:
    """Return a copy of a config from :func:`.locate_data` with other settings (texts of the form
    KEY=VALUE), the launcher and the work dir (default: the config's, else
    ``work_dirs/CONFIG_NAME``).
    """
    changed = deepcopy(cfg)
    override_settings(changed, parse_cfg_options(options), make_portable_path(cfg.filename))
    changed.launcher = launcher
    default = f'work_dirs/{Path(cfg.filename).stem}'
    # mmengine would drop link/.. from a path.
    note_work_dir(changed, Path(work_dir or changed.get('work_dir') or default))
    return changed
