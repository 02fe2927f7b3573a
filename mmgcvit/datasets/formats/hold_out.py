"""Hold out images for validation if a dataset has no validation split."""

import hashlib

from ...errors import UserError
from .dataset_info import DatasetInfo

VAL_FRACTION = 0.2
# Roboflow writes augmented copies of an image as NAME.rf.HASH.jpg.
COPY_MARK = '.rf.'


def split_validation(dataset: DatasetInfo) -> None:
    """Hold out a fifth of the training images for validation, in place, unless there is a validation split.

    The images are selected by a hash of their names. So each run selects the same images, and nearly the same images
    after new ones were added. Roboflow's augmented copies of an image stay in one split. Raise a UserError if there is
    no training split, or it has only one image.
    """
    if 'train' not in dataset.splits:
        raise UserError(
            f'{dataset.folder} has images for {" and ".join(dataset.splits)}, but none for training. Add images for '
            'training (docs/custom_dataset.md)'
        )
    if 'val' in dataset.splits:
        return
    train = dataset.splits['train']
    originals = {name.split(COPY_MARK)[0] for name in train.image_names}
    num_val = max(1, round(VAL_FRACTION * len(originals)))
    if num_val == len(originals):
        raise UserError(
            f'{dataset.folder} has only one image to train on. Add more: at least one is held out for validation'
        )
    held_out = {*sorted(originals, key=lambda name: hashlib.sha256(name.encode()).digest())[:num_val]}
    val = {index for index, name in enumerate(train.image_names) if name.split(COPY_MARK)[0] in held_out}
    rest = {*range(len(train.image_names))} - val
    dataset.splits |= {'train': train.select(rest), 'val': train.select(val)}
    dataset.notes.append(f'no val split: {len(val)} of {len(train.image_names)} images are held out for validation')
