"""Small models of each task, and configs."""

from ..visualization.conftest import configs, data, task, work_dir, work_dirs  # noqa: F401  (fixtures)
