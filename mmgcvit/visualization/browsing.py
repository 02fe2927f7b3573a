"""A data set's samples as they are stored, and beside them as a network gets them, augmented."""

import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset, default_collate, pseudo_collate
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import set_random_seed
from PIL import Image

from ..datasets.checks.sources import built, datasets_of, leaf_datasets, place_of, type_name
from ..errors import UserError, first_line
from ..hosts.mmengine import reorders_channels
from ..inference.drawing import palette_of
from ..inference.loading import CIFAR, quiet_hosts
from .judging import KINDS, loading_steps, truth_of
from .sheets import CELL, COLUMNS, cell_of, line_of_text, stacked

# By the scope of a config its preprocessor where it names none.
PREPROCESSORS = {'mmdet': 'DetDataPreprocessor', 'mmseg': 'SegDataPreProcessor', 'mmpretrain': 'ClsDataPreprocessor'}
TRAINING = 'train_dataloader'
# Of a sheet; and samples of a data set on a contact sheet.
ROWS, NUM_SAMPLES = 8, 8
# Of classes that are mixed in an image so many are named, from this share on.
CLASSES, SMALLEST_SHARE = 3, 0.005


@dataclass(frozen=True)
class Sample:
    """An image, and what is true of it."""

    pixels: np.ndarray  # (height, width, 3) uint8, red, green, blue: denormalised, with the padding of the network
    truth: Any  # the host's data sample


class Samples:
    """The samples of a data loader of a whole config whose scope is entered.

    Of any loader but ``'train_dataloader'`` images go through the preprocessor one by one, as in tests, unmixed.
    """

    def __init__(self, cfg: Config, loader: str) -> None:
        scope, settings = cfg.get('default_scope'), cfg.get(loader) or {}
        if scope not in KINDS or not settings.get('dataset') or 'model' not in cfg:
            raise UserError(
                f'the config has default_scope {scope!r}; expected one of {", ".join(KINDS)}, a model, and {loader} '
                'with a data set'
            )
        self.kind = KINDS[scope]
        self.training = loader == TRAINING
        self.batch_size = int(settings.get('batch_size', 1)) if self.training else 1
        self.collate = default_collate if scope == 'mmpretrain' else pseudo_collate
        # As the model would have it, with what mixes images.
        mixing = {'batch_augments': cfg.model.get('train_cfg')} if scope == 'mmpretrain' else {}
        preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
        try:
            # mmdet's data sets print how they are loaded.
            with quiet_hosts():
                self.dataset = DATASETS.build(settings.dataset)
                self.stored = DATASETS.build(without_augmentation(settings.dataset, self.kind))
                self.preprocessor = MODELS.build({'type': PREPROCESSORS[scope], **mixing, **preprocessor})
        # Whatever the hosts find wrong with a list or an annotation file.
        except Exception as error:
            raise UserError(
                f"{loader} cannot be loaded: {first_line(error)}; 'mmgcvit check-data CONFIG' looks at it"
            ) from None
        self.metainfo = self.dataset.metainfo
        # CIFAR's samples are red, green, blue before.
        are_red_first = any(type_name(leaf) in CIFAR for leaf in leaf_datasets(settings.dataset))
        self.red_first = are_red_first != reorders_channels(self.preprocessor)

    def chosen(self, number: int, seed: int) -> list[int]:
        """So many samples by chance, of those that there are, by their numbers."""
        return random.Random(seed).sample(range(len(self.dataset)), min(number, len(self.dataset)))

    def drawn(self, numbers: Sequence[int], seed: int) -> list[Sample]:
        """Samples as the network gets them: augmented, in batches of the config's size, mixed where it mixes.

        The seed becomes that of Python's, NumPy's and torch's global random numbers.
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
                raise UserError(f'samples {batch} cannot be loaded: {first_line(error)}') from None
            for image, truth in zip(data['inputs'], data['data_samples'], strict=True):
                if self.preprocessor._enable_normalize:
                    image = image * self.preprocessor.std + self.preprocessor.mean
                pixels = image.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
                found.append(Sample(pixels if self.red_first else pixels[..., ::-1], truth))
        return found


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


def sheets_of(samples: Samples, numbers: Sequence[int], draws: int, seed: int) -> Iterator[Image.Image]:
    """Sheets of at most eight rows, one for each sample, augmented so often, each time with the next seed."""
    for begin in range(0, len(numbers), ROWS):
        shown = numbers[begin : begin + ROWS]
        columns = [[original_cell(samples.stored, number, samples.kind) for number in shown]]
        for draw in range(draws):
            drawn = samples.drawn(shown, seed + draw)
            columns.append([sample_cell(sample, samples.metainfo, words_of(sample, samples)) for sample in drawn])
        yield stacked(list(zip(*columns, strict=True)))


def contact_sheet(cfg: Config, loaders: Sequence[str]) -> Image.Image:
    """Draw samples of the data sets of some loaders, chosen by chance, the same each time, as they are stored.

    What cannot be loaded is left out.
    """
    rows = []
    for settings, kind, _ in datasets_of(cfg, loaders):
        if kind is None:
            continue
        words, cells = place_of(built(settings)), []
        try:
            with quiet_hosts():
                dataset = DATASETS.build(without_augmentation(settings, kind))
            for number in random.Random(0).sample(range(len(dataset)), len(dataset)):
                if len(cells) < NUM_SAMPLES:
                    with suppress(UserError):
                        cells.append(original_cell(dataset, number, kind))
        # Whatever the hosts find wrong with a list or an annotation file: the table has it.
        except Exception as error:
            words += f' cannot be loaded: {first_line(error)}'
        rows.append([line_of_text(words, COLUMNS * CELL[0])])
        rows += [cells[i : i + COLUMNS] for i in range(0, len(cells), COLUMNS)]
    return stacked(rows)


def original_cell(dataset: BaseDataset, number: int, kind: str) -> Image.Image:
    """A sample as it is stored, with its file's name under it, in classification its class too."""
    sample = original(dataset, number)
    name = Path(sample.truth.metainfo.get('img_path') or f'sample {number}').name
    classes = f'{classes_of(sample.truth, dataset.metainfo)}: ' if kind == 'imagenet' else ''
    return sample_cell(sample, dataset.metainfo, f'{classes}{name}')


def original(dataset: BaseDataset, number: int) -> Sample:
    """A sample of a data set :func:`without_augmentation`."""
    info = dataset.get_data_info(number)
    try:
        packed = dataset[number]
    # What hosts and decoders raise on damaged files.
    except Exception as error:
        raise UserError(f'{info.get("img_path", f"sample {number}")} cannot be loaded: {first_line(error)}') from None
    pixels = packed['inputs'].byte().permute(1, 2, 0).numpy()
    # CIFAR's files hold arrays, red, green, blue.
    return Sample(pixels if 'img' in info else pixels[..., ::-1], packed['data_samples'])


def sample_cell(sample: Sample, metainfo: dict[str, Any], words: str) -> Image.Image:
    """A sample with boxes, masks or labels drawn in, and words under it."""
    classes = metainfo.get('classes') or ()
    is_drawn_in = 'gt_instances' in sample.truth or 'gt_sem_seg' in sample.truth
    found = truth_of(sample.truth, classes) if is_drawn_in else None
    palette = palette_of(len(classes), [metainfo.get('palette')])
    return cell_of(sample.pixels[..., ::-1], found, palette, words, with_scores=False)


def words_of(sample: Sample, samples: Samples) -> str:
    """What the network gets: pixels, and how many objects, or which classes."""
    height, width = sample.pixels.shape[:2]
    words = f'{width} × {height} px'
    if samples.kind == 'coco':
        return f'{words}, {len(sample.truth.gt_instances)} objects'
    return f'{words}, {classes_of(sample.truth, samples.metainfo)}' if samples.kind == 'imagenet' else words


def classes_of(truth: Any, metainfo: dict[str, Any]) -> str:
    """The class of an image, or those that are mixed in it and their shares."""
    names = metainfo.get('classes')

    def name(label: int) -> str:
        return names[label] if names else f'class {label}'

    if 'gt_score' not in truth:
        return ', '.join(name(label) for label in truth.gt_label.tolist()) if 'gt_label' in truth else 'no label'
    shares = truth.gt_score
    largest = [label for label in shares.argsort(descending=True).tolist()[:CLASSES] if shares[label] > SMALLEST_SHARE]
    if len(largest) == 1:
        return name(largest[0])
    return ', '.join(f'{name(label)} {shares[label]:.0%}' for label in largest)
