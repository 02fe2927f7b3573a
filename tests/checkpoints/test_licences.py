"""The limit of weights is known by their name, by what they say, and by those they started from."""

import pytest

from mmgcvit.checkpoints.licences import LIMIT, find_limit, find_limit_of_model

TINY = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        (TINY, 'not for commercial use'),
        ('gcvit_21k_large_384.pth', 'not for commercial use'),
        ('https://api.ngc.nvidia.com/v2/models/x.pth', 'read their model card'),
        ('dino_gcvit_tiny2k_ep12.pth', None),
        ('dino_gcvit_tiny_ep36.pth', 'read their model card'),
        ('dd_gcvit_tiny_ep50.pth', 'read their model card'),
        ('gcvit_tiny_nvimagenet.pth', 'read their model card'),
        ('photos/best.pth', None),
    ],
)
def test_published_weights_are_known_by_their_names(name, words):
    limit = find_limit(name)
    assert limit is None if words is None else words in limit


@pytest.mark.parametrize(
    ('source', 'meta', 'words'),
    [
        ('epoch_1.pth', {}, None),
        ('epoch_1.pth', {LIMIT: 'for tests only'}, 'for tests only'),
        (TINY, {LIMIT: 'for tests only'}, 'for tests only'),
        (TINY, {LIMIT: 5}, 'not for commercial use'),
        ('epoch_1.pth', {'settings': TINY}, None),
        ('epoch_1.pth', {'checkpoint': 5}, None),
        ('epoch_1.pth', {'checkpoint': 'mine.pth'}, None),
        ('epoch_1.pth', {'checkpoint': TINY}, 'not for commercial use'),
    ],
)
def test_trained_weights_have_the_limit_of_those_they_started_from(source, meta, words):
    if 'checkpoint' in meta:
        backbone = {'init_cfg': {'type': 'Pretrained', **meta}}
        meta = {'settings': {'model': {'backbone': backbone}}}
    limit = find_limit_of_model(source, meta)
    assert limit is None if words is None else words in limit


def test_a_link_has_the_limit_of_its_file(tmp_path):
    file = tmp_path / 'gcvit_21k_large_384.pth'
    file.touch()
    link = tmp_path / 'mine.pth'
    link.symlink_to(file)
    assert find_limit(str(link)) == find_limit(str(file)) == 'not for commercial use'
