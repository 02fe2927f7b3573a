"""The name of :mod:`mmgcvit.fixes.mmseg` in the configs of runs that began before 0.1.0."""

from .fixes.mmseg import *  # noqa: F403
