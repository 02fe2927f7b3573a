"""The rule for names of images, which are written into lists."""

from collections.abc import Mapping

from ....datasets.rules.rule import Finding
from .folder_rules import make_folder_rule

UNUSABLE_NAME = make_folder_rule(
    'names of images with a tab, a line break or invalid UTF-8', 'Rename them'
)
ImageFindings = Mapping[int, Finding]  # by the indices of images in their split


def has_unusable_name(name: str) -> bool:
    """Return whether a name cannot be in a list of files."""
    is_valid_utf8 = name.encode(errors='replace').decode() == name
    return not is_valid_utf8 or not set(name).isdisjoint('\t\n\r')
