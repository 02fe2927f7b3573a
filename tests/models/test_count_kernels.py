"""The counted kernels, traffic and memory of a CUDA step are those of the table in docs/performance.md."""

import pytest
import torch

from mmgcvit import GCViT

from ..docs.pages import find_tables
from .count_kernels import count_step

pytestmark = pytest.mark.skipif(
    not hasattr(torch.utils.checkpoint, 'GraphExecGroup'), reason='a backward pass by hand comes with torch 2.10'
)
# Room for other versions of torch.
ROOM = 1.03
HEAD = ['step', 'kernels', 'GB read and written', 'peak GB']

# step in the table: (arguments of GCViT, image shape, whether it is training)
DETECTION = (2, 3, 800, 1333)
STEPS = {
    'tiny, 32 x 224², training': ({'arch': 'tiny'}, (32, 3, 224, 224), True),
    'tiny, 32 x 224², inference': ({'arch': 'tiny'}, (32, 3, 224, 224), False),
    'tiny, 2 x 800x1333, windows 16, training': ({'arch': 'tiny', 'window_size': 16}, DETECTION, True),
    'base, 2 x 800x1333, windows 16, training': ({'arch': 'base', 'window_size': 16}, DETECTION, True),
}


def read_table():
    (table,) = [rows[1:] for rows in find_tables('docs/performance.md') if rows[0] == HEAD]
    return {step: tuple(float(cell.replace(',', '')) for cell in cells) for step, *cells in table}


@pytest.mark.parametrize(
    'step', [pytest.param(step, marks=[pytest.mark.long] * (i > 2)) for i, step in enumerate(STEPS)]
)
def test_a_step_takes_no_more_than_the_page_says(step):
    arguments, image_shape, training = STEPS[step]
    with torch.device('meta'):
        model = GCViT(**arguments)
    counts = count_step(model, image_shape, training)
    assert all(count <= ROOM * limit for count, limit in zip(counts, read_table()[step], strict=True)), counts
