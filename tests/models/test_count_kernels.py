"""The counted kernels, traffic and memory of a CUDA step are those of the table in docs/performance.md."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmgcvit import GCViT

from ..configs.models import build_on_meta, read
from ..docs.pages import find_tables
from .count_kernels import count_step

pytestmark = pytest.mark.skipif(
    not hasattr(torch.utils.checkpoint, 'GraphExecGroup'), reason='a backward pass by hand comes with torch 2.10'
)
# Room for other versions of torch.
ROOM = 1.03
HEAD = ['step', 'kernels', 'GB read and written', 'peak GB']
DETECTION = (2, 3, 800, 1333)


class BackboneAndNeck(nn.Module):
    """A detector without its heads, which depend on boxes."""

    def __init__(self, name):
        super().__init__()
        detector = build_on_meta(read(name))
        self.backbone, self.neck = detector.backbone, detector.neck

    def forward(self, images):
        return self.neck(self.backbone(images))


class SegmentorWithLoss(nn.Module):
    """A segmentor with its heads, whose logits are resized to the image, as for the loss."""

    def __init__(self, name):
        super().__init__()
        segmentor = build_on_meta(read(name))
        self.backbone, self.heads = segmentor.backbone, nn.ModuleList([segmentor.decode_head, segmentor.auxiliary_head])

    def forward(self, images):
        maps = self.backbone(images)
        labels = images.new_zeros((len(images), *images.shape[2:]), dtype=torch.long)
        logits = [F.interpolate(head(maps), images.shape[2:], mode='bilinear') for head in self.heads]
        return [F.cross_entropy(values, labels) for values in logits]


# step in the table: (model, image shape, whether it is training); in float32 if the name says so
STEPS = {
    'tiny, 32 x 224², training': (lambda: GCViT('tiny'), (32, 3, 224, 224), True),
    'tiny, 32 x 224², inference': (lambda: GCViT('tiny'), (32, 3, 224, 224), False),
    'tiny, 2 x 800x1333, windows 16, training': (lambda: GCViT('tiny', window_size=16), DETECTION, True),
    'tiny, 2 x 800x1333, windows 24, training': (lambda: GCViT('tiny', window_size=24), DETECTION, True),
    'base, 2 x 800x1333, windows 16, training': (lambda: GCViT('base', window_size=16), DETECTION, True),
    '`cascade_gcvit_b` with its neck, training, float32': (lambda: BackboneAndNeck('cascade_gcvit_b'), DETECTION, True),
    '`dino_gcvit_l` with its neck, training, float32': (lambda: BackboneAndNeck('dino_gcvit_l'), DETECTION, True),
    **{
        f'`upernet_gcvit_{size}`, 2 x 512², training, float32': (
            lambda size=size: SegmentorWithLoss(f'upernet_gcvit_{size}'),
            (2, 3, 512, 512),
            True,
        )
        for size in 'tb'
    },
}


def read_table():
    (table,) = [rows[1:] for rows in find_tables('docs/performance.md') if rows[0] == HEAD]
    return {step: tuple(float(cell.replace(',', '')) for cell in cells) for step, *cells in table}


@pytest.mark.parametrize(
    'step', [pytest.param(step, marks=[pytest.mark.long] * (i > 2)) for i, step in enumerate(STEPS)]
)
def test_a_step_takes_no_more_than_the_page_says(step):
    make, image_shape, training = STEPS[step]
    with torch.device('meta'):
        model = make()
    counts = count_step(model, image_shape, training, None if 'float32' in step else torch.bfloat16)
    assert all(count <= ROOM * limit for count, limit in zip(counts, read_table()[step], strict=True)), counts
