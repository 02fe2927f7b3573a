"""Load weights with any key mapping and prefix, completely or not at all, with one log line as a
summary.
"""

import re
import tempfile

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mmgcvit import LSA, GCViT
from mmgcvit.checkpoints.fitting import fit_checkpoint
from mmgcvit.checkpoints.grids import POSITION_TABLES
from mmgcvit.checkpoints.safe_loading import Checkpoint
from mmgcvit.checkpoints.starting import select_initial
from mmgcvit.checkpoints.translating import translate
from mmgcvit.checkpoints.weights import find_state_dict, read_weights
from mmgcvit.errors import CheckpointError
from mmgcvit.models.gcvit.key_mappings import ORIGINAL

from ..reference import LSA_REFERENCES, REFERENCES

pytestmark = pytest.mark.usefixtures('empty_folder')
DENSE, ODD, _, CLASSIFIER, _ = REFERENCES
TINY = LSA_REFERENCES[0]
WEIGHTS = DENSE.weights()
LOADED = {translate(name, ORIGINAL.rows): tensor for name, tensor in WEIGHTS.items()}


@pytest.fixture
def load(monkeypatch):
    """Load a checkpoint's content into a backbone through ``init_cfg``.

    Return the backbone and the log line.
    """
    lines = []
    monkeypatch.setattr(
        'mmgcvit.checkpoints.loading.print_log', lambda line, *_: lines.append(line)
    )

    def load(content, reference=DENSE, arguments=None, **options):
        torch.save(content, 'x.pth')
        init_cfg = {'type': 'Pretrained', 'checkpoint': 'x.pth', **options}
        model = reference.backbone(init_cfg=init_cfg, **(arguments or {}))
        model.init_weights()
        return model, lines[-1]

    return load


def assert_equal(found, expected):
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


def assert_same(model, expected):
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def add_prefix(prefix, tensors, factor=1):
    return {prefix + name: factor * tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    'prefix', ['', 'module.', 'module.student.backbone.', '_orig_mod.', 'net._orig_mod.']
)
def test_weights_are_found_under_any_prefix(prefix, load):
    assert_same(load(add_prefix(prefix, WEIGHTS))[0], LOADED)


@pytest.mark.parametrize('prefix', ['', 'module.', 'module.student.'])
def test_a_classifiers_head_is_found_beside_a_backbone_under_any_prefix(prefix):
    """mmpretrain's classifiers have it; the heads of other networks are not theirs."""
    head = {'weight': torch.rand(5, 64), 'bias': torch.rand(5)}
    model = DENSE.backbone()
    content = add_prefix(f'{prefix}backbone.', model.state_dict())
    content |= add_prefix(f'{prefix}head.fc.', head) | add_prefix('teacher.head.fc.', head, 2)
    torch.save({'state_dict': content}, 'x.pth')
    weights = read_weights('x.pth')
    assert_equal(weights.tensors, model.state_dict() | add_prefix('head.fc.', head))
    assert weights.unused == ['teacher.head.fc.weight', 'teacher.head.fc.bias']


def test_ema_weights_are_loaded_if_requested_or_if_there_are_no_others(load):
    plain = {'state_dict': WEIGHTS}
    average = {'state_dict_ema': add_prefix('module.', WEIGHTS, 2)}
    for content, ema, factor in (
        (plain | average, False, 1),
        (plain | average, True, 2),
        (average, False, 2),
    ):
        model, line = load(content, ema=ema)
        assert_same(model, add_prefix('', LOADED, factor))
        assert ('EMA' in line) == (factor == 2)
    with pytest.raises(
        CheckpointError, match=r'has no weights under state_dict_ema, model_ema\. If it has no EMA'
    ):
        load(plain, ema=True)


@pytest.mark.parametrize('ema', [False, True])
def test_only_who_asks_for_ema_weights_is_told_to_ask_for_others(ema):
    with pytest.raises(CheckpointError, match='has no weights under') as raised:
        find_state_dict({'optimizer': {}}, 'x.pth', ema)
    assert ('If it has no EMA weights' in str(raised.value)) is ema


@pytest.mark.parametrize(
    ('name', 'tensor', 'message'),
    [
        ('stem.proj.weight', None, r'only a part of GCViT \(it lacks stem\.proj\.weight\)'),
        ('stem.proj.weight', torch.tensor(1.0), r'stem\.proj\.weight has the shape \(\)'),
        ('stages.0.blocks.0.mlp.fc1.weight', torch.ones(3, 0), r'the shape \(3, 0\)'),
    ],
)
def test_weights_that_do_not_show_the_arch_are_refused(name, tensor, message):
    weights = DENSE.backbone().state_dict()
    weights.pop(name)
    if tensor is not None:
        weights[name] = tensor
    torch.save(weights, 'x.pth')
    with pytest.raises(CheckpointError, match=message):
        GCViT.from_pretrained('x.pth')


def test_a_fault_of_a_network_is_not_taken_for_one_of_the_checkpoint(monkeypatch):
    def describe(*_):
        return {}['typo']

    torch.save(DENSE.backbone().state_dict(), 'x.pth')
    monkeypatch.setattr(GCViT, 'describe_shapes', staticmethod(describe))
    with pytest.raises(KeyError, match='typo'):
        GCViT.from_pretrained('x.pth')


def test_prefix_selects_one_of_several_networks(load):
    content = add_prefix('teacher.', WEIGHTS) | add_prefix('student.', WEIGHTS, 2)
    assert_same(load(content, prefix='teacher')[0], LOADED)
    with pytest.raises(
        CheckpointError, match=r"several networks, with the prefixes 'teacher\.', 'student\.'"
    ):
        load(content)


@pytest.mark.parametrize('prefix', ['', 'student.'])
def test_weights_of_compiled_blocks_are_found(prefix, load):
    """torch.compile puts a prefix before the keys of each module that it compiles."""
    compiled = {
        name.replace('.blocks.0.', '.blocks.0._orig_mod.'): x for name, x in WEIGHTS.items()
    }
    assert_same(load(add_prefix(prefix, compiled))[0], LOADED)


def test_a_part_of_a_word_is_no_prefix(load):
    with pytest.raises(CheckpointError, match='is not a checkpoint of GC ViT or LSA'):
        load(add_prefix('my', WEIGHTS))


def test_other_checkpoints_are_rejected(load):
    message = r'not a checkpoint of GC ViT .* 5 keys \(a, b, c, d, \.\.\.\)'
    with pytest.raises(CheckpointError, match=message):
        load({'state_dict': dict.fromkeys('abcde', torch.zeros(1))})


@pytest.mark.parametrize(
    ('network', 'arguments', 'resized'),
    [(CLASSIFIER, {'window_size': (7, 7, 12, 7)}, 3), (TINY, {}, 0)],
)
def test_the_log_line_counts_loaded_resized_initial_and_unused_tensors(
    network, arguments, resized, load
):
    """Load a classifier into a detector's backbone, whose output norms start at 1 and 0 as in the
    released code.
    """
    arguments = {'out_indices': (0, 1, 2, 3), **arguments}
    model, line = load({'state_dict': network.weights()}, network, arguments)
    assert line.endswith(
        f': {len(model.state_dict()) - 8} tensors loaded; {resized} position biases or embeddings '
        'resized; 8 keep initial values (output norms norm0, norm1, norm2, norm3); 4 in the file '
        'are unused (final_norm.weight, final_norm.bias, head.fc.weight, ...)'
    )
    assert torch.equal(model.norm3.weight, torch.ones_like(model.norm3.weight))


@pytest.mark.parametrize('network', [GCViT, LSA])
def test_published_archs_are_inferred_from_their_weights(network):
    for arch in network.archs:
        with torch.device('meta'):
            assert network.infer_arch(network(arch).state_dict()).names == [arch]


@pytest.mark.parametrize(
    ('source', 'target', 'message'),
    [
        (GCViT('xxtiny'), GCViT('xtiny'), "GCViT 'xxtiny', but the model is GCViT 'xtiny'"),
        (
            ODD.backbone(),
            DENSE.backbone(),
            'of embed_dims 8, .*has_layer_scale True, but the model is .*has_layer_scale False',
        ),
        (
            TINY.backbone(),
            LSA({**TINY.arch, 'num_kv_heads': (1,) * 4}),
            r'heads_per_kv_head \(1, 1.*heads_per_kv_head \(4, 4',
        ),
        (TINY.backbone(), GCViT('xxtiny'), 'has weights of LSA, but the model is GCViT'),
    ],
)
def test_weights_of_another_arch_or_network_are_rejected_and_both_are_named(
    source, target, message
):
    torch.save(source.state_dict(), 'x.pth')
    target.init_cfg = {'type': 'Pretrained', 'checkpoint': 'x.pth'}
    with pytest.raises(CheckpointError, match=message):
        target.init_weights()


@pytest.mark.parametrize('reference', [DENSE, TINY])
def test_a_rejected_checkpoint_changes_no_weights(reference):
    """The invalid tensors are among the last to be loaded."""
    model = reference.backbone(init_cfg={'type': 'Pretrained', 'checkpoint': 'x.pth'})
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    last = [name for name in before if 'fc2.bias' in name][-1]
    table = [name for name in before if name.endswith(POSITION_TABLES)][-1]
    oblong = torch.zeros(*before[table].shape[:-2], 35, before[table].shape[-1])
    for weights, message in (
        ({**before, last: torch.zeros(3)}, rf'1 tensor \({last} \(3,\).* wrong shape or dtype'),
        ({**before, table: oblong}, '35, .* are not square'),
    ):
        torch.save(weights, 'x.pth')
        with pytest.raises(CheckpointError, match=message):
            model.init_weights()
        assert_same(model, before)


@pytest.mark.parametrize('made', [GCViT('xxtiny'), LSA()])
def test_from_pretrained_infers_the_arch_from_the_weights(made):
    weights = made.state_dict()
    torch.save({'state_dict': add_prefix('backbone.', weights)}, 'x.pth')
    assert_same(type(made).from_pretrained('x.pth', drop_path_rate=0.0), weights)


def test_from_pretrained_needs_an_arch_that_is_not_published():
    path = 'own.pth'
    torch.save(DENSE.backbone().state_dict(), path)
    with pytest.raises(
        CheckpointError, match=r'own\.pth has weights of GCViT of embed_dims 8.*Set arch='
    ):
        GCViT.from_pretrained(path)
    loaded = GCViT.from_pretrained(path, arch=DENSE.arch, window_size=8, out_indices=(1, 3))
    assert [found.shape[1] for found in loaded(torch.zeros(1, 3, 64, 64))] == [16, 64]


@pytest.fixture(scope='module')
def model():
    return DENSE.backbone()


@given(
    places=st.lists(
        st.sampled_from(['stem.proj', 'stages.1.blocks.0.attn.qkv', 'norm3', 'stages']),
        min_size=1,
        max_size=20,
    ),
    end=st.sampled_from(['lora_up', 'lora_A.default.weight', 'running_mean', 'foreign.weight']),
)
def test_keys_below_modules_of_the_backbone_without_a_place_are_refused_and_named(
    places, end, model
):
    """They are found with any prefix, by init_cfg and in a whole model (load, resume, load_from)."""
    planted = {f'{place}.{end}': torch.zeros(1) for place in places}
    message = rf'{len(planted)} tensors? \({re.escape(next(iter(planted)))}.*no place'
    if end == 'lora_up':  # LoRA's matrices are merged, if they are complete
        message = r'LoRA matrices of \S+ without its '
    with tempfile.TemporaryDirectory() as folder:
        model.init_cfg = {'type': 'Pretrained', 'checkpoint': f'{folder}/foreign.pth'}
        torch.save(model.state_dict() | planted, f'{folder}/foreign.pth')
        with pytest.raises(CheckpointError, match=message):
            model.init_weights()
    whole = nn.ModuleDict({'backbone': model})
    tensors = add_prefix('backbone.', model.state_dict() | planted)
    message = message.replace(r'\(', r'\(backbone\.')
    for check in (fit_checkpoint, select_initial):
        with pytest.raises(CheckpointError, match=message):
            check(whole, Checkpoint('x', {'state_dict': dict(tensors)}, None, False))


@pytest.mark.parametrize('reference', [*REFERENCES, *LSA_REFERENCES])
@torch.no_grad()
def test_outputs_of_the_authors_implementation_within_2e_5(reference, device):
    """``init_cfg`` names a checkpoint with the authors' keys.

    Bias tables are resized to other windows.
    """
    weights = reference.weights()
    torch.save({'state_dict': weights}, 'original.pth.tar')
    model = reference.backbone(init_cfg={'type': 'Pretrained', 'checkpoint': 'original.pth.tar'})
    model.init_weights()
    found = [found.cpu() for found in model.to(device)(reference.image().to(device))]
    for head in ('head', 'mlp_head'):
        if f'{head}.weight' in weights:
            pooled = found[0].mean((2, 3))
            found = [pooled @ weights[f'{head}.weight'].T + weights[f'{head}.bias']]
    for ours, theirs in zip(found, reference.outputs(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0)
