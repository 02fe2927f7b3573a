"""Write the drawing of docs/how_it_fits_together.md as SVG: python -m docs.drawings.house."""

from .draw import CONVOLUTION, GLOBAL, IMAGES, LOCAL, MAP, RESULT, Drawing

WIDTH = 900
# The rooms of the library from top to bottom. A row imports only from the rows below it.
LIBRARY = [
    [('engine', 'training, resuming, tests'), ('export', 'ONNX files')],
    [('predict', 'a model with its pipeline'), ('runs', 'work dirs')],
    [('datasets', "what a config's data need"), ('fixes', 'faults of mmdet and mmseg')],
    [('models', 'GC ViT and LSA: begin here'), ('checkpoints', 'weights, read as data')],
    [('registry', 'our names'), ('host', 'helpers'), ('ops', 'no compiler')],
]
COLOURS = {'models': LOCAL, 'engine': RESULT, 'predict': RESULT}
ROOM_HEIGHT = 50
GAP = 10
LEFT, RIGHT = 190, 710


def house() -> str:
    """Draw the application above the library, and the ways of a config and of a folder."""
    drawing = Drawing()
    drawing.text(LEFT, 16, 'Application: pictures of your own', bold=True)
    lines = ['commands', 'mmgcvit train, predict, mistakes, ...; tools/train.py']
    drawing.box(LEFT, 32, RIGHT - LEFT, ROOM_HEIGHT, lines, GLOBAL)
    parts = [
        ('own/judging', 'says how good'),
        ('own/training', 'makes a config'),
        ('own/data', 'reads a folder'),
    ]
    draw_row(drawing, parts, 104, GLOBAL)
    drawing.text(415, 176, 'Nothing below this wall imports from above', grey=True)
    drawing.text(415, 206, 'Library: for any OpenMMLab config', bold=True)
    top = 222
    for i, rooms in enumerate(LIBRARY):
        draw_row(drawing, rooms, top + i * (ROOM_HEIGHT + GAP))
    bottom = top + 4 * (ROOM_HEIGHT + GAP)
    # A config goes straight to the engine.
    drawing.box(15, 32, 130, ROOM_HEIGHT, ['a CONFIG', 'train CONFIG'], MAP)
    drawing.arrow((145, 57), (LEFT - 2, 57))
    drawing.arrow((361, 82), (361, top - 2))
    # A folder becomes a config first.
    drawing.box(755, 32, 130, ROOM_HEIGHT, ['a FOLDER', 'train --data'], MAP)
    drawing.arrow((755, 57), (RIGHT + 2, 57))
    drawing.arrow((RIGHT - 80, 82), (RIGHT - 80, 102))
    drawing.arrow((544, 129), (535, 129))
    drawing.arrow((395, 154), (395, top - 2))
    drawing.box(15, top, 130, ROOM_HEIGHT, ['a work dir', 'others read it'], MAP)
    drawing.arrow((LEFT, top + 25), (147, top + 25))
    drawing.arrow((80, top), (80, 129), (LEFT - 2, 129))
    hosts = ['hosts', 'mmengine,', 'mmdet, mmseg,', 'mmpretrain']
    drawing.box(10, bottom - 70, 145, 120, hosts, CONVOLUTION)
    drawing.arrow((155, bottom + 25), (LEFT - 2, bottom + 25))
    return drawing.finish(WIDTH, bottom + ROOM_HEIGHT + 15, 'The rooms of mmgcvit')


def draw_row(
    drawing: Drawing, rooms: list[tuple[str, str]], y: float, fill: str | None = None
) -> None:
    """Draw rooms side by side, as wide as the house."""
    width = (RIGHT - LEFT - GAP * (len(rooms) - 1)) / len(rooms)
    for i, (name, words) in enumerate(rooms):
        colour = fill or COLOURS.get(name, MAP)
        drawing.box(LEFT + i * (width + GAP), y, width, ROOM_HEIGHT, [name, words], colour)


DRAWINGS = {'house': house}


if __name__ == '__main__':
    (IMAGES / 'house.svg').write_text(house())
