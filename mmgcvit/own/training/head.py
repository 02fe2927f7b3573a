"""The variables at the head of the config that ``train --data`` writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .template import read_head


@dataclass(frozen=True)
class Head:
    """The values of the variables at the head of a template, whose names differ by task. Those on
    which settings or advice depend are attributes.
    """

    variables: Mapping[str, Any]  # all, by name, in the order of the template

    @classmethod
    def read(cls, template: Path) -> 'Head':
        """Return the head of a template as it is written."""
        return cls(read_head(template))

    def fill_in(self, values: Mapping[str, Any]) -> 'Head':
        """Return the head with other values. Those of other names, such as the option epochs, are
        not variables of the template and are left out.
        """
        filled = {name: value for name, value in values.items() if name in self.variables}
        return Head({**self.variables, **filled})

    @property
    def image_size(self) -> int:
        """The side to which images are resized, in pixels."""
        return self.variables['image_size']

    @property
    def batch_size(self) -> int:
        return self.variables['batch_size']

    @property
    def augment(self) -> str:
        """The option ``--augment``."""
        return self.variables['augment']

    @property
    def flip(self) -> bool:
        """Whether half of the images are mirrored."""
        return self.variables['flip']

    @property
    def pretrained(self) -> str | None:
        """The weights of the backbone: a file, a URL or ``timm://NAME``."""
        return self.variables['pretrained']

    @property
    def load_from(self) -> str | None:
        """The checkpoint of a whole model."""
        return self.variables['load_from']

    @property
    def tiles(self) -> int | None:
        """The side of the tiles in pixels, or None for whole images."""
        return self.variables.get('tiles')

    @property
    def tiles_per_image(self) -> int:
        """The number of tiles of an average image; 1 for whole images."""
        return self.variables.get('tiles_per_image', 1)

    @property
    def max_objects(self) -> int:
        """The most objects that are found in an image or a tile; 0 for other tasks."""
        return self.variables.get('max_objects', 0)

    @property
    def masks(self) -> bool:
        """Whether masks of objects are trained."""
        return self.variables.get('masks', False)

    @property
    def whole(self) -> bool:
        """Whether a classifier sees all of each image, and not only a square in its centre."""
        return self.variables.get('whole', False)
