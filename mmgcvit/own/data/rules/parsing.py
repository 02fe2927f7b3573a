"""Rules for the files of a dataset: what readers cannot parse, pair or take as it is."""

from ....datasets.rules.rule import FolderEffect
from .folder_rules import make_folder_note, make_folder_rule

WRONG_LINES = make_folder_rule(
    'lines of YOLO that are not an object',
    'Expected CLASS X Y WIDTH HEIGHT, or CLASS X1 Y1 X2 Y2 X3 Y3 ... for a polygon: an index of '
    'names, and fractions of width and height, not pixels. Keypoints are not supported',
    unit='object',
)
UNUSED_LABELS = make_folder_rule(
    'files of YOLO with objects, but without an image', 'Add the images, or remove the files'
)
MISPLACED_LABELS = make_folder_rule(
    'images without a label file where YOLO has it, but with objects in a text file of their name '
    'elsewhere',
    'Move the text files to the paths of label files (those of images in a folder images are in a '
    'folder labels instead), or out of the folder if they are something else',
    in_folder=FolderEffect.REJECTED,
)
WRONG_OBJECTS = make_folder_rule(
    'objects of Pascal VOC without a name or a box',
    'Expected a name, pixels with xmin <= xmax and ymin <= ymax, and 0 or 1 for difficult',
    unit='object',
)
ZERO_BASED = make_folder_note(
    'images with coordinates under 1 in their XML files, so that boxes count from 0, not 1',
    'Correct them if the tool counts from 1',
)
FRACTIONS = make_folder_note(
    'images with fractions of pixels in their XML files, in more than a tenth of the files, so '
    'that boxes count from 0, not 1',
    'Write whole numbers if the tool counts from 1',
)
UNUSABLE_XML = make_folder_rule(
    'XML files or their images that cannot be used', 'Export them again, or remove them'
)
UNKNOWN_LINES = make_folder_rule(
    'lines of ImageSets that name no XML file or map', 'Write names without folder and suffix'
)
UNPAIRED = make_folder_rule(
    'images without a map, or maps without an image', 'Add the other one, with the same name'
)
UNUSABLE_MAPS = make_folder_rule('maps that cannot be used', 'Repair or remove them')
SCATTERED = make_folder_note(
    'objects in several regions far apart, which share a number',
    'Give each object of an image a number of its own; maps of over 254 objects need 16 bits',
)
VOID_NUMBERS = make_folder_note(
    'maps of instances with 255 in 8 bits, or 65535 in 16 bits, beside other numbers, which is '
    'read as background',
    'If it is an object, give it another number',
)
