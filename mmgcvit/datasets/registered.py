"""Import the datasets that this package registers, except those of an OpenMMLab package that cannot be imported."""

from contextlib import suppress
from importlib import import_module

for name in ('imagenet_v2', 'paired_seg'):
    with suppress(ImportError):
        import_module(f'.{name}', __package__)
