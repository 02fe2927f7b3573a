"""Rules for labels that a model made and nobody has corrected, which ``data/origins.py`` marks."""

from ....datasets.rules.rule import Finding, FolderEffect
from ..records import Split
from .folder_rules import make_folder_note, make_folder_rule
from .images import ImageFindings

UNCORRECTED = make_folder_rule(
    'images whose labels a model made and nobody has corrected (never validation or test)',
    'Correct them, or name those that are right in corrected.txt. --pseudo-labels trains on the '
    'others of training',
    in_folder=FolderEffect.DROPPED,
)
PSEUDO_LABELS = make_folder_note(
    'training images whose labels a model made and nobody has corrected (--pseudo-labels)',
    'The model learns the mistakes of the other one. Correct them for better scores',
)
CORRECTED_ELSEWHERE = make_folder_rule(
    'images with uncorrected labels that are there with labels of somebody too (these are read)',
    'Remove one of the two',
    in_folder=FolderEffect.DROPPED,
)


def find_uncorrected(split: Split, name: str, *, pseudo_labels: bool) -> ImageFindings:
    """Return the images of a split whose labels are uncorrected, by their indices.

    ``name`` is that of the split. With ``pseudo_labels``, those for training are only noted.
    """
    rule = PSEUDO_LABELS if pseudo_labels and name == 'train' else UNCORRECTED
    paths = split.image_paths
    return {
        index: Finding(rule, str(paths[index]))
        for index, image in enumerate(split.images)
        if image.is_uncorrected
    }
