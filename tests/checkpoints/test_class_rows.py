"""A model that starts from one with other classes keeps the rows of the classes of the same names, in
all heads, and those of new classes are as in a fresh head.
"""

import unicodedata

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmgcvit.checkpoints.class_rows import ClassMatch, split_rows
from mmgcvit.checkpoints.safe_loading import Checkpoint
from mmgcvit.checkpoints.starting import select_initial
from mmgcvit.errors import CheckpointError, UserError
from mmgcvit.predict.loading import check_class_names
from mmgcvit.predict.results import find_labels

OLD = ('cat', 'dog', 'eel')
NEW = ('dog', 'fox', 'cat', 'gnu')
MATCH = ClassMatch(OLD, NEW)
FPN = {'in_channels': 4, 'feat_channels': 4}


def make_bbox_head(num_classes, agnostic=False):
    return {
        'type': 'Shared2FCBBoxHead',
        'in_channels': 2,
        'fc_out_channels': 4,
        'roi_feat_size': 1,
        'num_classes': num_classes,
        'reg_class_agnostic': agnostic,
    }


def make_mask_head(num_classes, agnostic=False):
    return {
        'type': 'FCNMaskHead',
        'num_convs': 1,
        'in_channels': 2,
        'conv_out_channels': 2,
        'num_classes': num_classes,
        'class_agnostic': agnostic,
    }


# By head: the scope, its config for a number of classes, and its layers with a row, or ``rows`` rows,
# a class. Rows behind those of the classes are shared.
HEADS = {
    'roi_head.bbox_head': ('mmdet', make_bbox_head, {'fc_cls': 1, 'fc_reg': 4}),
    'roi_head.bbox_head.2': ('mmdet', make_bbox_head, {'fc_cls': 1, 'fc_reg': 4}),
    'roi_head.mask_head': ('mmdet', make_mask_head, {'conv_logits': 1}),
    'bbox_head': (
        'mmdet',
        lambda number: {'type': 'RetinaHead', 'num_classes': number, 'stacked_convs': 1, **FPN},
        {'retina_cls': -9},
    ),
    'decode_head': (
        'mmseg',
        lambda number: {
            'type': 'FCNHead',
            'num_classes': number,
            'in_channels': 2,
            'channels': 2,
        },
        {'conv_seg': 1},
    ),
    'head': (
        'mmpretrain',
        lambda number: {'type': 'LinearClsHead', 'num_classes': number, 'in_channels': 2},
        {'fc': 1},
    ),
}


class Dino(nn.Module):
    """The parts of mmdet's DINO that depend on the classes, with its names."""

    def __init__(self, num_classes):
        super().__init__()
        self.bbox_head = nn.Module()
        branches = [nn.Linear(2, num_classes) for _ in range(3)]
        self.bbox_head.cls_branches = nn.ModuleList(branches)
        self.dn_query_generator = nn.Module()
        self.dn_query_generator.label_embedding = nn.Embedding(num_classes, 2)


class Nested(nn.Module):
    """A backbone, and a module at a dotted path."""

    def __init__(self, path, module):
        super().__init__()
        self.backbone = nn.Linear(2, 2)
        *folders, name = path.split('.')
        place = self
        for folder in folders:
            place.add_module(folder, nn.Module())
            place = place.get_submodule(folder)
        place.add_module(name, module)


def build(path, num_classes, **options):
    scope, make, _ = HEADS[path]
    with DefaultScope.overwrite_default_scope(scope):
        return Nested(path, MODELS.build(make(num_classes, **options)))


def start(model, tensors, match=MATCH, is_start=True):
    """Return the state dict with which a model starts from tensors, and the line about it."""
    checkpoint = Checkpoint('old.pth', {'state_dict': dict(tensors)}, None, False)
    weights = select_initial(model, checkpoint, match, is_start)
    found = weights.complete(checkpoint.content['state_dict'], model.state_dict())
    model.load_state_dict(found)
    return found, weights.report


def list_rows(tensor, num_classes, rows):
    """Return the rows of each class, and the others. A negative number is that of anchors."""
    if rows < 0:
        return list(tensor.unflatten(0, (-rows, num_classes)).transpose(0, 1)), tensor[:0]
    split = tensor[: rows * num_classes].unflatten(0, (num_classes, rows))
    return list(split), tensor[rows * num_classes :]


def check_rows(old, fresh, found, rows):
    """Each class of the same name has its old rows, each other its fresh ones."""
    old_rows, old_shared = list_rows(old, len(OLD), rows)
    fresh_rows, _ = list_rows(fresh, len(NEW), rows)
    found_rows, found_shared = list_rows(found, len(NEW), rows)
    for index, name in enumerate(NEW):
        expected = old_rows[OLD.index(name)] if name in OLD else fresh_rows[index]
        torch.testing.assert_close(found_rows[index], expected, atol=0, rtol=0)
    torch.testing.assert_close(found_shared, old_shared, atol=0, rtol=0)


@pytest.mark.parametrize('path', HEADS)
def test_rows_of_known_classes_are_kept_in_each_head(path):
    old = build(path, len(OLD)).state_dict()
    model = build(path, len(NEW))
    fresh = {name: x.clone() for name, x in model.state_dict().items()}
    found, report = start(model, old)
    layers = HEADS[path][2]
    for name, tensor in found.items():
        layer = name.rpartition('.')[0]
        rows = layers.get(layer.removeprefix(f'{path}.'))
        if rows is None:
            torch.testing.assert_close(tensor, old[name], atol=0, rtol=0)
        else:
            check_rows(old[name], fresh[name], tensor, rows)
    assert report == (
        f'load_from=old.pth: {len(found)} tensors of the model loaded (backbone, '
        f'{"head" if path == "head" else path.removesuffix(".2")}), 0 keep initial values; classes '
        'by name: kept: dog, cat; new: fox, gnu; left: eel'
    )


def test_rows_of_dinos_classifiers_of_all_layers_and_label_embeddings_are_kept():
    old = Nested('model', Dino(len(OLD))).state_dict()
    model = Nested('model', Dino(len(NEW)))
    fresh = {name: x.clone() for name, x in model.state_dict().items()}
    found, _ = start(model, old)
    names = [name for name in found if 'backbone' not in name]
    assert len(names) == 7
    for name in names:
        check_rows(old[name], fresh[name], found[name], 1)


@pytest.mark.parametrize('path', ['roi_head.bbox_head', 'roi_head.mask_head'])
def test_what_all_classes_share_is_kept_whole(path):
    """Also with one class, whose agnostic layers have as many rows as those by class."""
    layer = {'roi_head.bbox_head': 'fc_reg', 'roi_head.mask_head': 'conv_logits'}[path]
    for match in (MATCH, ClassMatch(('cat',), ('dog',))):
        old = build(path, len(match.checkpoint), agnostic=True).state_dict()
        found, _ = start(build(path, len(match.model), agnostic=True), old, match)
        name = f'{path}.{layer}.weight'
        torch.testing.assert_close(found[name], old[name], atol=0, rtol=0)


def test_a_single_class_of_another_name_begins_anew():
    old = build('roi_head.mask_head', 1).state_dict()
    model = build('roi_head.mask_head', 1)
    fresh = model.state_dict()['roi_head.mask_head.conv_logits.weight'].clone()
    found, report = start(model, old, ClassMatch(('cat',), ('dog',)))
    assert torch.equal(found['roi_head.mask_head.conv_logits.weight'], fresh)
    assert report.endswith('classes by name: kept: none; new: dog; left: cat')


@given(old=st.permutations('abcd'), new=st.permutations('abcd'))
def test_an_order_of_classes_changes_no_prediction(old, new):
    """Without matching, a checkpoint with the same classes in another order would be loaded with
    wrong names.
    """
    first, second = Nested('head.fc', nn.Linear(2, 4)), Nested('head.fc', nn.Linear(2, 4))
    for is_start in (True, False):
        start(second, first.state_dict(), ClassMatch(tuple(old), tuple(new)), is_start)
        scores = dict(zip(old, first.head.fc(torch.ones(2)).tolist(), strict=True))
        found = dict(zip(new, second.head.fc(torch.ones(2)).tolist(), strict=True))
        assert found == pytest.approx(scores)


def test_a_name_in_two_unicode_forms_is_one_class():
    """A class folder from macOS has its umlauts as two characters."""
    folders = tuple(unicodedata.normalize('NFD', name) for name in ('Größe', 'Käfer'))
    assert ClassMatch(('Größe', 'Käfer'), folders).is_same
    assert ClassMatch(('Käfer', 'Größe'), folders).pairs == [(1, 0), (0, 1)]
    check_class_names('x.pth', folders, ['Größe', 'Käfer'])
    with pytest.raises(UserError, match='was trained on the 2 classes'):
        check_class_names('x.pth', folders, ['Käfer', 'Größe'])
    assert find_labels(['Käfer'], folders) == [1]


def test_repeated_names_are_matched_in_order():
    assert ClassMatch(('crane', 'a', 'crane'), ('crane', 'crane', 'crane')).pairs == [
        (0, 0),
        (2, 1),
    ]


@pytest.mark.parametrize(
    ('model', 'words'),
    [
        (Nested('neck', nn.Linear(2, 3)), 'another model .* differ in neck'),
        (Nested('head.fc', nn.Linear(3, 4)), r'another model .* differ in head\. A start takes'),
        (Nested('other.fc', nn.Linear(2, 3)), 'another model .* differ in head, other'),
        (nn.ModuleDict({'backbone': nn.Linear(3, 2)}), r'backbone\.weight .* A start takes all'),
    ],
)
def test_another_model_is_refused_as_a_start(model, words):
    tensors = Nested('head.fc', nn.Linear(2, 3)).state_dict()
    if isinstance(model, Nested) and hasattr(model, 'neck'):
        tensors |= {'neck.weight': torch.zeros(2, 2), 'neck.bias': torch.zeros(2)}
        tensors = {name: x for name, x in tensors.items() if 'head' not in name}
    with pytest.raises(CheckpointError, match=words):
        start(model, tensors)


def test_a_start_without_names_of_classes_is_refused():
    model = Nested('head.fc', nn.Linear(2, 4))
    with pytest.raises(CheckpointError, match=r'old\.pth does not have the names of its classes'):
        start(model, model.state_dict(), None)
    start(model, model.state_dict(), None, is_start=False)


@pytest.mark.parametrize(('num_rows', 'num_shared'), [(3, 0), (4, 1), (5, None), (2, None)])
@pytest.mark.parametrize('layer', ['bbox_head.fc_cls', 'decode_head.cls_embed'])
def test_a_row_for_the_background_is_shared_if_there_is_one(layer, num_rows, num_shared):
    tensor = torch.arange(2 * num_rows).unflatten(0, (num_rows, 2))
    rows = split_rows(f'{layer}.weight', tensor, nn.Identity(), 3)
    if num_shared is None:
        assert rows is None
    else:
        of_classes, shared = rows
        assert len(shared) == num_shared
        assert of_classes.tolist() == [[[0, 1]], [[2, 3]], [[4, 5]]]


def test_a_head_of_other_channels_begins_anew():
    old = Nested('head.fc', nn.Linear(2, len(OLD))).state_dict()
    model = Nested('head.fc', nn.Linear(3, len(NEW)))
    fresh = model.state_dict()['head.fc.weight'].clone()
    found, report = start(model, old, is_start=False)
    assert torch.equal(found['head.fc.weight'], fresh)
    assert 'other shapes in the file, as with other classes: head' in report
