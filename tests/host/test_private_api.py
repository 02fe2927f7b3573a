"""The private API in mmgcvit/host/private_api.py that tests of its callers replace, or that few of them
use.
"""

from multiprocessing import active_children
from types import SimpleNamespace

import pytest
from mmpretrain.models import ClsHead, LinearClsHead, MultiLabelLinearClsHead
from torch.utils.data import DataLoader

from mmgcvit.host.private_api import (
    is_converting_channels,
    predicts_softmax,
    replace_globals,
    stop_workers,
)


def test_stopped_persistent_workers_start_again():
    loader = DataLoader([0, 1], num_workers=1, persistent_workers=True)
    others = {*active_children()}
    first = iter(loader)
    assert iter(loader) is first
    workers = {*active_children()} - others
    assert workers
    stop_workers(loader)
    assert not workers & {*active_children()}
    assert iter(loader) is not first
    stop_workers(loader)


def test_a_preprocessor_of_each_task_has_a_mean_and_converts_channels(model):
    preprocessor = model.network.data_preprocessor
    assert preprocessor.mean.shape == (3, 1, 1)
    assert is_converting_channels(preprocessor)
    plain = type(preprocessor)()
    assert not hasattr(plain, 'mean')
    assert not is_converting_channels(plain)


def test_only_heads_that_predict_as_cls_head_predict_softmax():
    class Sigmoid(ClsHead):
        def _get_predictions(self, cls_score, data_samples):
            return cls_score.sigmoid()

    assert predicts_softmax(LinearClsHead(num_classes=2, in_channels=1))
    assert not any(
        map(
            predicts_softmax,
            (Sigmoid(), MultiLabelLinearClsHead(num_classes=2, in_channels=1), None),
        )
    )


@pytest.mark.parametrize('name', ['_channel_conversion', 'channel_conversion', 'to_rgb'])
@pytest.mark.parametrize('is_converting', [True, False])
def test_a_conversion_of_channels_is_known_by_three_names(is_converting, name):
    """mmengine's, that of mmsegmentation 1.2, and mmpretrain's."""
    assert is_converting_channels(SimpleNamespace(**{name: is_converting})) == is_converting


NUMBER = 1


def add(value, more=10):
    return value + more + NUMBER


def test_a_copy_of_a_function_has_other_globals_and_the_same_defaults():
    assert (replace_globals(add, NUMBER=2)(100), add(100)) == (112, 111)
    with pytest.raises(NameError, match='does not use OTHER'):
        replace_globals(add, OTHER=2)
