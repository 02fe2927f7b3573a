"""Stop a run whose data workers cannot pass batches on."""

import pickle
import shutil
import socket
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ...errors import UserError

# Data workers pass tensors through this folder, which is in the memory. Docker's default size is 64
# MB.
SHARED_MEMORY = Path('/dev/shm')
ENOUGH = 8 << 30  # in bytes; with more, no sample is measured
MORE_MEMORY = 'more shared memory (docker run --shm-size=8g)'
FEWER_WORKERS = (
    'fewer workers (train_dataloader.num_workers, also of val_dataloader and test_dataloader)'
)

LOADER_ARGUMENTS = ('workers', 'batch_size', 'cfg_options')


class LoaderCheckHook(Hook):
    """Raise a UserError before the first iteration if shared memory is too small for the batches of
    data workers.
    """

    def before_train(self, runner: Runner) -> None:
        loaders = [runner.train_dataloader]
        if runner.val_loop:
            loaders.append(runner.val_dataloader)
        check_memory(loaders)

    def before_test(self, runner: Runner) -> None:
        check_memory([runner.test_dataloader])


def check_memory(loaders: list[DataLoader[Any]]) -> None:
    """Compare the free shared memory with the batches that the workers of this node load in
    advance.
    """
    hosts = all_gather_object(socket.gethostname())
    if not SHARED_MEMORY.is_dir():
        return
    free = shutil.disk_usage(SHARED_MEMORY).free
    if free >= ENOUGH:
        return
    needed = 0
    for loader in loaders:
        sample = loader.dataset[0] if loader.num_workers else None
        if isinstance(sample, dict):
            # The masks of objects are arrays, which do not need shared memory.
            seg_map = getattr(sample.get('data_samples'), 'gt_sem_seg', None)
            size = len(pickle.dumps((sample.get('inputs'), seg_map)))
            batch_size = getattr(loader.batch_sampler, 'batch_size', 1)
            num_batches = loader.num_workers * (loader.prefetch_factor or 0)
            needed += num_batches * batch_size * size
    needed *= hosts.count(socket.gethostname())
    if needed > free:
        raise UserError(
            f'{SHARED_MEMORY} has {free / 2**20:.3g} MB free, but the batches that data workers '
            f'load in advance take about {needed / 2**20:.3g} MB. Use {MORE_MEMORY}, '
            f'{FEWER_WORKERS}, of which 0 need none, or a smaller batch_size',
            arguments=LOADER_ARGUMENTS,
        )
