"""The name of :mod:`mmgcvit.fixes.mmdet` in the configs of runs that began before 0.1.0."""

from .fixes.mmdet import *  # noqa: F403
