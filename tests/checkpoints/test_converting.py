"""Converting checkpoints: round trips are exact, converted classifiers compute what their originals do."""

import hashlib
import sys
from fractions import Fraction

import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from mmpretrain.registry import MODELS

from mmgcvit import GCViT
from mmgcvit.checkpoints import DamagedCheckpointError, check_whole, read_checkpoint, read_weights
from mmgcvit.checkpoints.weights import Weights
from mmgcvit.checkpoints.writing import state_dict_for, with_classifier_names
from mmgcvit.models.gcvit.archs import ARCHS
from mmgcvit.models.gcvit.layouts import LAYOUTS, ORIGINAL

from ..conftest import ROOT
from ..programs import run
from ..reference import CLASSIFIERS, DATA, NUM_CLASSES, REFERENCES

TIMM_ARCHS = ['xxtiny', 'xtiny', 'tiny', 'small', 'base']


def state_dict_of(path):
    content = read_checkpoint(str(path))
    return content.get('state_dict', content)


def assert_same(found, expected):
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def original_checkpoint(reference):
    """With the index buffers that the original has, as its own code computes them: query minus key."""
    state_dict = reference.weights()
    for name, table in list(state_dict.items()):
        if name.endswith('relative_position_bias_table'):
            w = round((table.shape[0] ** 0.5 + 1) / 2)
            y, x = (grid.flatten() for grid in torch.meshgrid(torch.arange(w), torch.arange(w), indexing='ij'))
            index = (y[:, None] - y + w - 1) * (2 * w - 1) + x[:, None] - x + w - 1
            state_dict[name.replace('bias_table', 'index')] = index
    return state_dict


@pytest.mark.parametrize('arch', ['xxtiny', 'small'])
@pytest.mark.parametrize('layout', LAYOUTS, ids=lambda layout: layout.name)
def test_names_go_to_a_layout_and_back(layout, arch):
    """Every tensor of an arch without and of one with layer scale."""
    with torch.device('meta'):
        names = GCViT(arch, out_indices=(3,)).state_dict()
    if layout.name != 'mmgcvit':
        names = with_classifier_names(names)
    for name in names:
        there = layout.name_there(name)
        assert there is not None, name
        assert layout.name_here(there) == name


@pytest.mark.parametrize(('arch', 'file'), [('tiny', 'keys_gcvit_t.txt'), ('small', 'keys_gcvit_s.txt')])
def test_names_and_shapes_are_those_of_the_released_checkpoints(arch, file):
    tensors = with_classifier_names(GCViT(arch, out_indices=(3,)).state_dict())
    channels = tensors['final_norm.weight'].shape[0]
    tensors |= {'head.fc.weight': torch.zeros(1000, channels), 'head.fc.bias': torch.zeros(1000)}
    found = state_dict_for(Weights('here', LAYOUTS[2], '', False, tensors), ORIGINAL)
    listed = [line.split(' ', 1) for line in (DATA / file).read_text().splitlines()]
    assert {name: f'{tuple(t.shape)} {str(t.dtype).removeprefix("torch.")}' for name, t in found.items()} == dict(
        listed
    )


@pytest.mark.parametrize('reference', REFERENCES, ids=lambda reference: reference.name)
def test_the_round_trip_from_the_original_is_exact(convert, reference, tmp_path):
    original = original_checkpoint(reference)
    torch.save({'state_dict': original}, tmp_path / 'original.pth.tar')
    convert(tmp_path / 'original.pth.tar', tmp_path / 'here.pth')
    convert(tmp_path / 'here.pth', tmp_path / 'back.pth', '--to', 'original')
    assert_same(state_dict_of(tmp_path / 'back.pth'), original)


@pytest.mark.parametrize('reference', CLASSIFIERS, ids=lambda reference: reference.name)
def test_the_round_trip_over_timm_is_exact(convert, reference, tmp_path):
    original = original_checkpoint(reference)
    torch.save({'state_dict': original}, tmp_path / 'original.pth.tar')
    convert(tmp_path / 'original.pth.tar', tmp_path / 'timm.safetensors', '--to', 'timm')
    convert(tmp_path / 'timm.safetensors', tmp_path / 'back.pth', '--to', 'original')
    assert_same(state_dict_of(tmp_path / 'back.pth'), original)


@pytest.mark.parametrize('reference', CLASSIFIERS, ids=lambda reference: reference.name)
def test_a_converted_classifier_computes_the_originals_logits(convert, reference, tmp_path):
    """Within 2e-5, through the converter and mmpretrain's whole classifier, every weight loaded."""
    torch.save({'state_dict': reference.weights()}, tmp_path / 'original.pth.tar')
    convert(tmp_path / 'original.pth.tar', tmp_path / 'classifier.pth')
    model = build_classifier(reference.backbone_config(), NUM_CLASSES)
    load_checkpoint(model, str(tmp_path / 'classifier.pth'), strict=True)
    with torch.no_grad():
        torch.testing.assert_close(model(reference.image()), reference.outputs()[0], atol=2e-5, rtol=0)


@pytest.mark.parametrize('reference', REFERENCES, ids=lambda reference: reference.name)
def test_a_converted_backbone_computes_the_originals_maps(convert, reference, tmp_path):
    """Within 2e-5, through the converter and then ``init_cfg``."""
    torch.save({'state_dict': reference.weights()}, tmp_path / 'original.pth.tar')
    convert(tmp_path / 'original.pth.tar', tmp_path / 'here.pth')
    models = []
    for name in ('here.pth', 'original.pth.tar'):
        models.append(reference.backbone(init_cfg={'type': 'Pretrained', 'checkpoint': str(tmp_path / name)}))
        models[-1].init_weights()
    with torch.no_grad():
        found, unconverted = (model(reference.image()) for model in models)
    expected = unconverted if reference.is_classifier else reference.outputs()
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0)


def test_weights_that_lack_a_tensor_are_not_converted(convert, tmp_path):
    weights = REFERENCES[0].weights()
    del weights['levels.1.blocks.0.mlp.fc2.weight']
    torch.save(weights, tmp_path / 'x.pth')
    message = convert(tmp_path / 'x.pth', tmp_path / 'y.pth', fails=True)
    assert 'lacks 1 tensors of its arch: stages.1.blocks.0.mlp.fc2.weight' in message
    assert not (tmp_path / 'y.pth').exists()


def test_a_backbone_without_a_head_and_what_is_ignored_are_named(convert, tmp_path):
    torch.save(REFERENCES[0].weights() | {'optimizer_state': torch.zeros(1)}, tmp_path / 'x.pth')
    output = convert(tmp_path / 'x.pth', tmp_path / 'y.pth')
    assert 'a backbone without a head' in output
    assert '1 ignored (optimizer_state)' in output


def test_a_format_that_mmpretrain_cannot_read_is_refused(convert, tmp_path):
    torch.save(REFERENCES[0].weights(), tmp_path / 'x.pth')
    assert 'mmpretrain reads no safetensors' in convert(tmp_path / 'x.pth', tmp_path / 'y.safetensors', fails=True)


def test_oblong_windows_have_no_place_in_other_layouts(convert, tmp_path):
    model = REFERENCES[0].backbone(window_size=[(4, 7)] * 4)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'x.pth')
    message = convert(tmp_path / 'x.pth', tmp_path / 'y.pth', '--to', 'original', fails=True)
    assert 'no place for' in message
    assert 'window_shape' in message
    convert(tmp_path / 'x.pth', tmp_path / 'z.pth')
    assert read_checkpoint(str(tmp_path / 'z.pth'))['meta']['window_size'] == ((4, 7),) * 4


def build_classifier(backbone, num_classes):
    cfg = Config.fromfile(ROOT / 'configs' / 'gcvit_t_in1k.py')
    cfg.model.backbone = backbone
    cfg.model.head.num_classes = num_classes
    arch = backbone['arch']
    cfg.model.head.in_channels = 8 * (ARCHS[arch].embed_dims if isinstance(arch, str) else arch['embed_dims'])
    return MODELS.build(cfg.model).eval()


def test_the_meta_tells_where_the_weights_are_from(convert, tmp_path):
    source = tmp_path / 'original.pth.tar'
    torch.save({'state_dict': CLASSIFIERS[1].weights(), 'state_dict_ema': CLASSIFIERS[1].weights()}, source)
    convert(source, tmp_path / 'classifier.pth', '--ema')
    meta = read_checkpoint(str(tmp_path / 'classifier.pth'))['meta']
    assert meta['window_size'] == ((12, 12), (12, 12), (24, 24), (12, 12))
    assert meta['source'] == str(source)
    assert meta['source_layout'] == 'the original GC ViT'
    assert meta['source_sha256'] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert meta['moving_average'] is True
    assert 'embed_dims 8' in meta['arch']


@pytest.mark.slow
@pytest.mark.parametrize('arch', TIMM_ARCHS)
def test_timm_computes_the_same_both_ways(arch):
    """At 224 px with timm's random weights: logits and each stage's map within 1e-4; and our weights in timm."""
    theirs = timm.create_model(f'gcvit_{arch}').eval()
    # Random weights of some size, or differences would drown in the initial ones.
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.05 if parameter.ndim > 1 else 0.5)
    ours = build_classifier({'type': 'mmgcvit.GCViT', 'arch': arch, 'out_indices': (3,)}, 1000)
    weights = Weights('timm', LAYOUTS[1], '', False, {})
    for name, tensor in theirs.state_dict().items():
        here = LAYOUTS[1].name_here(name)
        if here is not None:
            weights.tensors[here] = LAYOUTS[1].shape_here(here, tensor)
    state_dict = {
        name if name.startswith('head') else f'backbone.{name.replace("final_norm", "norm3")}': tensor
        for name, tensor in weights.tensors.items()
    }
    ours.load_state_dict(state_dict, strict=True)
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(image), atol=1e-4, rtol=1e-4)
        their_maps = theirs.forward_intermediates(image, intermediates_only=True)[-4:]
        our_maps, x = [], image
        for before, stage in ours.backbone.levels():
            x = stage(before(x))
            our_maps.append(x)
        for i, (found, expected) in enumerate(zip(our_maps, their_maps, strict=True)):
            found = found.permute(0, 3, 1, 2)
            if i == 3:
                found = ours.backbone.norm3(found.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    del ours, state_dict
    back = state_dict_for(weights, LAYOUTS[1])
    other = timm.create_model(f'gcvit_{arch}').eval()
    missing = other.load_state_dict(back, strict=False)
    assert not missing.unexpected_keys
    assert not missing.missing_keys
    with torch.no_grad():
        torch.testing.assert_close(other(image), theirs(image), rtol=0, atol=0)


def test_a_detectors_output_norms_have_no_place_in_timm(convert, tmp_path):
    torch.save({'state_dict': REFERENCES[0].weights()}, tmp_path / 'x.pth')
    message = convert(tmp_path / 'x.pth', tmp_path / 'y.pth', '--to', 'timm', fails=True)
    assert 'the layout of timm has no place for norm0.bias' in message


def test_a_file_that_exists_is_not_replaced(convert, tmp_path):
    torch.save({'state_dict': REFERENCES[0].weights()}, tmp_path / 'x.pth')
    (tmp_path / 'y.pth').write_text('precious')
    assert 'exists' in convert(tmp_path / 'x.pth', tmp_path / 'y.pth', fails=True)
    assert (tmp_path / 'y.pth').read_text() == 'precious'


def test_a_file_that_is_no_checkpoint_is_answered_in_one_sentence(tmp_path):
    (tmp_path / 'x.pth').write_text('words')
    command = [sys.executable, '-m', 'mmgcvit', 'convert', tmp_path / 'x.pth', tmp_path / 'y.pth']
    ended = run(command)
    assert ended.returncode == 1
    assert 'is no checkpoint' in ended.stderr
    assert 'Traceback' not in ended.stderr
    assert not (tmp_path / 'y.pth').exists()


def test_own_detectors_checkpoints_convert(convert, tmp_path):
    """The backbone of a whole detector, to the original's layout."""
    original = original_checkpoint(REFERENCES[0])
    torch.save({'state_dict': original}, tmp_path / 'x.pth')
    tensors = read_weights(str(tmp_path / 'x.pth')).tensors
    detector = {f'backbone.{name}': tensor for name, tensor in tensors.items()} | {'neck.conv.weight': torch.zeros(1)}
    torch.save({'state_dict': detector, 'meta': {}}, tmp_path / 'detector.pth')
    convert(tmp_path / 'detector.pth', tmp_path / 'back.pth', '--to', 'original')
    assert_same(state_dict_of(tmp_path / 'back.pth'), original)


@pytest.fixture
def altered(tmp_path):
    """A checkpoint in the original's layout with one tensor changed, as Python's own reading has it."""

    def altered(name, change):
        weights = REFERENCES[0].weights()
        weights[name] = change(weights[name])
        torch.save(weights, tmp_path / 'x.pth')
        return tmp_path / 'x.pth'

    return altered


FC2 = 'levels.1.blocks.0.mlp.fc2.weight'
TABLE = 'levels.1.blocks.0.attn.relative_position_bias_table'


@pytest.mark.parametrize(
    ('name', 'change', 'reason'),
    [
        (FC2, lambda t: t[:-1], '1 tensors of another shape or kind: stages.1.blocks.0.mlp.fc2.weight'),
        (FC2, lambda t: t[None], 'another shape or kind'),
        (FC2, lambda t: t.flatten(), 'another shape or kind'),
        (FC2, lambda t: t.long(), 'of torch.int64'),
        (FC2, lambda t: t.to(torch.complex64), 'complex numbers'),
        (FC2, lambda t: t.clone().index_fill_(0, torch.tensor([0]), float('nan')), 'not finite'),
        (FC2, lambda t: t / 0, 'not finite'),
        (TABLE, lambda t: t[:0], 'relative_position_bias_table'),
        (TABLE, lambda t: t[:50], 'relative_position_bias_table'),
        (TABLE, lambda t: torch.zeros(401**2, t.shape[1]), 'windows larger than 64'),
        ('patch_embed.proj.weight', lambda t: t[:, :, :1], 'another shape or kind'),
    ],
)
def test_weights_of_another_shape_or_kind_are_not_converted(convert, altered, name, change, reason, tmp_path):
    message = convert(altered(name, change), tmp_path / 'y.pth', '--to', 'original', fails=True)
    assert reason in message
    assert not (tmp_path / 'y.pth').exists()


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (lambda t: t.to_sparse(), 'torch.sparse_coo'),
        (lambda t: t.to('meta'), 'meta device'),
        (lambda t: torch.quantize_per_tensor(t, 1.0, 0, torch.qint8), 'quantized'),
    ],
)
@pytest.mark.filterwarnings('ignore:.*quantize')
def test_trusted_files_of_other_layouts_are_not_converted(convert, altered, change, reason, tmp_path):
    message = convert(altered(FC2, change), tmp_path / 'y.pth', '--trust-checkpoint', fails=True)
    assert reason in message
    assert not (tmp_path / 'y.pth').exists()


def test_a_file_of_ones_own_with_other_classes_is_converted_if_trusted(convert, tmp_path):
    torch.save({'state_dict': REFERENCES[0].weights(), 'extra': Fraction(1, 3)}, tmp_path / 'x.pth')
    convert(tmp_path / 'x.pth', tmp_path / 'y.pth', '--trust-checkpoint')
    check_whole(tmp_path / 'y.pth')


def test_what_is_written_has_its_digest(convert, tmp_path):
    torch.save({'state_dict': CLASSIFIERS[0].weights()}, tmp_path / 'x.pth')
    convert(tmp_path / 'x.pth', tmp_path / 'y.pth')
    convert(tmp_path / 'x.pth', tmp_path / 'y.safetensors', '--to', 'timm')
    for name in ('y.pth', 'y.safetensors'):
        content = bytearray((tmp_path / name).read_bytes())
        content[len(content) // 2] ^= 1
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DamagedCheckpointError):
            read_checkpoint(str(tmp_path / name))
