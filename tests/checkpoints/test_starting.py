"""A training starts from what fits of a checkpoint, and says it. Rows of classes:
checkpoints/test_class_rows.py.
"""

import pytest
import torch
from torch import nn

from mmgcvit.checkpoints.safe_loading import Checkpoint
from mmgcvit.checkpoints.starting import select_initial
from mmgcvit.errors import CheckpointError


def test_load_from_says_what_is_loaded_and_what_keeps_initial_values():
    def make(classes, **parts):
        heads = {'bbox_head': nn.Linear(2, classes), **parts}
        return nn.ModuleDict({'backbone': nn.Linear(2, 2), 'roi_head': nn.ModuleDict(heads)})

    source = Checkpoint(
        'x', {'state_dict': make(3, mask_head=nn.Linear(2, 1)).state_dict()}, None, False
    )
    line = select_initial(make(5), source).report
    assert line == (
        'load_from=x: 2 tensors of the model loaded (backbone), 2 keep initial values; other shapes '
        'in the file, as with other classes: roi_head.bbox_head; parts of the file that the model '
        'does not have: roi_head.mask_head. Only the backbone is loaded'
    )
    other = Checkpoint('x', {'state_dict': {'a.weight': torch.zeros(1)}}, None, False)
    with pytest.raises(CheckpointError, match='no tensor of x fits'):
        select_initial(nn.ModuleDict({'neck': nn.Linear(2, 2)}), other)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'backbone.weight': torch.full((2, 2), torch.nan)}, r'\(backbone\.weight\) with NaN'),
        ({'neck.weight': torch.full((2, 2), torch.inf)}, r'\(neck\.weight\) with NaN or infinity'),
        ({'neck.other': torch.zeros(1)}, r'\(neck\.other\) for which'),
        ({'backbone.weight': torch.zeros(3, 2)}, r'backbone\.weight \(3, 2\).* instead of'),
    ],
)
def test_a_part_of_the_model_is_loaded_whole_or_refused(change, message):
    model = nn.ModuleDict({'backbone': nn.Linear(2, 2), 'neck': nn.Linear(2, 2)})
    source = Checkpoint('x', {'state_dict': {**model.state_dict(), **change}}, None, False)
    with pytest.raises(CheckpointError, match=message):
        select_initial(model, source)
