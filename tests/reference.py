"""Reference outputs of the original implementations: small random models with their keys, inputs and outputs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mmgcvit import LSA, GCViT
from mmgcvit.models.lsa.archs import CIFAR_SHIFTS, IMAGENET_SHIFTS

DATA = Path(__file__).parent / 'data'
ARCH = {'embed_dims': 8, 'depths': (2, 2, 3, 1), 'num_heads': (1, 2, 4, 8), 'mlp_ratio': 3}
NUM_CLASSES = 11
NETWORKS = {'mmgcvit.GCViT': GCViT, 'mmgcvit.LSA': LSA}


class Original:
    """A reference file tests/data/``name``.npz."""

    name: str

    @property
    def data(self):
        return np.load(DATA / f'{self.name}.npz')

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the state dict with the original keys, without index buffers."""
        data = self.data
        return {key[2:]: torch.from_numpy(data[key]).float() for key in data if key.startswith('w:')}

    def backbone(self, **arguments) -> GCViT | LSA:
        config = self.backbone_config(**arguments)
        return NETWORKS[config.pop('type')](**config).eval()

    def image(self) -> torch.Tensor:
        return torch.from_numpy(self.data['image']).float()

    def outputs(self) -> list[torch.Tensor]:
        """Return one feature map per stage, or only the logits."""
        data = self.data
        return [torch.from_numpy(data[key]) for key in sorted(data) if key == 'logits' or key.startswith('out')]


@dataclass
class Reference(Original):
    """A GC ViT. The value of ``layer_scale`` is overwritten by the weights."""

    name: str
    window_size: int | tuple[int, ...]
    pretrain_img_size: int = 224
    layer_scale: float | None = None

    @property
    def is_classifier(self) -> bool:
        return 'classification' in self.name

    def backbone_config(self, **arguments) -> dict:
        return {
            'type': 'mmgcvit.GCViT',
            'arch': {**ARCH, 'layer_scale': self.layer_scale},
            'window_size': self.window_size,
            'pretrain_img_size': self.pretrain_img_size,
            'out_indices': (3,) if self.is_classifier else (0, 1, 2, 3),
            **arguments,
        }


@dataclass
class LSAReference(Original):
    """An LSA classifier."""

    name: str
    arch: dict

    @property
    def last_stage(self) -> int:
        return len(self.arch['depths']) - 1

    def backbone_config(self, **arguments) -> dict:
        return {'type': 'mmgcvit.LSA', 'arch': self.arch, 'out_indices': (self.last_stage,), **arguments}


REFERENCES = [
    Reference('gcvit_dense_pretrain_windows', (7, 7, 14, 7)),
    Reference('gcvit_dense_window24_odd_size', 24, layer_scale=1e-5),
    Reference('gcvit_dense_window16_tall', 16),
    Reference('gcvit_classification_224', (7, 7, 14, 7), layer_scale=1e-5),
    Reference('gcvit_classification_384', (12, 12, 24, 12), 384),
]
CLASSIFIERS = [reference for reference in REFERENCES if reference.is_classifier]

PATCHES = {'kernel_size': 4, 'stride': 4, 'padding': 0, 'shifts': IMAGENET_SHIFTS, 'img_size': 112}
LSA_REFERENCES = [
    LSAReference(
        'lsa_imagenet_tiny_like',
        dict(PATCHES, embed_dims=(32,) * 4, depths=(2, 2, 1, 1), num_heads=(4,) * 4, kernel_size=7, stride=7),
    ),
    LSAReference(
        'lsa_imagenet_small_like',
        dict(PATCHES, embed_dims=(16, 32, 64), depths=(2, 1, 2), num_heads=(2, 4, 8), img_size=64),
    ),
    LSAReference(
        'lsa_cifar_multi_query',
        {
            'embed_dims': (24, 24, 24, 24),
            'depths': (2, 1, 1, 1),
            'num_heads': (3, 3, 3, 3),
            'num_kv_heads': (1, 1, 1, 1),
            'kernel_size': 3,
            'stride': 1,
            'padding': 1,
            'shifts': CIFAR_SHIFTS,
            'img_size': 32,
        },
    ),
]
