"""Write the drawings of docs/fifty_photos.md and docs/does_it_suit_me.md as SVG: python -m
docs.drawings.own_data.

The folders are those of the package's lists of layouts.
"""

from pathlib import PurePosixPath

from mmgcvit.own.data.formats import FORMATS

from .draw import GLOBAL, IMAGES, MAP, RESULT, Drawing

MONOSPACE = 'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace"'
# Panels, row by row: the title, the format, and the layout's name in the package.
PANELS = [
    ('CVAT, "COCO 1.0"', 'COCO', 'CVAT and Datumaro (COCO)'),
    ('Roboflow, "COCO"', 'COCO', 'Roboflow and RF-DETR (COCO)'),
    ('Label Studio, "COCO"', 'COCO', 'Label Studio, labelme and VIA (COCO)'),
    ('labelImg, XML files', 'Pascal VOC', 'labelImg (VOC)'),
    ('YOLO', 'YOLO', 'Ultralytics and FiftyOne (YOLO)'),
    ('a map for each image', 'maps', 'Ultralytics and Kaggle (maps)'),
    ('class folders', 'class folders', 'torchvision, Ultralytics, Roboflow and CVAT (classes)'),
    ('cell images', 'maps', 'cellpose'),
]
WIDTH, LINE, INDENT = 262, 22, 16


def list_tree(layout_format: str, name: str) -> list[tuple[int, str]]:
    """Return the depth and name of each folder and file of a layout, in order."""
    layouts = FORMATS[layout_format].LAYOUTS
    tree = next(layout.tree for layout in layouts if layout.tools == name)
    paths = []
    for line in tree.split('\n'):
        # Behind a comma or a word such as "with" a layout says what a file contains.
        path = line.replace(',', ' ').split(' ')[0]
        parents = [parent.as_posix() for parent in PurePosixPath(path).parents]
        folders = [f'{parent}/' for parent in reversed(parents) if parent != '.']
        paths += [folder for folder in folders if folder not in paths]
        paths.append(path)
    rows = [(path.rstrip('/').count('/') + 1, name_of(path)) for path in paths]
    return [(0, 'photos/'), *rows]


def name_of(path: str) -> str:
    """Return the last part of a path, with its slash if it is a folder."""
    return path[path.rstrip('/').rfind('/') + 1 :]


def folder_trees() -> str:
    """Draw the folders that labelling tools export."""
    drawing = Drawing()
    y, height = 8, 0
    for index, (title, layout_format, name) in enumerate(PANELS):
        is_left = index % 2 == 0
        if is_left:
            y, height = y + height, 0
        x = 12 if is_left else 12 + WIDTH
        rows = list_tree(layout_format, name)
        drawing.text(x, y + 14, title, bold=True)
        for number, (depth, words) in enumerate(rows, 1):
            place = (x + INDENT * depth, y + 14 + LINE * number)
            drawing.text(*place, words, size=14, font=MONOSPACE)
        height = max(height, LINE * (len(rows) + 1) + 20)
    return drawing.finish(2 * WIDTH + 20, y + height, 'Folders that train --data reads')


# A question, what follows from yes, and the colour of that.
QUESTIONS = (
    (
        'For commercial use?',
        ['--size mini', "this project's, Apache 2.0", 'or Swin, ConvNeXt: MIT'],
        RESULT,
    ),
    (
        "COCO's 80 classes?",
        ["NVIDIA TAO's DINO", 'mmgcvit convert', 'no training; not commercial'],
        GLOBAL,
    ),
    (
        'Is there a GPU?',
        ["GC ViT's authors', the default", '--size tiny, small, base', 'not commercial'],
        GLOBAL,
    ),
)


def which_weights() -> str:
    """Draw which weights to start from, by three questions."""
    drawing = Drawing()
    for index, (question, answer, colour) in enumerate(QUESTIONS):
        y = 20 + 100 * index
        drawing.box(20, y, 220, 46, question, MAP)
        drawing.arrow((240, y + 23), (298, y + 23))
        drawing.text(255, y + 10, 'yes', grey=True, size=13)
        drawing.box(300, y - 12, 290, 76, answer, colour)
        drawing.arrow((130, y + 46), (130, y + 98))
        drawing.text(140, y + 72, 'no', grey=True, size=13)
    drawing.box(
        20, 320, 220, 58, ['--size mini, the default', "this project's, Apache 2.0"], RESULT
    )
    return drawing.finish(610, 396, 'Which weights to start from')


DRAWINGS = {draw.__name__: draw for draw in (folder_trees, which_weights)}


if __name__ == '__main__':
    for name, draw in DRAWINGS.items():
        (IMAGES / f'{name}.svg').write_text(draw())
