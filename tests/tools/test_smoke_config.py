"""The miniatures of dist_smoke.sh have enough images for every number of processes."""

from itertools import islice

import pytest
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch.testing._internal.distributed.fake_pg import FakeStore

from mmgcvit.errors import UserError
from mmgcvit.host.config import LOADERS
from tools import smoke_config
from tools.smoke_config import NUM_ITERATIONS

from ..configs.models import EVERY, read
from ..programs import ROOT
from .commands import CONFIGS, TOOLS, call_in_shell

ROOTS = ('data/coco', 'data/ade', 'data/imagenet')  # of the datasets that have a miniature
# A case for each number of ranks. One of them suffices in CI.
RANKS = [pytest.param(8, marks=pytest.mark.release), 16]


class Rows(BaseDataset):
    """A number of images that are never opened, in turn wide and high."""

    def __init__(self, length):
        self.length = length
        super().__init__()

    def load_data_list(self):
        sizes = ((480, 640), (640, 480))
        return [
            {'img_path': f'{row}.jpg', 'height': sizes[row % 2][0], 'width': sizes[row % 2][1]}
            for row in range(self.length)
        ]


def has_miniature(name):
    return str(read(name).train_dataloader.dataset.get('data_root')).startswith(ROOTS)


def build_loader(settings, dataset):
    """Build the dataloader of this process, which loads in the process itself."""
    settings = {**settings, 'num_workers': 0, 'persistent_workers': False, 'dataset': dataset}
    return Runner.build_dataloader(settings, seed=0)


def load_on_all_ranks(settings, num_ranks):
    """Check that each image of the batches of all ranks exists, and that none is in two of them.
    The last rank loads its batches.
    """
    dataset = build_loader(settings, settings['dataset']).dataset._dataset
    taken = []
    for rank in range(num_ranks):
        dist.init_process_group('fake', store=FakeStore(), rank=rank, world_size=num_ranks)
        try:
            sampler = build_loader(settings, dataset).batch_sampler
            batches = list(islice(sampler, NUM_ITERATIONS))
            assert len(batches) == NUM_ITERATIONS
            taken += [index for batch in batches for index in batch]
            if rank == num_ranks - 1:
                loaded = list(islice(build_loader(settings, dataset), NUM_ITERATIONS))
                assert len(loaded) == NUM_ITERATIONS
        finally:
            dist.destroy_process_group()
    assert max(taken) < len(dataset)
    assert len(set(taken)) == len(taken)


def prepare_loaders(name, folder, num_ranks):
    """Return the settings of a config's dataloaders after dist_smoke.sh has changed it."""
    config = ROOT / 'configs' / f'{name}.py'
    smoke_config.prepare(config, folder, 16, 'miniature', num_ranks)
    cfg = Config.fromfile(folder / 'config.py')
    init_default_scope(cfg.default_scope)
    return [cfg[loader].to_dict() for loader in LOADERS[:2]]


@pytest.mark.long
@pytest.mark.parametrize('num_ranks', RANKS)
def test_the_miniatures_suffice_for_all_ranks_in_every_config(num_ranks, tmp_path, monkeypatch):
    """Equal dataloaders are tested once: most configs share those of their task."""
    monkeypatch.chdir(tmp_path)
    names = list(filter(has_miniature, EVERY))
    assert len(names) > 55
    tested = []
    for name in names:
        for settings in prepare_loaders(name, tmp_path, num_ranks):
            if settings not in tested:
                load_on_all_ranks(settings, num_ranks)
                tested.append(settings)


@pytest.mark.long
@pytest.mark.parametrize('num_ranks', RANKS)
def test_other_data_suffice_for_all_ranks_from_the_number_that_is_asked_for(num_ranks):
    """CIFAR, Cityscapes, the demos' digits and own data have no miniatures: their configs need
    DATA=own, which asks for a number of images.
    """
    names = [name for name in EVERY if not has_miniature(name)]
    assert len(names) > 25
    for name in names:
        cfg = read(name)
        init_default_scope(cfg.default_scope)
        smoke_config.shorten_training(cfg)
        for loader, needed in smoke_config.count_needed_images(cfg, num_ranks).items():
            settings = cfg[loader].to_dict()
            load_on_all_ranks({**settings, 'dataset': Rows(needed)}, num_ranks)


def count_files(folder):
    return {split: len(list(folder.glob(f'data/coco/{split}2017/*'))) for split in ('train', 'val')}


@pytest.mark.long
def test_the_miniatures_grow_with_the_processes_and_their_batches(tmp_path):
    """They are not written again for fewer."""
    config = ROOT / 'configs' / 'upernet_gcvit_t.py'
    larger = ['train_dataloader.batch_size=3', 'val_dataloader.batch_size=4']
    smoke_config.prepare(config, tmp_path, 16, 'miniature', 1)
    assert count_files(tmp_path) == smoke_config.MIN_IMAGES
    for processes in (3, 1):
        smoke_config.prepare(config, tmp_path, 16, 'miniature', processes, larger)
        assert count_files(tmp_path) == {'train': 3 * 2 * 3, 'val': 3 * 2 * 4}


@pytest.mark.slow
def test_own_data_with_too_few_images_for_the_processes_is_rejected(digits, tmp_path, monkeypatch):
    monkeypatch.setenv('DIGITS', str(digits))
    config = CONFIGS / 'classify.py'
    smoke_config.prepare(config, tmp_path, 16, 'own', 2)
    with pytest.raises(UserError, match=r'_dataloader has \d+ images, and 900 processes need \d+'):
        smoke_config.prepare(config, tmp_path, 16, 'own', 900)


def test_several_nodes_are_rejected():
    """They would write the same folder at once."""
    output = call_in_shell('', TOOLS / 'dist_smoke.sh', 'x.py', '1', fails=True, NNODES='2')
    assert 'runs on one node' in output
