"""Loading by naming: any layout, any prefix, complete or refused, and one line that says what came of it."""

import pytest
import torch

from mmgcvit import GCViT
from mmgcvit.checkpoints import CheckpointError
from mmgcvit.checkpoints.weights import Weights
from mmgcvit.checkpoints.writing import state_dict_for
from mmgcvit.models.gcvit.layouts import ORIGINAL, TIMM
from mmgcvit.models.layers.position import resize_table

from ..reference import REFERENCES

DENSE, ODD, _, CLASSIFIER, _ = REFERENCES


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a checkpoint's content into a backbone through ``init_cfg``; returns the backbone and the log line."""
    lines = []
    monkeypatch.setattr('mmgcvit.checkpoints.loading.print_log', lambda line, *_: lines.append(line))

    def load(content, reference=DENSE, arguments=None, **options):
        path = tmp_path / 'checkpoint'
        torch.save(content, path)
        init_cfg = {'type': 'Pretrained', 'checkpoint': str(path), **options}
        model = reference.backbone(init_cfg=init_cfg, **(arguments or {}))
        model.init_weights()
        (line,) = lines
        return model, line

    return load


def loaded_weights(reference, **arguments):
    """A backbone's state dict as it must be after loading a reference."""
    weights = Weights('here', ORIGINAL, '', False, {})
    for name, tensor in reference.weights().items():
        weights.tensors[ORIGINAL.name_here(name)] = tensor
    return weights.tensors


def assert_loaded(model, reference):
    expected = loaded_weights(reference)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize('prefix', ['', 'module.', 'backbone.', 'model.backbone.', 'module.student.backbone.'])
def test_any_prefix_is_found(load, prefix):
    content = {prefix + name: tensor for name, tensor in DENSE.weights().items()}
    assert_loaded(load({'state_dict': content})[0], DENSE)


@pytest.mark.parametrize('wrap', [lambda s: s, lambda s: {'state_dict': s}, lambda s: {'model': s, 'epoch': 3}])
def test_the_weights_are_found_wherever_trainers_put_them(load, wrap):
    assert_loaded(load(wrap(DENSE.weights()))[0], DENSE)


@pytest.mark.parametrize(('ema', 'factor'), [(False, 1), (True, 2)])
def test_the_moving_average_is_taken_when_asked_for(load, ema, factor):
    content = {
        'state_dict': DENSE.weights(),
        'state_dict_ema': {f'module.{name}': 2 * tensor for name, tensor in DENSE.weights().items()},
    }
    model, line = load(content, ema=ema)
    torch.testing.assert_close(model.stem.proj.weight, factor * DENSE.weights()['patch_embed.proj.weight'])
    assert ('moving average' in line) == ema


def test_of_several_networks_the_named_one_is_taken(load):
    content = {f'teacher.{name}': tensor for name, tensor in DENSE.weights().items()}
    content |= {f'student.{name}': 2 * tensor for name, tensor in DENSE.weights().items()}
    model, _ = load(content, prefix='teacher')
    assert_loaded(model, DENSE)
    with pytest.raises(CheckpointError, match=r"several networks, under 'teacher\.', 'student\.'; name one as prefix"):
        load(content)


def test_own_checkpoints_load_with_the_head_beside_the_backbone_ignored(load):
    content = {f'backbone.{name}': tensor for name, tensor in loaded_weights(DENSE).items()}
    content['head.fc.weight'] = torch.zeros(11, 64)
    content['rpn_head.rpn_conv.weight'] = torch.zeros(3)
    model, line = load({'state_dict': content, 'meta': {}})
    assert_loaded(model, DENSE)
    assert '2 ignored' in line
    assert 'rpn_head.rpn_conv.weight' in line


def test_timms_layout_loads(load):
    tensors = loaded_weights(CLASSIFIER)
    content = state_dict_for(Weights('here', ORIGINAL, '', False, tensors), TIMM)
    model, line = load(content, CLASSIFIER)
    assert torch.equal(model.norm3.weight, tensors['final_norm.weight'])
    assert torch.equal(
        model.stem.downsample.conv.squeeze_excite.squeeze.weight,
        tensors['stem.downsample.conv.squeeze_excite.squeeze.weight'],
    )
    assert 'layout of timm' in line


def test_the_line_counts_what_was_loaded_resized_left_initial_and_ignored(load):
    """A classifier's weights in a detector's backbone with other windows."""
    model, line = load(
        {'state_dict': CLASSIFIER.weights()}, CLASSIFIER, {'out_indices': (0, 1, 2, 3), 'window_size': (7, 7, 12, 7)}
    )
    assert f'{len(model.state_dict()) - 6} tensors loaded' in line
    assert '3 of them position tables resized' in line
    assert '6 left initial (output norms norm0, norm1, norm2)' in line
    assert '2 ignored (head.fc.weight, head.fc.bias)' in line
    assert "the last output norm is the classifier's final norm" in line
    assert torch.equal(model.norm3.bias, CLASSIFIER.weights()['norm.bias'])
    assert torch.equal(model.norm0.weight, torch.ones(8))


def test_a_backbone_of_fewer_stages_takes_what_it_has(load):
    model, line = load({'state_dict': DENSE.weights()}, arguments={'out_indices': (0, 1)})
    expected = loaded_weights(DENSE)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())
    assert ' 0 ignored' not in line


def test_another_archs_weights_are_refused_naming_both(load):
    with pytest.raises(CheckpointError, match=r'holds weights of GCViT of embed_dims 8, depths .*; the model is .*16'):
        load({'state_dict': DENSE.weights()}, arguments={'arch': DENSE.backbone_config()['arch'] | {'embed_dims': 16}})


@pytest.mark.parametrize(('source', 'target'), [('xxtiny', 'xtiny'), ('tiny', 'tiny2'), ('small', 'base')])
def test_published_archs_are_called_by_name(source, target, tmp_path):
    torch.save(GCViT(source).state_dict(), tmp_path / 'x.pth')
    model = GCViT(target, init_cfg={'type': 'Pretrained', 'checkpoint': str(tmp_path / 'x.pth')})
    with pytest.raises(CheckpointError, match=rf"holds weights of GCViT '{source}'; the model is GCViT '{target}'"):
        model.init_weights()


def test_weights_with_layer_scale_are_another_arch(load):
    with pytest.raises(CheckpointError, match=r'with layer scale; the model is .* without layer scale'):
        load({'state_dict': ODD.weights()}, DENSE)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'state_dict': {}}, 'holds no weights'),
        ({}, 'holds no weights'),
        ([1, 2], 'holds no weights'),
        (
            {'state_dict': dict.fromkeys(['layer1.0.conv1.weight', *'abcd'], torch.zeros(1))},
            r'holds no network .* its 5 tensors are layer1\.0\.conv1\.weight, a, b, c, \.\.\.; known layouts: \w+',
        ),
    ],
)
def test_a_checkpoint_without_the_network_is_refused(load, content, message):
    with pytest.raises(CheckpointError, match=message):
        load(content)


def test_a_checkpoint_that_lacks_a_tensor_is_refused(load):
    weights = DENSE.weights()
    del weights['levels.1.blocks.1.mlp.fc2.weight']
    with pytest.raises(CheckpointError, match=r'lacks 1 tensors of the model: stages\.1\.blocks\.1\.mlp\.fc2\.weight'):
        load(weights)


def test_a_tensor_of_another_shape_is_refused(load):
    weights = DENSE.weights()
    weights['levels.0.downsample.reduction.weight'] = torch.zeros(16, 8, 2, 2)
    with pytest.raises(
        CheckpointError, match=r'1 tensors of other shapes: downsamplers\.0\.reduction\.weight \(16, 8, 2, 2\)'
    ):
        load(weights)


@pytest.mark.parametrize('spoil', ['missing', 'shape', 'table'])
def test_a_refused_checkpoint_changes_nothing(spoil, tmp_path):
    """The spoilt tensor is the last to be loaded."""
    weights = DENSE.weights()
    if spoil == 'missing':
        del weights['norm3.weight'], weights['levels.3.blocks.0.mlp.fc2.bias']
    elif spoil == 'shape':
        weights['levels.3.blocks.0.mlp.fc2.bias'] = torch.zeros(3)
    else:
        weights['levels.3.blocks.0.attn.relative_position_bias_table'] = torch.zeros(35, 8)
    torch.save(weights, tmp_path / 'x.pth')
    model = DENSE.backbone(init_cfg={'type': 'Pretrained', 'checkpoint': str(tmp_path / 'x.pth')})
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError):
        model.init_weights()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize('trained', [(4, 7), 7, (7, 4)], ids=str)
@pytest.mark.parametrize('loaded', [(4, 7), (7, 4), 6, (2, 8)], ids=str)
def test_tables_of_oblong_windows_are_resized_from_the_windows_they_were_trained_at(trained, loaded, load):
    """The size of a table does not tell (4, 7) from (7, 4)."""
    source = DENSE.backbone(window_size=[trained] * 4)
    model, line = load({'state_dict': source.state_dict()}, arguments={'window_size': [loaded] * 4})
    pairs = [(w, w) if isinstance(w, int) else w for w in (trained, loaded)]
    grids = [(2 * h - 1, 2 * w - 1) for h, w in pairs]
    for ours, theirs in zip(model.stages[0].blocks, source.stages[0].blocks, strict=True):
        expected = resize_table(theirs.attn.position.relative_position_bias_table, *grids)
        torch.testing.assert_close(ours.attn.position.relative_position_bias_table, expected)
    assert f'{0 if trained == loaded else 8} of them position tables resized' in line


@pytest.mark.parametrize('out_indices', [(1, 2, 3), (3,), (0, 1)])
def test_a_backbone_of_some_outputs_loads_into_one_of_all_and_back(out_indices, load):
    some = DENSE.backbone(out_indices=out_indices)
    everything = DENSE.backbone()
    model, _ = load({'state_dict': everything.state_dict()}, arguments={'out_indices': out_indices})
    expected = everything.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())
    assert set(model.state_dict()) == set(some.state_dict())


def test_a_moving_average_that_is_not_there_is_not_replaced_by_something_else(load):
    with pytest.raises(CheckpointError, match=r'no moving average .*leave ema out'):
        load({'state_dict': DENSE.weights()}, ema=True)


def test_a_moving_average_alone_is_taken_and_called_so(load):
    model, line = load({'state_dict_ema': DENSE.weights()})
    assert_loaded(model, DENSE)
    assert 'moving average' in line


@pytest.mark.parametrize('window_size', [None, 5], ids=['as trained', 'resized'])
def test_weights_load_into_a_model_on_its_device(window_size, load, tmp_path, device):
    """They are what a model on the CPU gets, and it stays where it is."""
    arguments = {'window_size': window_size} if window_size else {}
    expected, _ = load(DENSE.weights(), arguments=arguments)
    init_cfg = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'checkpoint')}
    model = DENSE.backbone(init_cfg=init_cfg, **arguments).to(device)
    model.init_weights()
    for name, tensor in model.state_dict().items():
        assert tensor.device.type == device, name
        torch.testing.assert_close(tensor.cpu(), expected.state_dict()[name], atol=1e-6, rtol=1e-6, msg=name)
    images = DENSE.image().to(device)
    with torch.no_grad():
        torch.testing.assert_close(model(images)[-1].cpu(), expected(images.cpu())[-1], atol=2e-5, rtol=0)


def test_a_subclass_takes_its_networks_weights(tmp_path):
    class Own(GCViT):
        pass

    torch.save(DENSE.weights(), tmp_path / 'x.pth')
    config = DENSE.backbone_config(init_cfg={'type': 'Pretrained', 'checkpoint': str(tmp_path / 'x.pth')})
    del config['type']
    model = Own(**config)
    model.init_weights()
    assert_loaded(model, DENSE)


def test_other_initialisations_still_work():
    model = DENSE.backbone(init_cfg={'type': 'Constant', 'layer': 'Linear', 'val': 0.5})
    model.init_weights()
    assert model.stages[0].blocks[0].mlp.fc1.weight.unique().tolist() == [0.5]


def test_a_detector_loads_its_backbone_when_it_is_initialised(tmp_path):
    """As the Runner does it: the model's ``init_weights``, with the backbone's ``init_cfg``."""
    from mmdet.registry import MODELS

    torch.save({'state_dict': DENSE.weights()}, tmp_path / 'x.pth')
    backbone = DENSE.backbone_config(init_cfg={'type': 'Pretrained', 'checkpoint': str(tmp_path / 'x.pth')})
    model = MODELS.build(
        {
            'type': 'RetinaNet',
            'backbone': backbone,
            'neck': {'type': 'FPN', 'in_channels': [8, 16, 32, 64], 'out_channels': 16, 'num_outs': 5},
            'bbox_head': {
                'type': 'RetinaHead',
                'num_classes': 2,
                'in_channels': 16,
                'anchor_generator': {
                    'type': 'AnchorGenerator',
                    'scales': [4],
                    'ratios': [1],
                    'strides': [4, 8, 16, 32, 64],
                },
            },
        }
    )
    model.init_weights()
    assert_loaded(model.backbone, DENSE)
