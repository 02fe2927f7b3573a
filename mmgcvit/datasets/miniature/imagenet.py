"""A miniature ImageNet-1K: the official folders, one for each of 1000 classes, with one small image each or more."""

from collections.abc import Sequence
from pathlib import Path

from ...files import write_image
from ..digits import SPLITS, SceneComposer

# Height and width, one after the other.
SHAPES = ((48, 64), (64, 48), (56, 56))
NAMES = {'train': '{folder}_{number}.JPEG', 'val': 'ILSVRC2012_val_{number:08d}.JPEG'}


def write_miniature_imagenet(root: Path, folders: Sequence[str], seed: int = 0, per_folder: int = 1) -> None:
    """Write ``<root>/{train,val}/<folder>/*.JPEG``.

    Args:
        root: A folder that does not exist yet.
        folders: A folder for each class, for example those of :func:`imagenet_folders`.
        seed: The same seed gives the same files.
        per_folder: Images in each folder.
    """
    for split in SPLITS:
        composer = SceneComposer(split, seed=seed)
        scans = {digit: [scan for scan in composer.scans if composer.digits[scan] == digit] for digit in range(10)}
        for number, folder in enumerate([*folders] * per_folder):
            (root / split / folder).mkdir(parents=True, exist_ok=True)
            scan = composer.rng.choice(scans[number % 10])
            image = composer.compose_one(scan, SHAPES[number % len(SHAPES)])
            path = root / split / folder / NAMES[split].format(folder=folder, number=number + 1)
            write_image(path, image[..., ::-1])


def imagenet_folders() -> list[str]:
    """The names of ImageNet-1K's folders (WordNet ids), n01440764 and so on, in the order of the classes."""
    # timm carries the list; mmpretrain has the classes' names only. Imported here because it takes seconds.
    from timm.data import ImageNetInfo

    return ImageNetInfo('imagenet-1k').label_names()
