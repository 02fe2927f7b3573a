"""Samples of a data loader after pipeline and preprocessor, as the network gets them, and as they are stored."""

import contextlib
import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import set_random_seed

from ..data_checks import leaf_datasets, type_name
from ..data_checks.contact_sheet import loading_steps
from ..data_checks.images import in_a_line
from ..inference import InputError
from ..inference.hosts import quiet_hosts

# By the scope of a config: what contact sheets call its data; and its preprocessor where it names none.
KINDS = {'mmdet': 'coco', 'mmseg': 'ade20k', 'mmpretrain': 'imagenet'}
PREPROCESSORS = {'mmdet': 'DetDataPreprocessor', 'mmseg': 'SegDataPreProcessor', 'mmpretrain': 'ClsDataPreprocessor'}
TRAINING = 'train_dataloader'
# Their files hold arrays in the order red, green, blue.
STORED_RED_FIRST = ('CIFAR10', 'CIFAR100')


@dataclass(frozen=True)
class Sample:
    """An image in the form that a host can draw.

    Attributes:
        pixels: (height, width, 3) uint8, red, green, blue: denormalised, with the padding that the network sees.
        truth: The host's data sample, its boxes as a tensor.
    """

    pixels: np.ndarray
    truth: Any


class Samples:
    """The samples of a data loader of a config.

    Args:
        cfg: A whole config, its scope entered.
        loader: The name of a data loader in it. Of any other than ``'train_dataloader'`` images go through the
            preprocessor one by one, as in tests: nothing is mixed.

    Raises:
        InputError: There is no such loader, or its data set cannot be loaded, or the config is of no task known here.

    Attributes:
        kind: ``'coco'``, ``'ade20k'`` or ``'imagenet'``, as contact sheets call data.
        metainfo: The data set's.
    """

    def __init__(self, cfg: Config, loader: str) -> None:
        scope, settings = cfg.get('default_scope'), cfg.get(loader) or {}
        if scope not in KINDS or not settings.get('dataset') or 'model' not in cfg:
            raise InputError(
                f'the config has default_scope {scope!r}; expected one of {", ".join(KINDS)}, a model, and {loader} '
                'with a data set'
            )
        self.kind = KINDS[scope]
        self.training = loader == TRAINING
        self.batch_size = int(settings.get('batch_size', 1)) if self.training else 1
        self.collate = default_collate if scope == 'mmpretrain' else pseudo_collate
        try:
            # mmdet's data sets print how they are loaded.
            with quiet_hosts(), contextlib.redirect_stdout(None):
                self.dataset = DATASETS.build(settings.dataset)
                self.stored = DATASETS.build(without_augmentation(settings.dataset, self.kind))
                self.preprocessor = MODELS.build(preprocessor_of(cfg, scope))
        # Whatever the hosts find wrong with a list or an annotation file.
        except Exception as error:
            raise InputError(
                f"{loader} cannot be loaded: {in_a_line(error)}; 'mmgcvit check-data CONFIG' looks at it"
            ) from None
        self.metainfo = self.dataset.metainfo
        stored_red_first = any(type_name(leaf) in STORED_RED_FIRST for leaf in leaf_datasets(settings.dataset))
        self.red_first = stored_red_first != bool(
            getattr(self.preprocessor, '_channel_conversion', getattr(self.preprocessor, 'to_rgb', False))
        )

    def chosen(self, number: int, seed: int) -> list[int]:
        """So many samples by chance, of those that there are, by their numbers."""
        return random.Random(seed).sample(range(len(self.dataset)), min(number, len(self.dataset)))

    def original(self, number: int) -> Sample:
        """A sample as it is stored, made to fit into a cell of a sheet.

        Raises:
            InputError: It cannot be loaded.
        """
        try:
            packed = self.stored[number]
        # What hosts and decoders raise on damaged files.
        except Exception as error:
            path = self.stored.get_data_info(number).get('img_path', f'sample {number}')
            raise InputError(f'{path} cannot be loaded: {in_a_line(error)}') from None
        if self.kind == 'coco':
            instances = packed['data_samples'].gt_instances
            instances.bboxes = instances.bboxes.tensor
        return Sample(packed['inputs'].permute(1, 2, 0).numpy()[..., ::-1], packed['data_samples'])

    def drawn(self, numbers: Sequence[int], seed: int) -> list[Sample]:
        """Samples as the network gets them: augmented, in batches of the config's size, mixed where it mixes.

        Args:
            numbers: Of the samples.
            seed: Of Python's, NumPy's and torch's global random numbers, which it sets.

        Raises:
            InputError: One cannot be loaded.
        """
        set_random_seed(seed)
        found = []
        for begin in range(0, len(numbers), self.batch_size):
            batch = numbers[begin : begin + self.batch_size]
            try:
                # Hosts warn and print of what their transforms do.
                with quiet_hosts():
                    packed = self.collate([self.dataset[number] for number in batch])
                    data = self.preprocessor(packed, self.training)
            except Exception as error:
                raise InputError(f'samples {batch} cannot be loaded: {in_a_line(error)}') from None
            found += [
                Sample(self.pixels_of(image), truth)
                for image, truth in zip(data['inputs'], data['data_samples'], strict=True)
            ]
        return found

    def pixels_of(self, image: torch.Tensor) -> np.ndarray:
        """A network's input (3, height, width) as pixels (height, width, 3), red, green, blue."""
        if self.preprocessor._enable_normalize:
            image = image * self.preprocessor.std + self.preprocessor.mean
        pixels = image.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
        return pixels if self.red_first else pixels[..., ::-1]


def without_augmentation(settings: ConfigDict, kind: str) -> ConfigDict:
    """A data set that has the same samples and only loads them; wrappers do nothing of their own."""
    settings = deepcopy(settings)
    inner = settings
    while 'dataset' in inner:
        if 'pipeline' in inner:
            inner.pipeline = []
        inner = inner.dataset
    for leaf in leaf_datasets(settings):
        leaf.pipeline = loading_steps(leaf, kind)
    return settings


def preprocessor_of(cfg: Config, scope: str) -> dict[str, Any]:
    """The settings of the preprocessor as the model would have it, with what mixes images."""
    settings = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    mixing = {'batch_augments': cfg.model.get('train_cfg')} if scope == 'mmpretrain' else {}
    return {'type': PREPROCESSORS[scope], **mixing, **settings}
