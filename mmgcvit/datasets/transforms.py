"""Transforms of training pipelines: replace images that cannot be loaded by other samples; cut
tiles.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from itertools import takewhile
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import print_log
from numpy.typing import NDArray

from ..errors import UserError, escape_controls, get_first_line
from ..host.config import get_type_name
from ..registry import TRANSFORMS
from .annotations import Size
from .checks.sources import is_remote, iter_unwrapped_datasets
from .opening import ImageError, decoder_errors

Results = dict[str, Any]  # a sample, which transforms change
CocoMask = Sequence[Sequence[float]] | Mapping[str, Any]  # polygons, or RLE
# An object of which a tile shows a smaller part is ignored: neither an object nor background
MIN_VISIBLE = 0.3
# Probability that a tile is put at an object, or at a class of a map: large images are mostly empty
OBJECT_TILES = 0.75


@TRANSFORMS.register_module()
class SkipUnreadable(BaseTransform):
    """Run a pipeline's transforms. If a file cannot be read, or a transform of another package
    fails on it, return None instead of a sample, and log the file once in each worker.

    mmengine's datasets then draw another sample with NumPy's global random generator, which this
    project's loops seed for each sample, so the other samples stay the same. Datasets in test mode
    do not draw another sample.

    Args:
        transforms: The configs of the pipeline's loading transforms.
        augmentations: The configs of its other transforms.
        unreadable_images: How many files may fail in each dataloader worker until a UserError is
            raised.
    """

    def __init__(
        self,
        transforms: Sequence[dict[str, Any]],
        augmentations: Sequence[dict[str, Any]],
        unreadable_images: int,
    ):
        self.load = Compose(transforms)
        self.augment = Compose(augmentations)
        self.max_unreadable = unreadable_images
        self.unreadable: set[str] = set()

    def transform(self, results: Results) -> Results | None:
        """Load the sample whose files are ``img_path`` and, if present, ``seg_map_path``."""
        # Keep the annotated size, because the transforms overwrite it with the loaded size.
        annotated_size = results.get('width'), results.get('height')
        files = [results['img_path'], results.get('seg_map_path')]
        try:
            loaded = run_transforms(self.load, results)
            if loaded is None:
                raise ImageError('nothing can be read from it')
            size = loaded['ori_shape'][::-1]
            # The sizes differ, for example, after an EXIF rotation.
            if None not in annotated_size and size != annotated_size:
                sizes = '{} x {}, but the annotations say {} x {}'
                raise ImageError(f'it is {sizes.format(*size, *annotated_size)}')
            return run_transforms(self.augment, loaded)
        except (OSError, ImageError) as error:
            self.report(' with '.join(filter(None, files)), error)
        return None

    def report(self, name: str, error: Exception) -> None:
        """Log why a file failed, once. Raise a UserError if too many have failed."""
        if name in self.unreadable:
            return
        self.unreadable.add(name)
        message = f'{name} cannot be loaded ({get_first_line(error)})'
        if len(self.unreadable) > self.max_unreadable:
            raise UserError(
                f'{message}, after {self.max_unreadable} others. Repair them ('
                "'mmgcvit check-data CONFIG' lists them), or set data_checks.unreadable_images=N"
            ) from error
        message += (
            f' and is replaced by another sample ({len(self.unreadable)} of at most '
            f'{self.max_unreadable})'
        )
        # Log with level ERROR, because ranks other than 0 print nothing below it.
        print_log(escape_controls(message), 'current', logging.ERROR)


def run_transforms(transforms: Compose, results: Results) -> Results | None:
    """Run transforms, until one returns None.

    Decoders and augmentations of other packages raise errors of any class on damaged files and
    extreme sizes, which become ImageErrors. Those of this package raise what they raise.
    """
    sample: Results | None = results
    for transform in transforms.transforms:
        is_own = type(transform).__module__.startswith('mmgcvit.')
        with nullcontext() if is_own else decoder_errors():
            sample = transform(sample)
        if sample is None:
            return None
    return sample


def skip_unreadable(cfg: Config, max_unreadable: int) -> None:
    """Wrap training pipelines that load images, also those of mmdet's PipelineSwitchHook, in
    place.
    """
    datasets = iter_unwrapped_datasets((cfg.get('train_dataloader') or {}).get('dataset'))
    owners = [(dataset, 'pipeline') for dataset in datasets if not is_remote(dataset)]
    if owners:
        owners += [(hook, 'switch_pipeline') for hook in cfg.get('custom_hooks') or ()]
    for owner, name in owners:
        pipeline = list(owner.get(name) or [])
        loading = list(takewhile(is_loading, pipeline))
        if loading:
            wrapped = {
                'type': 'mmgcvit.SkipUnreadable',
                'transforms': loading,
                'unreadable_images': max_unreadable,
                'augmentations': pipeline[len(loading) :],
            }
            owner[name] = [wrapped]


def is_loading(transform: Mapping[str, Any]) -> bool:
    return get_type_name(transform).startswith(('Load', 'ApplyExif'))


@TRANSFORMS.register_module()
class RandomTile(BaseTransform):
    """Cut a random tile of ``side`` pixels out of a larger image with boxes and masks, which keep
    their visible part.

    It precedes ``LoadAnnotations``, because bitmaps of hundreds of objects in a whole large image
    would take gigabytes.
    """

    def __init__(self, side: int):
        self.side = side

    def transform(self, results: Results) -> Results:
        """Cut the image and the ``instances`` of mmdet's ``results``, which become those of an
        image of this size.
        """
        if 'gt_bboxes' in results:
            raise UserError(
                'mmgcvit.RandomTile is after LoadAnnotations. Move it before LoadAnnotations'
            )
        corners = [instance['bbox'] for instance in results['instances']]
        boxes = np.array(corners, float).reshape(-1, 2, 2)  # n, [[left, top], [right, bottom]]
        corner = self.choose_corner(boxes, results['img'].shape[1::-1])
        left, top = corner
        tile = np.s_[top : top + self.side, left : left + self.side]
        results['img'] = results['img'][tile]
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        cut = np.clip(boxes - corner, 0, results['img_shape'][::-1])
        visible = np.diff(cut, axis=1).prod((1, 2)) / np.diff(boxes, axis=1).prod((1, 2))
        instances = []
        for instance, box, part in zip(results['instances'], cut, visible, strict=True):
            if part > 0:
                instances.append(instance)
                instance['bbox'] = box.ravel().tolist()
                instance['ignore_flag'] = int(instance['ignore_flag'] or part < MIN_VISIBLE)
                if 'mask' in instance:
                    instance['mask'] = cut_mask(instance['mask'], corner, tile)
        results['instances'] = instances
        return results

    def choose_corner(self, boxes: NDArray[np.float64], image_size: Size) -> NDArray[np.int64]:
        """Return the [left, top] of a random tile, which mostly shows the centre of a random box.

        ``boxes`` (n, 2, 2) are corners in an image of (width, height).
        """
        shown = None
        if len(boxes) and np.random.rand() < OBJECT_TILES:
            shown = boxes[np.random.randint(len(boxes))].mean(0).astype(int)
        return choose_corner(image_size, self.side, shown)


@TRANSFORMS.register_module()
class RandomMapTile(BaseTransform):
    """Cut a random tile of ``side`` pixels out of a larger image and its segmentation map.

    Three of four tiles show a random pixel of a random class in the map, so that classes of few
    pixels are trained as often as others.
    """

    def __init__(self, side: int, ignore_index: int = 255):
        self.side = side
        self.ignore_index = ignore_index

    def transform(self, results: Results) -> Results:
        """Cut the image and the map of mmseg's ``results``, which become those of an image of this
        size.
        """
        if 'gt_seg_map' not in results:
            raise UserError(
                'mmgcvit.RandomMapTile is before LoadAnnotations. Move it behind LoadAnnotations'
            )
        label_map = results['gt_seg_map']
        shown = None
        if np.random.rand() < OBJECT_TILES:
            shown = self.choose_pixel(label_map)
        left, top = choose_corner(label_map.shape[::-1], self.side, shown)
        tile = np.s_[top : top + self.side, left : left + self.side]
        results['img'] = results['img'][tile]
        results['gt_seg_map'] = label_map[tile]
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        return results

    def choose_pixel(self, label_map: NDArray[np.integer[Any]]) -> NDArray[np.int64] | None:
        """Return the [x, y] of a random pixel of a random class in a map (height, width), or None
        if all of it is ignored.
        """
        counts = np.bincount(label_map.ravel())
        counts[self.ignore_index : self.ignore_index + 1] = 0
        present = np.flatnonzero(counts)
        if not len(present):
            return None
        label = np.random.choice(present)
        pixels = np.flatnonzero(label_map == label)
        y, x = np.unravel_index(np.random.choice(pixels), label_map.shape)
        return np.array([x, y])


def choose_corner(
    image_size: Size, side: int, shown: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Return the [left, top] of a random tile in an image of (width, height), which shows the pixel
    [x, y] if it is given.
    """
    lowest: NDArray[np.int64] = np.zeros(2, np.int64)
    highest = np.subtract(image_size, side).clip(0)
    if shown is not None:
        lowest = np.clip(shown - side + 1, 0, highest)
        highest = np.clip(shown, 0, highest)
    return np.random.randint(lowest, highest + 1)


def cut_mask(mask: CocoMask, corner: NDArray[np.int64], tile: tuple[slice, slice]) -> CocoMask:
    """Cut a tile out of a mask of an annotation: polygons [x, y, x, y, ...] or RLE.

    ``corner`` is the tile's [x, y].
    """
    if not isinstance(mask, Mapping):
        # Polygons need no clipping: pycocotools draws what is inside of the image.
        return [(np.array(polygon) - np.resize(corner, len(polygon))).tolist() for polygon in mask]
    from pycocotools import mask as coco_mask

    rle = coco_mask.frPyObjects(mask, *mask['size']) if isinstance(mask['counts'], list) else mask
    rle = coco_mask.encode(np.asfortranarray(coco_mask.decode(rle)[tile]))
    return {**rle, 'counts': rle['counts'].decode()}
