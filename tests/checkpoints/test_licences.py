"""The limit of weights is known by the names, addresses and contents of released files, by what
weights say, and by those they started from. Other people's weights have none.
"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit.checkpoints import licences
from mmgcvit.checkpoints.licences import LIMIT, NAMES, find_limit, find_limit_of_model
from mmgcvit.host.files import compute_sha256

HUB = 'https://huggingface.co'
TINY = f'{HUB}/nvidia/GCViT/resolve/main/gcvit_1k_tiny.pth.tar'
CACHE = '~/.cache/huggingface/hub/models--timm--gcvit_tiny.in1k'
NGC = 'https://api.ngc.nvidia.com/v2/models/org/nvidia/team/tao'
COMMIT = 'ab' * 20


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        (TINY, 'not for commercial use'),
        (f'{HUB}/timm/gcvit_tiny.in1k/resolve/main/model.safetensors', 'not for commercial use'),
        ('https://mirror.org/x/gcvit_1k_tiny.pth.tar?download=true', 'not for commercial use'),
        ('weights/gcvit_21k_large_384.pth.tar', 'not for commercial use'),
        ('gcvit_tiny_224_nvidia-ac783954.pth', 'not for commercial use'),
        ('timm://gcvit_tiny', 'not for commercial use'),
        (f'{CACHE}/snapshots/{COMMIT}/model.safetensors', 'not for commercial use'),
        ('gcvit_tiny.in1k/model.safetensors', 'not for commercial use'),
        (f'{NGC}/pretrained_dino_coco/x/files?path=x.pth', 'read their model card'),
        ('https://catalog.ngc.nvidia.com/orgs/nvidia/teams/tao/models/x', 'read their model card'),
        ('dino_gcvit_tiny0_ep12.pth', 'read their model card'),
        ('dd_gcvit_tiny_ep50.pth', 'read their model card'),
        ('gcvit_tiny_nvimagenet.pth', 'read their model card'),
    ],
)
def test_released_weights_are_known_by_their_names_and_addresses(name, words):
    assert words in find_limit(name)


@pytest.mark.parametrize(
    'name',
    [
        'photos/best.pth',
        'work_dirs/photos/my-nvidia-cards.pth',
        'https://example.org/nvidia/cat.pth',
        f'{HUB}/nvidia/other/resolve/main/cat.pth',
        f'{HUB}/me/nvidia/GCViT/cat.pth',
        'https://api.ngc.nvidia.com/v2/models/org/mine/team/cats/cats.pth',
        'dino_gcvit_tiny2k_ep12.pth',
        'gcvit_1k_tiny.pth',  # the authors' have .pth.tar
        'GCViT_1k_tiny.pth.tar',
        'gcvit_tiny_224_nvidia-01234567.pth',
        'gcvit_tiny.in1k/epoch_1.pth',
        'models--timm--gcvit_tiny.in1k/best.pth',
    ],
)
def test_names_that_resemble_those_of_released_weights_say_nothing(name):
    assert find_limit(name) is None


WORDS = sorted(
    {word for name in (*NAMES, TINY, CACHE, NGC) for word in re.findall(r'[A-Za-z0-9]+', name)}
)


@given(
    folders=st.lists(st.lists(st.sampled_from(WORDS), min_size=1), max_size=4),
    words=st.lists(st.sampled_from(WORDS), min_size=1),
    separator=st.sampled_from('-_.'),
    end=st.sampled_from(['.pth', '.pth.tar', '.safetensors']),
    start=st.sampled_from(['', '/data/', 'https://example.org/', f'{HUB}/me/']),
)
def test_a_file_of_ones_own_has_no_limit_whatever_words_its_path_shares(
    folders, words, separator, end, start
):
    """Only the whole name of a released file has one."""
    name = separator.join(['mine', *words]) + end
    path = '/'.join([*map(separator.join, folders), name])
    assert find_limit(start + path) is None
    assert find_limit_of_model(start + path, {}) is None


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
    file = tmp_path / 'gcvit_21k_large_384.pth.tar'
    file.touch()
    link = tmp_path / 'mine.pth'
    link.symlink_to(file)
    assert find_limit(str(link)) == find_limit(str(file)) == 'not for commercial use'


def test_a_released_file_is_known_under_another_name(tmp_path, monkeypatch):
    """Also by the weights from which a training started. What a file says of itself comes first."""
    file = tmp_path / 'mine.pth'
    file.write_bytes(b'weights')
    settings = {'model': {'backbone': {'init_cfg': {'checkpoint': str(file)}}}}
    assert find_limit_of_model(str(file), {}) is None
    sha256 = compute_sha256(file)
    for digests in ('SHA256', 'TIMM_SHA256'):
        with monkeypatch.context() as patch:
            patch.setitem(getattr(licences, digests), 'x.pth', sha256[:8])
            assert find_limit_of_model(str(file), {}) == 'not for commercial use'
            assert find_limit_of_model('epoch_1.pth', {'settings': settings})
            assert find_limit_of_model(str(file), {LIMIT: 'none'}) == 'none'
