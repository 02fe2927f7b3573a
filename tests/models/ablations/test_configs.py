"""Configs of ablations and baselines have the parameters and multiply-adds that the docs state."""

import re

import pytest

from mmgcvit.experiments.complexity import count_by_part, count_parameters

from ...configs.models import get_model, read
from ...conftest import ROOT
from .test_variants import ALL

ABLATIONS, BASELINES = (
    sorted(f'{folder}/{path.stem}' for path in (ROOT / 'configs' / folder).glob('*.py'))
    for folder in ('ablations', 'baselines')
)
CELLS = re.findall(
    r'\[`(\w+)`\]\(\.\./configs/((?:\w+/)?\w+)\.py\) \| ([\d.]+) \| ([\d.]*) \| (.*) \|$',
    (ROOT / 'docs' / 'ablations.md').read_text(),
    re.MULTILINE,
)
# What docs/ablations.md says of each config: millions of parameters, billions of multiply-adds, score.
FIGURES = {path: (float(parameters), macs, score) for _, path, parameters, macs, score in CELLS}
# Height and width of the images of each task.
SIZES = {
    'mask_rcnn': (800, 1280),
    'cascade': (800, 1280),
    'upernet': (512, 2048),
    'in1k': (224, 224),
    'cifar10': (32, 32),
}
# Swin without shifting, which has no published weights, has those of Swin-T.
CLASSIFIERS = {
    'swin_t_unshifted_in1k': 28_288_354,
    'swin_t_resized_in1k': 27_771_862,
    'swin_t_gcvit_stem_in1k': 27_814_230,
    'gcvit_t_local_in1k': 28_806_550,
    'gcvit_t_patch_merging_in1k': 27_202_710,
    'gcvit_t_conv_pool_in1k': 28_082_198,
    'gcvit_t_global_kv_in1k': 27_067_350,
    'gcvit_t_global_v_in1k': 28_221_974,
    'swin_t_global_query_in1k': 28_482_274,
    'swin_s_global_query_in1k': 48_913_138,
    'lsa_t_cifar10_a': 6_794_570,
    'lsa_t_cifar10_b': 8_410_442,
    'lsa_t_cifar10_c': 6_794_570,
    'lsa_t_cifar10_d': 10_136_906,
    'lsa_t_cifar10_e': 6_885_962,
    'lsa_t_cifar10_swin_block': 6_795_245,
    'lsa_t_cifar10_cvt_block': 6_799_178,
}


def test_every_ablation_has_a_config_or_option_and_the_docs_name_it():
    in_rows = re.findall(r'^\| `mmgcvit\.(\w+)`', (ROOT / 'docs' / 'ablations.md').read_text(), re.MULTILINE)
    used = {read(name).model.backbone.type.removeprefix('mmgcvit.') for name in ABLATIONS}
    assert used.union(in_rows) == {*ALL, 'LSA'}
    assert {*ABLATIONS, *BASELINES} <= set(FIGURES)
    assert all(path.rsplit('/', 1)[-1] == name for name, path, *_ in CELLS)


@pytest.mark.long
def test_the_docs_count_parameters_and_multiply_adds():
    """Transformer detectors are left out, since they need real tensors; the model zoo has their figures."""
    wrong, uncounted = [], []
    for name, (parameters, macs, _) in FIGURES.items():
        model = get_model(name)
        size = next((size for task, size in SIZES.items() if task in name), None)
        counted = size and f'{sum(part.macs for part in count_by_part(model, size)) / 1e9:.1f}'
        if counted is None:
            uncounted.append((name, macs))
        elif macs != counted:
            wrong.append((name, macs, counted))
        if parameters != round(count_parameters(model) / 1e6, 2):
            wrong.append((name, parameters, count_parameters(model)))
    assert wrong == []
    assert uncounted == [('baselines/dino_swin_l', '')]


def test_parameters_of_every_classifier_to_the_digit():
    assert {name: count_parameters(get_model(f'ablations/{name}')) for name in CLASSIFIERS} == CLASSIFIERS
