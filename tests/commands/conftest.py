"""Small models of each task."""

from ..inference.conftest import work_dirs  # noqa: F401  (a fixture)
