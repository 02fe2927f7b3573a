"""LSA's checkpoints load and convert as GC ViT's do."""

import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint
from mmpretrain.registry import MODELS

from mmgcvit import LSA, GCViT
from mmgcvit.checkpoints import CheckpointError, read_checkpoint, read_weights
from mmgcvit.checkpoints.weights import Weights
from mmgcvit.checkpoints.writing import state_dict_for, with_classifier_names
from mmgcvit.models.lsa import ARCHS
from mmgcvit.models.lsa.layouts import LAYOUTS, ORIGINAL

from ..reference import DATA, LSA_REFERENCES, NUM_CLASSES

TINY, SMALL, CIFAR = LSA_REFERENCES
all_references = pytest.mark.parametrize('reference', LSA_REFERENCES, ids=lambda reference: reference.name)


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a checkpoint's content into a backbone through ``init_cfg``; returns the backbone and the log line."""
    lines = []
    monkeypatch.setattr('mmgcvit.checkpoints.loading.print_log', lambda line, *_: lines.append(line))

    def load(content, build, **options):
        path = tmp_path / 'checkpoint'
        torch.save(content, path)
        model = build(init_cfg={'type': 'Pretrained', 'checkpoint': str(path), **options})
        model.init_weights()
        return model, lines[-1]

    return load


@pytest.mark.parametrize('arch', ARCHS)
@pytest.mark.parametrize('layout', LAYOUTS, ids=lambda layout: layout.name)
def test_names_go_to_a_layout_and_back(layout, arch):
    with torch.device('meta'):
        names = LSA(arch, out_indices=(len(ARCHS[arch].depths) - 1,)).state_dict()
    if layout is ORIGINAL:
        names = with_classifier_names(names)
    for name in names:
        there = layout.name_there(name)
        assert there is not None, name
        assert layout.name_here(there) == name


def test_names_and_shapes_are_those_of_the_authors_model():
    with torch.device('meta'):
        tensors = with_classifier_names(LSA('cifar-tiny', out_indices=(3,)).state_dict())
        tensors |= {'head.fc.weight': torch.zeros(10, 192), 'head.fc.bias': torch.zeros(10)}
    found = state_dict_for(Weights('here', LAYOUTS[1], '', False, tensors), ORIGINAL)
    listed = [line.split(' ', 1) for line in (DATA / 'keys_lsa_cifar_t.txt').read_text().splitlines()]
    assert {name: str(tuple(tensor.shape)) for name, tensor in found.items()} == dict(listed)


def test_the_line_says_what_was_loaded(load):
    model, line = load({'state_dict': TINY.weights()}, lambda **init: LSA(TINY.arch, **init))
    assert f'{len(model.state_dict()) - 6} tensors loaded' in line
    assert '6 left initial (output norms norm0, norm1, norm2)' in line
    assert 'layout of the original LSA' in line
    assert torch.equal(model.norm3.bias, TINY.weights()['norm.bias'])


@pytest.mark.parametrize('size', [(112, 140), 56], ids=str)
def test_position_embeddings_of_another_size_are_resized(load, size, device):
    """Loaded on another grid, the model computes on images of that size what resizing in the forward gives."""
    resized, line = load(TINY.weights(), lambda **init: TINY.backbone(pretrain_img_size=size, **init).to(device))
    loaded, _ = load(TINY.weights(), lambda **init: TINY.backbone(**init).to(device))
    assert '4 of them position tables resized' in line
    image = torch.randn(1, 3, *(size if isinstance(size, tuple) else (size, size)), device=device)
    with torch.no_grad():
        torch.testing.assert_close(resized(image), loaded(image), atol=1e-5, rtol=1e-5)


def test_embeddings_on_oblong_grids_come_back(load):
    source = TINY.backbone(pretrain_img_size=(112, 140))
    model, line = load(source.state_dict(), lambda **init: TINY.backbone(pretrain_img_size=(140, 112), **init))
    assert '4 of them position tables resized' in line
    again, line = load(source.state_dict(), lambda **init: TINY.backbone(pretrain_img_size=(112, 140), **init))
    assert ' 0 of them position tables resized' in line
    torch.testing.assert_close(again.state_dict(), source.state_dict(), rtol=0, atol=0)
    assert model.stages[0].position.grid_shape.tolist() == [20, 16]


@pytest.mark.parametrize(('source', 'target'), [('cifar-tiny', 'cifar-small'), ('imagenet-tiny', 'cifar-tiny')])
def test_another_archs_weights_are_refused_naming_both(load, source, target):
    with pytest.raises(CheckpointError, match=f"weights of LSA '{source}'; the model is LSA '{target}'"):
        load(LSA(source).state_dict(), lambda **init: LSA(target, **init))


def test_weights_with_one_key_value_head_are_another_arch(load):
    arch = {**TINY.arch, 'num_kv_heads': (1, 1, 1, 1)}
    with pytest.raises(CheckpointError, match=r'32\) channels of keys.*the model is LSA .*8\) channels of keys'):
        load(TINY.weights(), lambda **init: LSA(arch, **init))


def test_the_other_networks_weights_are_refused(load):
    with pytest.raises(CheckpointError, match='holds LSA weights; the model is GCViT'):
        load(TINY.weights(), lambda **init: GCViT('xxtiny', **init))
    gcvit = GCViT('xxtiny', out_indices=(0,)).state_dict()
    with pytest.raises(CheckpointError, match='holds GCViT weights; the model is LSA'):
        load(gcvit, lambda **init: LSA(TINY.arch, **init))


def test_a_checkpoint_that_lacks_a_tensor_is_refused_and_changes_nothing(tmp_path):
    weights = TINY.weights()
    del weights['layers.1.0.norm2.bias']
    torch.save(weights, tmp_path / 'x.pth')
    model = TINY.backbone(init_cfg={'type': 'Pretrained', 'checkpoint': str(tmp_path / 'x.pth')})
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=r'lacks 1 tensors of the model: stages\.1\.norm2\.bias'):
        model.init_weights()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize('arch', ARCHS)
def test_published_archs_are_known_by_their_weights(arch):
    with torch.device('meta'):
        assert LSA.describe_weights(LSA(arch).state_dict()) == repr(arch)


@all_references
def test_the_round_trip_from_the_original_is_exact(convert, reference, tmp_path):
    original = reference.weights()
    torch.save({'model': {f'module.{name}': tensor for name, tensor in original.items()}}, tmp_path / 'original.pth')
    convert(tmp_path / 'original.pth', tmp_path / 'here.pth')
    convert(tmp_path / 'here.pth', tmp_path / 'back.pth', '--to', 'original')
    found = read_checkpoint(str(tmp_path / 'back.pth'))['state_dict']
    assert set(found) == set(original)
    assert all(torch.equal(found[name], tensor) for name, tensor in original.items())


@all_references
def test_a_converted_classifier_computes_the_originals_logits(convert, reference, tmp_path):
    """Within 2e-5, through the converter and mmpretrain's whole classifier, every weight loaded."""
    torch.save(reference.weights(), tmp_path / 'original.pth')
    convert(tmp_path / 'original.pth', tmp_path / 'classifier.pth')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(
            {
                'type': 'ImageClassifier',
                'backbone': reference.backbone_config(),
                'neck': {'type': 'GlobalAveragePooling'},
                'head': {
                    'type': 'LinearClsHead',
                    'num_classes': NUM_CLASSES,
                    'in_channels': reference.arch['embed_dims'][-1],
                },
            }
        ).eval()
    load_checkpoint(model, str(tmp_path / 'classifier.pth'), strict=True)
    with torch.no_grad():
        torch.testing.assert_close(model(reference.image()), reference.outputs()[0], atol=2e-5, rtol=0)


def test_the_meta_names_network_and_arch(convert, tmp_path):
    torch.save(LSA('imagenet-small').state_dict(), tmp_path / 'x.pth')
    output = convert(tmp_path / 'x.pth', tmp_path / 'y.pth')
    meta = read_checkpoint(str(tmp_path / 'y.pth'))['meta']
    assert (meta['network'], meta['arch']) == ('LSA', 'imagenet-small')
    assert "LSA 'imagenet-small', a backbone without a head" in output
    assert read_weights(str(tmp_path / 'y.pth')).prefix == 'backbone.'


def test_there_is_no_lsa_in_timm(convert, tmp_path):
    torch.save(SMALL.weights(), tmp_path / 'x.pth')
    message = convert(tmp_path / 'x.pth', tmp_path / 'y.pth', '--to', 'timm', fails=True)
    assert 'LSA weights have no layout of timm; choose mmpretrain or original' in message


def test_weights_that_lack_a_tensor_are_not_converted(convert, tmp_path):
    weights = CIFAR.weights()
    del weights['layers.2.0.layers.0.1.fc2.weight']
    torch.save(weights, tmp_path / 'x.pth')
    message = convert(tmp_path / 'x.pth', tmp_path / 'y.pth', fails=True)
    assert 'lacks 1 tensors of its arch: stages.2.blocks.0.mlp.fc2.weight' in message


@pytest.mark.parametrize(
    'missing', ['layers.0.0.pos_emb', 'layers.0.0.norm1.weight', 'layers.1.0.layers.0.0.Wkv_odd.weight']
)
def test_weights_that_lack_what_tells_their_arch_are_not_converted(convert, missing, tmp_path):
    weights = CIFAR.weights()
    del weights[missing]
    torch.save(weights, tmp_path / 'x.pth')
    message = convert(tmp_path / 'x.pth', tmp_path / 'y.pth', fails=True)
    assert 'lacks' in message or 'is no whole LSA' in message
    assert not (tmp_path / 'y.pth').exists()
