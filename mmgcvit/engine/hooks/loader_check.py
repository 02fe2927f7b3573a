"""Stop a run whose data workers cannot pass batches on, or whose batch norms cannot be trained on
one image.
"""

import pickle
import shutil
import socket
from pathlib import Path

from mmengine.dataset import InfiniteSampler
from mmengine.dist import all_gather_object, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from ...errors import UserError

# Data workers pass tensors through this folder, which is in the memory. Docker's default size is 64
# MB.
SHARED_MEMORY = Path('/dev/shm')
ENOUGH = 8 << 30  # in bytes; with more, no sample is measured
MORE_MEMORY = 'more shared memory (docker run --shm-size=8g)'
FEWER_WORKERS = (
    'fewer workers (--workers N; for a CONFIG: --cfg-options train_dataloader.num_workers=N, also '
    'of val_dataloader and test_dataloader)'
)
ONE_IMAGE = (
    'a batch has one image, but batch norm after global pooling needs two. Set --batch-size 2 (for '
    'a CONFIG: train_dataloader.batch_size), or train_dataloader.drop_last=True if only the last '
    'batch of an epoch is smaller'
)


class LoaderCheckHook(Hook):
    """Raise a UserError before the first iteration if shared memory is too small for the batches of
    data workers, or a batch norm would get one value.
    """

    def before_train(self, runner: Runner) -> None:
        loaders = [runner.train_dataloader]
        if runner.val_loop:
            loaders.append(runner.val_dataloader)
        check_memory(loaders)
        if has_batch_of_one(runner.train_dataloader) and has_pooled_norm(runner.model):
            raise UserError(ONE_IMAGE)

    def before_test(self, runner: Runner) -> None:
        check_memory([runner.test_dataloader])


def check_memory(loaders: list[DataLoader]) -> None:
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
            needed += loader.num_workers * loader.prefetch_factor * batch_size * size
    needed *= hosts.count(socket.gethostname())
    if needed > free:
        raise UserError(
            f'{SHARED_MEMORY} has {free / 2**20:.3g} MB free, but the batches that data workers '
            f'load in advance take about {needed / 2**20:.3g} MB. Use {MORE_MEMORY}, '
            f'{FEWER_WORKERS}, of which 0 need none, or a smaller batch (--batch-size N)'
        )


def has_batch_of_one(loader: DataLoader) -> bool:
    """Return whether a batch, or the last one of an epoch, has one image."""
    # SeededBatchSampler holds another batch sampler.
    batches = getattr(loader.batch_sampler, 'batch_sampler', loader.batch_sampler)
    size = getattr(batches, 'batch_size', 0)
    if size == 1:
        return True
    if getattr(batches, 'drop_last', True) or isinstance(batches.sampler, InfiniteSampler):
        return False
    return len(batches.sampler) % size == 1


def has_pooled_norm(model: nn.Module) -> bool:
    """Return whether a batch norm gets one value per channel and image, as in mmseg's pyramid
    pooling and ASPP.
    """
    norms = []
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            norms.append(module)
        first = module[0] if isinstance(module, nn.Sequential) and len(module) > 0 else None
        if getattr(first, 'output_size', None) in (1, (1, 1)):  # global pooling
            norms += [part for part in module.modules() if isinstance(part, _BatchNorm)]
    # With several processes, SyncBN also gets the images of the others.
    if get_world_size() > 1:
        norms = [norm for norm in norms if not isinstance(norm, nn.SyncBatchNorm)]
    return len(norms) > 0
