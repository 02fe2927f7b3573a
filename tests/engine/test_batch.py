"""Who trains with another batch than the recipe's hears of it once, unless the learning rate is scaled."""

import pytest
from mmengine.config import Config

from mmgcvit.engine.batch import other_batch_size
from mmgcvit.hosts.configs import read_config


def config(base=16, images=2, counts=1, enable=False):
    return Config(
        {
            'auto_scale_lr': {'enable': enable, 'base_batch_size': base},
            'train_dataloader': {'batch_size': images},
            'optim_wrapper': {'accumulative_counts': counts},
        }
    )


@pytest.mark.parametrize(
    ('change', 'processes'),
    [({}, 8), ({'images': 1}, 16), ({'images': 1, 'counts': 2}, 8), ({'images': 16}, 1), ({'enable': True}, 3)],
)
def test_the_recipes_batch_however_it_is_made_up_and_scaling_are_no_news(change, processes):
    assert other_batch_size(config(**change), config(), processes) is None


@pytest.mark.parametrize(('change', 'processes', 'total'), [({}, 16, 32), ({}, 1, 2), ({'counts': 4}, 8, 64)])
def test_another_batch_is_told_in_one_line_with_both_totals(change, processes, total):
    warning = other_batch_size(config(**change), config(), processes)
    assert f'made for 16 images a step, and this run has {total}: {processes} processes x 2 images' in warning
    assert '--auto-scale-lr' in warning
    assert '\n' not in warning


def test_a_recipe_that_accumulates_is_made_for_the_sum():
    recipe = config(base=512, images=64, counts=2)
    assert other_batch_size(recipe, recipe, 8) is None
    assert 'made for 1024 images a step, and this run has 512' in other_batch_size(recipe, recipe, 4)
    assert other_batch_size(config(base=512, images=64, counts=4), recipe, 4) is None


def test_who_halves_the_base_for_two_accumulated_batches_has_the_recipes_batch():
    """As docs/large_models.md says; mmengine's scaling leaves accumulation out."""
    assert other_batch_size(config(base=8, images=1, counts=2), config(), 8) is None
    assert 'made for 16 images' in other_batch_size(config(base=8, images=1, counts=2), config(), 4)


@pytest.mark.parametrize('missing', ['auto_scale_lr', 'train_dataloader', 'optim_wrapper'])
def test_a_config_that_does_not_say_is_left_alone(missing):
    cfg = config()
    cfg.pop(missing)
    expected = missing != 'optim_wrapper'
    assert (other_batch_size(cfg, cfg, 16) is None) == expected


@pytest.mark.parametrize(
    ('path', 'processes'),
    [
        ('configs/cascade_gcvit_b.py', 8),
        ('configs/upernet_gcvit_b.py', 8),
        ('configs/gcvit_t_in1k.py', 8),
        ('configs/gcvit_l_384_in1k.py', 8),
        ('configs/dino_gcvit_l_fsdp.py', 8),
        ('configs/demo/gcvit_digits_cls.py', 1),
        ('configs/demo/lsa_digits_cls.py', 1),
        ('configs/demo/mask_rcnn_gcvit_digits.py', 1),
        ('configs/demo/mask_rcnn_lsa_digits.py', 1),
        ('configs/demo/upernet_gcvit_digits.py', 1),
    ],
)
def test_recipes_on_the_processes_that_they_are_for_are_no_news(path, processes):
    cfg = read_config(path)
    assert cfg.auto_scale_lr.base_batch_size == processes * cfg.train_dataloader.batch_size
    assert other_batch_size(cfg, cfg, processes) is None
