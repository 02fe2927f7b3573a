"""Reference outputs of the original implementations: small random models with their keys, inputs
and outputs.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mmgcvit import LSA, GCViT

DATA = Path(__file__).parent / 'data'
NUM_CLASSES = 11


@dataclass
class Reference:
    """A reference file tests/data/``name``.npz, and the architecture and other settings of its
    backbone.
    """

    name: str
    network: type
    arch: dict
    settings: dict

    @property
    def data(self):
        return np.load(DATA / f'{self.name}.npz')

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the state dict with the original keys, without index buffers."""
        return {
            key.removeprefix('w:'): torch.from_numpy(value).float()
            for key, value in self.data.items()
            if key.startswith('w:')
        }

    def backbone_config(self) -> dict:
        return {'type': f'mmgcvit.{self.network.__name__}', 'arch': self.arch, **self.settings}

    def backbone(self, **arguments) -> GCViT | LSA:
        return self.network(self.arch, **{**self.settings, **arguments}).eval()

    def image(self) -> torch.Tensor:
        return torch.from_numpy(self.data['image']).float()

    def outputs(self) -> list[torch.Tensor]:
        """Return one feature map per stage, or only the logits."""
        data = sorted(self.data.items())
        return [torch.from_numpy(value) for key, value in data if key.startswith(('logits', 'out'))]


def make_gcvit(name, window_size, layer_scale=None, **settings):
    """Make a reference of GC ViT. The value of ``layer_scale`` is overwritten by the weights."""
    arch = {'embed_dims': 8, 'depths': (2, 2, 3, 1), 'num_heads': (1, 2, 4, 8), 'mlp_ratio': 3}
    arch['layer_scale'] = layer_scale
    return Reference(name, GCViT, arch, {'window_size': window_size, **settings})


CLASSIFIERS = [
    make_gcvit('gcvit_classification_224', (7, 7, 14, 7), 1e-5, out_indices=(3,)),
    make_gcvit(
        'gcvit_classification_384', (12, 12, 24, 12), out_indices=(3,), pretrain_img_size=384
    ),
]
REFERENCES = [
    make_gcvit('gcvit_dense_pretrain_windows', (7, 7, 14, 7)),
    make_gcvit('gcvit_dense_window24_odd_size', 24, 1e-5),
    make_gcvit('gcvit_dense_window16_tall', 16),
    *CLASSIFIERS,
]

TINY = vars(LSA.archs['imagenet-tiny']) | {
    'img_size': 112,
    'embed_dims': (32,) * 4,
    'depths': (2, 2, 1, 1),
}
SMALL = vars(LSA.archs['imagenet-small']) | {
    'img_size': 64,
    'embed_dims': (16, 32, 64),
    'depths': (2, 1, 2),
    'num_heads': (2, 4, 8),
    'num_kv_heads': None,
}
CIFAR = vars(LSA.archs['cifar-tiny']) | {'embed_dims': (24,) * 4, 'depths': (2, 1, 1, 1)}
LSA_REFERENCES = [
    Reference('lsa_imagenet_tiny_like', LSA, TINY, {'out_indices': (3,)}),
    Reference('lsa_imagenet_small_like', LSA, SMALL, {'out_indices': (2,)}),
    Reference('lsa_cifar_multi_query', LSA, CIFAR, {'out_indices': (3,)}),
]
