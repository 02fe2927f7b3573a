"""The names of all that commands write, by which their outputs are told from pictures to read."""

import re
from collections.abc import Collection
from pathlib import Path

# What ``mmgcvit predict`` writes: subfolders for drawn pictures and videos, for segmentation maps,
# and for JSON Lines files with a line per video frame.
PICTURES, LABEL_MAPS, FRAMES = FOLDERS = ('vis', 'labels', 'preds')
# The predictions of all images, the list of images, the number of predictions by image and class,
# and the measurements of objects.
PREDICTIONS, IMAGES, COUNTS, OBJECTS = FILES = (
    'predictions.json',
    'images.json',
    'counts.csv',
    'objects.csv',
)
# What ``mmgcvit mistakes`` writes.
MISTAKES = ('confusion.png', 'curves.png', 'mistakes.json', 'worst')
# What it writes about wrong labels: a table, and a folder of pictures.
LABEL_ERRORS = ('label_errors.csv', 'label_errors')
# What ``mmgcvit suggest`` writes.
SUGGESTIONS = ('suggestions.csv', 'suggestions.jpg')


def list_outputs(folder: Path, names: Collection[str]) -> set[str]:
    """Return which of the names in a folder are outputs of mmgcvit's commands, and not data.

    One name does not suffice, since a class may be called ``predictions``: what lies in or beside
    it must fit too.
    """
    names = set(names)
    # Folders with the logs of a run.
    written = {name for name in names if any((folder / name).glob('*/vis_data'))}
    # predict may be killed before it writes the files, or told to write none.
    is_expected = all(name in FOLDERS or name.startswith(('.', *FILES)) for name in names)
    is_unfinished = is_expected and re.fullmatch(r'predictions\d*', folder.name)
    if is_unfinished or len(names & {PREDICTIONS, IMAGES, PICTURES}) > 1:
        written.update(FILES, FOLDERS)
    if len(names & {'mistakes.json', 'confusion.png', 'worst'}) > 1:
        written.update(MISTAKES)
    if names.issuperset(SUGGESTIONS):
        written.update(SUGGESTIONS)
    if names.issuperset(LABEL_ERRORS):
        written.update(LABEL_ERRORS)
    return written & names
