"""The configs that ``train --data`` fills in: one for each type of annotations."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

MINI = 'mini'
# The time of a training by the value of --size, relative to tiny.
COSTS = {MINI: 0.1, 'xxtiny': 0.5, 'xtiny': 0.6, 'tiny': 1, 'small': 1.8, 'base': 3, 'large': 7}
# The default length of a training: NUM_SEEN images (a template's num_seen for MINI), but at least
# MIN_EPOCHS epochs.
NUM_SEEN = 6000
MIN_EPOCHS = 12


@dataclass(frozen=True)
class Template:
    """A config whose head ``mmgcvit train --data`` fills in, for datasets with one type of
    annotations. It knows all that differs between them.
    """

    option: str  # the value of ``--task``
    network: str  # the name of the network, for messages
    config: str  # the template, relative to ``configs/``
    # The config of the network (the template's ``_base_``) by ``--size``.
    networks: Mapping[str, str]
    mini_weights: str  # the weights in ``configs/demo/weights`` from which ``--size mini`` starts
    num_seen: int  # the number of images that a training of ``--size mini`` sees by default
    mini_head: Mapping[str, Any]  # values of variables at the template's head for ``--size mini``
    # In which a core (AMD EPYC) trains --size tiny on 1 MP. UPerNet's is estimated from its FLOPs.
    cpu_seconds: float
    head: Mapping[str, Any] = field(default_factory=dict)  # values for all sizes
    has_objects: bool = False  # so that their sizes and their number decide about settings
    can_tile: bool = False  # whether it can be trained on tiles of images
    sees_square: bool = False  # whether its network gets only a square in the centre of an image

    def list_defaults(self, size: str) -> dict[str, Any]:
        """List the values of variables at the head that the template has for a size."""
        return {**self.head, **self.mini_head} if size == MINI else dict(self.head)

    def choose_epochs(self, size: str, num_images: int) -> int:
        """Return the default number of epochs. ``num_images`` is that of images or tiles an
        epoch.
        """
        num_seen = self.num_seen if size == MINI else NUM_SEEN
        return max(MIN_EPOCHS, ceil(num_seen / num_images))


MASKS = Template(
    option='segment',
    network='Mask R-CNN',
    config='custom_coco.py',
    networks={
        MINI: 'demo/mask_rcnn_gcvit_digits.py',
        'tiny': 'mask_rcnn_gcvit_t.py',
        'small': 'mask_rcnn_gcvit_s.py',
        'base': 'mask_rcnn_gcvit_b.py',
    },
    mini_weights='mask_rcnn_gcvit_objects.safetensors',
    num_seen=1600,
    mini_head={'image_size': 192, 'batch_size': 8, 'workers': 2, 'lr': 1.5e-3, 'lr_batch_size': 8},
    cpu_seconds=54,
    has_objects=True,
    can_tile=True,
)
BOXES = replace(
    MASKS,
    option='detect',
    network='Faster R-CNN',
    mini_head={**MASKS.mini_head, 'random_crops': False, 'cosine': True},
    head={'masks': False},
)
SEG_MAPS = Template(
    option='semantic',
    network='UPerNet',
    config='custom_seg.py',
    networks={
        MINI: 'demo/upernet_gcvit_digits.py',
        'tiny': 'upernet_gcvit_t.py',
        'small': 'upernet_gcvit_s.py',
        'base': 'upernet_gcvit_b.py',
    },
    mini_weights='upernet_gcvit_objects.safetensors',
    num_seen=4800,
    cpu_seconds=170,
    mini_head={**MASKS.mini_head, 'image_size': 128, 'window_size': (4, 4, 8, 4), 'lovasz': True},
    head={'dataset_type': 'mmgcvit.PairedSegDataset'},
    can_tile=True,
)
CLASSES = Template(
    option='classify',
    network='a classifier',
    config='custom_cls.py',
    networks={
        MINI: 'demo/gcvit_digits_cls.py',
        'xxtiny': 'gcvit_xxt_in1k.py',
        'xtiny': 'gcvit_xt_in1k.py',
        'tiny': 'gcvit_t_in1k.py',
        'small': 'gcvit_s_in1k.py',
        'base': 'gcvit_b_in1k.py',
        'large': 'gcvit_l_in1k.py',
    },
    mini_weights=MASKS.mini_weights,
    num_seen=6400,
    # Signals, pages and signs count as a whole, and their mirror images may be of another class.
    mini_head={
        'image_size': 64,
        'lr': 1e-3,
        'whole': True,
        'min_crop': 0.5,
        'num_strips': (8, 8, 4, 2),
        'flip': False,
    },
    cpu_seconds=20,
    sees_square=True,
)
# By type of annotations (``DatasetInfo.annotation_types``).
TEMPLATES = {'boxes': BOXES, 'masks': MASKS, 'seg_maps': SEG_MAPS, 'classes': CLASSES}
