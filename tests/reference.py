"""What the original implementation computed: small models of random weights in its layout, inputs and outputs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mmgcvit import GCViT

DATA = Path(__file__).parent / 'data'
ARCH = {'embed_dims': 8, 'depths': (2, 2, 3, 1), 'num_heads': (1, 2, 4, 8), 'mlp_ratio': 3}
NUM_CLASSES = 11


@dataclass
class Reference:
    """One of them.

    Attributes:
        name: The file's, under tests/data.
        window_size: The windows that the outputs were computed with.
        pretrain_img_size: The resolution of pretraining.
        layer_scale: None, or a value that the weights replace.
        stored_windows: The windows of the position tables in the file.
    """

    name: str
    window_size: int | tuple[int, ...]
    pretrain_img_size: int = 224
    layer_scale: float | None = None
    stored_windows: tuple[int, ...] = (7, 7, 14, 7)

    @property
    def is_classifier(self) -> bool:
        return 'classification' in self.name

    @property
    def data(self):
        return np.load(DATA / f'{self.name}.npz')

    def weights(self) -> dict[str, torch.Tensor]:
        """The state dict as an original checkpoint would hold it, without its index buffers."""
        data = self.data
        return {key[2:]: torch.from_numpy(data[key]).float() for key in data if key.startswith('w:')}

    def image(self) -> torch.Tensor:
        return torch.from_numpy(self.data['image']).float()

    def outputs(self) -> list[torch.Tensor]:
        """One map per stage, or the logits alone."""
        data = self.data
        return [torch.from_numpy(data[key]) for key in sorted(data) if key == 'logits' or key.startswith('out')]

    def backbone_config(self, **arguments) -> dict:
        return {
            'type': 'mmgcvit.GCViT',
            'arch': {**ARCH, 'layer_scale': self.layer_scale},
            'window_size': self.window_size,
            'pretrain_img_size': self.pretrain_img_size,
            'out_indices': (3,) if self.is_classifier else (0, 1, 2, 3),
            **arguments,
        }

    def backbone(self, **arguments) -> GCViT:
        config = self.backbone_config(**arguments)
        del config['type']
        return GCViT(**config).eval()


REFERENCES = [
    Reference('gcvit_dense_pretrain_windows', (7, 7, 14, 7)),
    Reference('gcvit_dense_window24_odd_size', 24, layer_scale=1e-5),
    Reference('gcvit_dense_window16_tall', 16),
    Reference('gcvit_classification_224', (7, 7, 14, 7), layer_scale=1e-5),
    Reference('gcvit_classification_384', (12, 12, 24, 12), 384, stored_windows=(12, 12, 24, 12)),
]
CLASSIFIERS = [reference for reference in REFERENCES if reference.is_classifier]
