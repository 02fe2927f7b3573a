"""Single digits as a classification data set, in ImageNet's own folders."""

from pathlib import Path

from ..pictures import write_picture
from .scenes import SceneComposer


def write_imagenet(root: Path, composer: SceneComposer, split: str, copies: int) -> None:
    """Write ``<root>/<split>/<digit>/<scan>_<copy>.jpg``, every scan of the split ``copies`` times in other colours."""
    for digit in sorted(set(composer.digits)):
        (root / split / str(digit)).mkdir(parents=True)
    for scan in composer.scans.tolist():
        for copy in range(copies):
            path = root / split / str(composer.digits[scan]) / f'{scan:04d}_{copy}.jpg'
            write_picture(path, composer.compose_one(scan))
