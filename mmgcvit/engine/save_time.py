"""Measure how long a checkpoint takes, and warn if a scheduler kills the run before it is saved."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from mmengine.dist import is_main_process
from torch.distributed.launcher.api import LaunchConfig

# In seconds. What torchrun and Kubernetes wait after SIGTERM by default, before they kill the
# ranks.
TORCHRUN_GRACE = 30
KUBERNETES_GRACE = 30
# Signals wait for the iteration, and for data.
MARGIN = 10


def list_graces() -> dict[str, float]:
    """Return after how many seconds this run is killed after SIGTERM, as far as that is known, by
    the setting that changes it.
    """
    graces = {}
    if 'TORCHELASTIC_RUN_ID' in os.environ:  # torchrun has started this process
        grace = TORCHRUN_GRACE
        # Older versions of torch do not read the variable.
        if 'shutdown_timeout' in {field.name for field in fields(LaunchConfig)}:
            grace = float(os.environ.get('TORCH_ELASTIC_SHUTDOWN_TIMEOUT', grace))
        graces['TORCH_ELASTIC_SHUTDOWN_TIMEOUT'] = grace
    if 'KUBERNETES_SERVICE_HOST' in os.environ:
        # A container cannot see what its pod has.
        graces['terminationGracePeriodSeconds'] = KUBERNETES_GRACE
    return graces


@contextmanager
def measure_save(runner: Any) -> Iterator[None]:
    """Log how long the caller saves a checkpoint on rank 0, and warn if that is longer than the
    time between SIGTERM and the end.
    """
    start = time.monotonic()
    yield
    if not is_main_process():
        return
    seconds = time.monotonic() - start
    runner.logger.info(f'the checkpoint was saved in {seconds:.1f} s')
    for name, grace in list_graces().items():
        if seconds + MARGIN > grace:
            runner.logger.warning(
                f'saving a checkpoint takes {seconds:.1f} s, and the ranks are killed {grace:g} s '
                f'after SIGTERM (unless {name} is larger): a checkpoint at a signal may be lost. '
                f'Raise {name} above {seconds + MARGIN:.0f}'
            )
