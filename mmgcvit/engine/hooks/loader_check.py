"""Stop a run whose data workers cannot pass batches on, or whose batch norms cannot be trained on
one image.
"""

import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from ...errors import UserError, get_first_line

# Data workers pass tensors through this folder, which is in the memory. Docker's default size is 64
# MB.
SHARED_MEMORY = Path('/dev/shm')
ENOUGH = 8 << 30  # in bytes; with more, no sample is measured
FEWER_WORKERS = (
    'Use more shared memory (docker run --shm-size=8g) or fewer workers (--workers N; for a '
    'CONFIG: --cfg-options '
    'train_dataloader.num_workers=N, also of val_dataloader and test_dataloader). 0 workers need '
    'none'
)
ONE_IMAGE = (
    'a batch has one image, but batch norm after global pooling needs two. Set --batch-size 2 (for '
    'a CONFIG: '
    'train_dataloader.batch_size), or train_dataloader.drop_last=True if only the last batch of an '
    'epoch is smaller'
)


@contextmanager
def explain_loader_errors() -> Iterator[None]:
    """Turn errors of data workers, and of batch norms that get one value, into a UserError of one
    line.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        message = str(error)
        if isinstance(error, UserError) and message.startswith(
            'Caught '
        ):  # the last line of a worker's traceback
            message = message.splitlines()[-1].partition(': ')[2]
        elif message.startswith('Expected more than 1 value per channel'):
            message = ONE_IMAGE
        elif message.startswith(('DataLoader worker (', 'DataLoader timed out')):
            reason = f'{get_first_line(error).rstrip(". ")}. The memory or {SHARED_MEMORY} may be full. {FEWER_WORKERS}'
            message = f'{reason}. For slow disks, set train_dataloader.timeout=SECONDS. Then start it again (--resume)'
        else:
            raise
        raise UserError(message) from error


class LoaderCheckHook(Hook):
    """Raise a UserError before the first batch, if shared memory is too small or a batch norm would
    get one value.
    """

    def before_train(self, runner: Runner) -> None:
        loader = runner.train_dataloader
        self.check_memory(loader, *([runner.val_dataloader] if runner.val_loop else []))
        batches = getattr(
            loader.batch_sampler, 'batch_sampler', loader.batch_sampler
        )  # that of SeededBatchSampler
        size, sampler = getattr(batches, 'batch_size', 0), getattr(batches, 'sampler', ())
        is_cut = not isinstance(sampler, InfiniteSampler) and not getattr(
            batches, 'drop_last', True
        )
        if (size == 1 or (is_cut and len(sampler) % size == 1)) and has_pooled_norm(runner.model):
            raise UserError(ONE_IMAGE)

    def before_test(self, runner: Runner) -> None:
        self.check_memory(runner.test_dataloader)

    def check_memory(self, *loaders: DataLoader) -> None:
        """Compare the free shared memory with the batches that the workers of this node load in
        advance.
        """
        free, needed = (
            shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else ENOUGH,
            0,
        )
        for loader in loaders if free < ENOUGH else ():
            if loader.num_workers and isinstance(sample := loader.dataset[0], dict):
                # The masks of objects are arrays, which do not need shared memory.
                tensors = (
                    sample.get('inputs'),
                    getattr(sample.get('data_samples'), 'gt_sem_seg', None),
                )
                batch_size = getattr(loader.batch_sampler, 'batch_size', 1)
                needed += (
                    loader.num_workers
                    * loader.prefetch_factor
                    * batch_size
                    * len(pickle.dumps(tensors))
                )
        needed *= int(os.environ.get('LOCAL_WORLD_SIZE', '1'))
        if needed > free:
            problem = f'{free / 2**20:.3g} MB free, but the batches that data workers load in advance take about'
            raise UserError(
                f'{SHARED_MEMORY} has {problem} {needed / 2**20:.3g} MB. {FEWER_WORKERS}'
            )


def has_pooled_norm(model: nn.Module) -> bool:
    """Return whether a batch norm gets one value per channel and image, as in mmseg's pyramid
    pooling and ASPP.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]
    for part in model.modules():
        if (
            isinstance(part, nn.Sequential)
            and len(part)
            and getattr(part[0], 'output_size', None) in (1, (1, 1))
        ):
            norms += [module for module in part.modules() if isinstance(module, _BatchNorm)]
    # With several processes, SyncBN also gets the images of the others.
    return any(get_world_size() == 1 or not isinstance(norm, nn.SyncBatchNorm) for norm in norms)
