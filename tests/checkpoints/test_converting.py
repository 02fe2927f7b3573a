"""Convert checkpoints: round trips are exact, and converted classifiers compute the original
logits.
"""

import re
from pathlib import Path

import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from mmpretrain.registry import MODELS
from torch import nn

from mmgcvit import LSA, GCViT
from mmgcvit.checkpoints.converting import make_state_dict, rename_output_norm, save_checkpoint
from mmgcvit.checkpoints.licences import find_limit_of_model
from mmgcvit.checkpoints.reading import read_checkpoint
from mmgcvit.checkpoints.safe_loading import read_for_mmengine

from ..conftest import ROOT
from ..reference import CLASSIFIERS, DATA, LSA_REFERENCES, NUM_CLASSES, REFERENCES

CIFAR = LSA_REFERENCES[2]


@pytest.fixture
def convert(call):
    """Call ``mmgcvit convert`` with arguments in an empty folder, and return its output."""

    def convert(arguments, fails=False):
        code, printed = call('convert', *arguments.split())
        assert bool(code) == fails, printed
        return printed

    return convert


def assert_same(path, expected):
    found = read_checkpoint(path)
    found = found.get('state_dict', found)
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def original_checkpoint(reference):
    """Add the relative position indices that the original code computes (query minus key) to a
    reference's weights.
    """
    state_dict = reference.weights()
    for name, table in list(state_dict.items()):
        if name.endswith('relative_position_bias_table'):
            w = round((table.shape[0] ** 0.5 + 1) / 2)
            y, x = torch.cartesian_prod(torch.arange(w), torch.arange(w)).T
            index = (y[:, None] - y + w - 1) * (2 * w - 1) + x[:, None] - x + w - 1
            state_dict[name.replace('bias_table', 'index')] = index
    return state_dict


@pytest.mark.parametrize(
    ('network', 'arch', 'classes', 'file'),
    [
        (GCViT, 'tiny', 1000, 'keys_gcvit_t.txt'),
        (GCViT, 'small', 1000, 'keys_gcvit_s.txt'),
        (LSA, 'cifar-tiny', 10, 'keys_lsa_cifar_t.txt'),
    ],
)
def test_converted_keys_and_shapes_equal_those_of_the_authors_checkpoints(
    network, arch, classes, file
):
    with torch.device('meta'):
        tensors = rename_output_norm(network(arch, out_indices=(3,)).state_dict())
        head = nn.Linear(len(tensors['final_norm.weight']), classes)
    tensors |= head.state_dict(prefix='head.fc.')
    original = network.key_mappings[0]
    converted = make_state_dict(tensors, original)
    found = [f'{name} {tuple(tensor.shape)}' for name, tensor in converted.items()]
    assert sorted(found) == sorted((DATA / file).read_text().splitlines())


FURTHER = [
    pytest.param(reference, marks=pytest.mark.slow)
    for reference in (*REFERENCES[1:], *LSA_REFERENCES[1:])
]


@pytest.mark.parametrize('reference', [REFERENCES[0], LSA_REFERENCES[0], *FURTHER])
def test_converting_back_is_exact_and_a_converted_classifier_computes_the_originals_logits(
    convert, reference
):
    """Load all converted weights into mmpretrain's classifier. The tolerance is 2e-5."""
    original = original_checkpoint(reference)
    model = {f'module.{name}': tensor for name, tensor in original.items()}
    torch.save({'model': model}, 'original.pth.tar')
    convert('original.pth.tar here.pth')
    convert('here.pth back.pth --to original')
    assert_same('back.pth', original)
    if reference in CLASSIFIERS:
        convert('original.pth.tar timm.safetensors --to timm')
        convert('timm.safetensors back_over_timm.pth --to original')
        assert_same('back_over_timm.pth', original)
    if reference in CLASSIFIERS + LSA_REFERENCES:
        classifier = build_classifier(reference.backbone_config(), NUM_CLASSES)
        load_checkpoint(classifier, 'here.pth', strict=True)
        with torch.no_grad():
            found = classifier(reference.image())
        torch.testing.assert_close(found, reference.outputs()[0], atol=2e-5, rtol=0)


FC2 = 'levels.1.blocks.0.mlp.fc2.weight'


@pytest.mark.parametrize(
    ('reference', 'name', 'change', 'reason'),
    [
        (CIFAR, 'layers.0.0.pos_emb', None, 'lacks 1 tensor|has only a part of LSA'),
        (REFERENCES[0], FC2, lambda t: t.long(), 'torch.int64 instead'),
        (REFERENCES[0], FC2, lambda t: t / 0, 'NaN or infinity'),
        (CLASSIFIERS[0], 'norm.weight', lambda t: t[:7], r'final_norm\.weight \(7,\)'),
        (CLASSIFIERS[0], 'head.weight', lambda t: t[:, :7], r'head\.fc\.weight \(\d+, 7\)'),
        (CLASSIFIERS[0], 'head.bias', None, r'lacks 1 tensor \(head\.fc\.bias\)'),
    ],
)
def test_weights_with_missing_or_invalid_tensors_are_not_converted(
    reference, name, change, reason, convert
):
    weights = reference.weights()
    tensor = weights.pop(name)
    if change:
        weights[name] = change(tensor)
    torch.save(weights, 'x.pth')
    assert re.search(reason, convert('x.pth y.pth --to original', fails=True))
    assert not Path('y.pth').exists()


@pytest.mark.parametrize(
    ('source', 'target', 'to', 'message'),
    [
        ('x.pth', 'y.safetensors', 'mmpretrain', 'mmpretrain cannot read safetensors'),
        ('x.pth', 'y.pth', 'timm', 'has no key for norm'),
        (
            'lsa.pth',
            'y.pth',
            'timm',
            'LSA cannot be converted to timm. Choose one of mmpretrain, original',
        ),
        ('x.pth', 'precious.pth', 'mmpretrain', 'exists'),
        ('x.pth', 'y.py', 'mmpretrain', 'expected a name that ends in .pth'),
        ('precious.pth', 'y.pth', 'mmpretrain', 'not a checkpoint'),
    ],
)
def test_errors_say_why_a_conversion_is_rejected(source, target, to, message, convert):
    torch.save({'state_dict': REFERENCES[0].weights()}, 'x.pth')
    torch.save(CIFAR.weights(), 'lsa.pth')
    Path('precious.pth').write_text('precious')
    assert message in convert(f'{source} {target} --to {to}', fails=True)
    assert Path('precious.pth').read_text() == 'precious'
    assert not list(Path().glob('y.*'))


def test_scalars_instead_of_timms_convolutions_are_rejected(convert):
    weights = timm.create_model('gcvit_xxtiny').state_dict()
    for name in weights:
        if '.se.fc1.' in name:
            weights[name] = weights[name].mean()
    torch.save(weights, 'x.pth')
    assert 'with a wrong shape' in convert('x.pth y.pth', fails=True)


def build_classifier(backbone, num_classes):
    cfg = Config.fromfile(ROOT / 'configs' / 'gcvit_t_in1k.py')
    cfg.model.backbone = backbone
    cfg.model.head.update(
        num_classes=num_classes, in_channels=MODELS.build(backbone).stage_dims[-1]
    )
    return MODELS.build(cfg.model).eval()


def test_the_output_names_the_arch_the_ema_and_the_unused_keys(convert):
    weights = CLASSIFIERS[1].weights()
    torch.save({'state_dict': weights, 'state_dict_ema': weights}, 'original.pth.tar')
    output = convert('original.pth.tar classifier.pth --ema')
    assert 'embed_dims 8' in output
    assert 'from original.pth.tar (format of the original GC ViT, EMA)' in output
    weights = LSA('cifar-tiny').state_dict()
    torch.save(weights | {'optimizer_state': torch.zeros(1)}, 'x.pth')
    output = convert('x.pth y.pth')
    assert "LSA 'cifar-tiny' from x.pth" in output
    assert '1 in the file are unused (optimizer_state)' in output
    assert_same('y.pth', {f'backbone.{name}': tensor for name, tensor in weights.items()})


@pytest.mark.slow
@pytest.mark.parametrize('arch', ['xxtiny', pytest.param('small', marks=pytest.mark.long)])
def test_logits_equal_timms_and_converting_back_is_exact(convert, arch):
    """Use timm's random weights and 224 px, for one arch without layer scale and one with it.

    Other archs differ in width and depth only. The tolerance of the logits is 1e-4.
    """
    theirs = timm.create_model(f'gcvit_{arch}').eval()
    # Random weights of some size, or differences would drown in the initial ones.
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.05 if parameter.ndim > 1 else 0.5)
    ours = build_classifier({'type': 'mmgcvit.GCViT', 'arch': arch, 'out_indices': (3,)}, 1000)
    torch.save(theirs.state_dict(), 'timm.pth')
    convert('timm.pth ours.pth')
    load_checkpoint(ours, 'ours.pth', strict=True)
    images = torch.randn(2, 3, 224, 224)  # timm before 1.0.31 mixed the images of a batch
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), atol=1e-4, rtol=1e-4)
    convert('ours.pth back.safetensors --to timm')
    assert_same('back.safetensors', theirs.state_dict())


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_tensors_of_any_layout_in_memory_are_saved(suffix, tmp_path):
    tensors = {
        'a': torch.rand(2, 3).T,
        'b': torch.rand(1, 2, 3, 4).to(memory_format=torch.channels_last),
    }
    save_checkpoint(tensors, tmp_path / f'x{suffix}')
    assert_same(tmp_path / f'x{suffix}', tensors)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_converted_weights_of_the_authors_say_what_limits_their_use(suffix, tmp_path):
    path = tmp_path / f'mine{suffix}'
    save_checkpoint({'weight': torch.zeros(1)}, path, limit='not for commercial use')
    meta = read_for_mmengine(str(path), is_resumed=False).content['meta']
    assert find_limit_of_model(str(path), meta) == 'not for commercial use'
