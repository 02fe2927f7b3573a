"""Write the drawings of docs/how_gcvit_works.md and docs/how_lsa_works.md as SVG: python
docs/drawings/draw.py.

The numbers are those of GC ViT-T and LSA's imagenet-tiny for an image of 224x224 px; tests/docs
compares them with what the networks compute. First the few shapes that they are made of, then the
drawings; lengths are pixels at full size.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

IMAGES = Path(__file__).parent.parent / 'images'
FONT = 'font-family="Helvetica, Arial, sans-serif"'
INK = '#1f2933'
GREY = '#5b6770'
# What is made by convolutions, by attention inside a window, by attention with a query from the
# whole map.
CONVOLUTION = '#e3e8ec'
LOCAL = '#cfe3f7'
GLOBAL = '#fbd9b5'
MAP = '#ffffff'
RESULT = '#dcefdc'
ARROWHEAD = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    f'orient="auto">\n<path d="M0,0 L8,4 L0,8 z" fill="{INK}"/></marker></defs>'
)


class Drawing:
    """An SVG file, to which each method adds a part."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def box(
        self, x: float, y: float, width: float, height: float, lines: str | list[str], fill: str
    ) -> None:
        """Draw a rectangle with centred lines of text, the first in bold."""
        lines = [lines] if isinstance(lines, str) else lines
        part = (
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" fill="{fill}" '
            f'stroke="{INK}"/>'
        )
        first = y + height / 2 - 9 * (len(lines) - 1)
        for i, words in enumerate(lines):
            style = {'anchor': 'middle', 'bold': i == 0, 'grey': i > 0}
            part += format_text(x + width / 2, first + 18 * i, words, **style)
        self.parts.append(part)

    def text(self, x: float, y: float, words: str, **style: Any) -> None:
        self.parts.append(format_text(x, y, words, **style))

    def arrow(self, *points: tuple[float, float]) -> None:
        """Draw a line along the points, with an arrowhead at the last."""
        path = ' '.join(f'{x},{y}' for x, y in points)
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{INK}" stroke-width="1.5" '
            'marker-end="url(#head)"/>'
        )

    def grid(
        self, x: float, y: float, cell: float, side: int, fill: str = MAP, window: int = 0
    ) -> None:
        """Draw ``side`` rows and columns of cells, with heavier lines around windows."""
        length = cell * side
        part = (
            f'<rect x="{x}" y="{y}" width="{length}" height="{length}" fill="{fill}" '
            f'stroke="{INK}" stroke-width="1.5"/>'
        )
        inner = [(i * cell, bool(window) and i % window == 0) for i in range(1, side)]
        for offset, heavy in inner:
            part += format_line(x + offset, y, x + offset, y + length, heavy)
        for offset, heavy in inner:
            part += format_line(x, y + offset, x + length, y + offset, heavy)
        self.parts.append(part)

    def finish(self, width: int, height: int, title: str) -> str:
        """Return the SVG file, with a white background for dark pages."""
        size = f'width="{width}" height="{height}"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size}>',
            f'<title>{escape(title)}</title>',
            ARROWHEAD,
            f'<rect {size} fill="#ffffff"/>',
            *self.parts,
            '</svg>\n',
        ]
        return '\n'.join(lines)


def format_text(
    x: float,
    y: float,
    words: str,
    anchor: str = 'start',
    bold: bool = False,
    grey: bool = False,
    size: int = 15,
    font: str = FONT,
) -> str:
    """Return one line of text, its middle at height y."""
    weight = ' font-weight="bold"' if bold else ''
    return (
        f'<text x="{x}" y="{y + size * 0.35:.1f}" {font} font-size="{size}" text-anchor="{anchor}" '
        f'fill="{GREY if grey else INK}"{weight}>{escape(words)}</text>'
    )


def format_line(x1: float, y1: float, x2: float, y2: float, heavy: bool) -> str:
    colour, width = (INK, 1.5) if heavy else ('#9aa5ad', 0.6)
    return (
        f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" stroke-width="{width}"/>'
    )


def gcvit_network() -> str:
    """Draw the four stages with the maps between them."""
    stages = [(3, 56, 64, 7, 64), (4, 28, 128, 7, 16), (19, 14, 256, 14, 1), (5, 7, 512, 7, 1)]
    drawing = Drawing()
    drawing.box(180, 15, 250, 36, 'image 3 x 224 x 224', MAP)
    drawing.arrow((305, 51), (305, 73))
    drawing.box(180, 75, 250, 52, ['stem', 'convolutions, stride 4'], CONVOLUTION)
    y = 127
    for i, (blocks, side, channels, window, windows) in enumerate(stages):
        if i:
            drawing.box(180, y + 24, 250, 36, 'downsampler', CONVOLUTION)
            drawing.arrow((305, y), (305, y + 22))
            y += 60
        drawing.arrow((305, y), (305, y + 34))
        drawing.text(316, y + 16, f'{side} x {side} x {channels}', grey=True)
        y += 36
        some = 'window' if windows == 1 else 'windows'
        lines = [f'stage {i}: {blocks} blocks', f'{windows} {some} of {window} x {window} tokens']
        drawing.box(180, y, 250, 58, lines, LOCAL)
        drawing.arrow((430, y + 29), (478, y + 29))
        drawing.box(
            480, y + 8, 185, 42, [f'norm, output {i}', f'{channels} x {side} x {side}'], RESULT
        )
        drawing.arrow((95, y - 18), (95, y + 29), (178, y + 29))
        drawing.arrow((305, y - 18), (95, y - 18), (95, y - 6))
        drawing.box(15, y - 5, 150, 30, 'query generator', GLOBAL)
        drawing.text(15, y + 45, f'{window} x {window} tokens', grey=True)
        y += 58
    return drawing.finish(680, y + 15, 'GC ViT-T for an image of 224 x 224 pixels')


def gcvit_stage() -> str:
    """Draw stage 0: the query is computed once, local and global blocks alternate."""
    drawing = Drawing()
    drawing.box(230, 15, 220, 40, 'map 56 x 56 x 64', MAP)
    drawing.arrow((340, 55), (340, 75), (130, 75), (130, 98))
    sides = [56, 28, 14, 7]
    y = 100
    for before, after in pairwise(sides):
        drawing.box(
            20,
            y,
            220,
            56,
            ['Fused-MBConv, pooling', f'{before} x {before} to {after} x {after}'],
            CONVOLUTION,
        )
        drawing.arrow((130, y + 56), (130, y + 76))
        y += 78
    drawing.box(20, y, 220, 58, ['global query', '2 heads x 49 tokens x 32'], GLOBAL)
    drawing.arrow((340, 75), (480, 75), (480, 98))
    names = [('block 0: local', LOCAL), ('block 1: global', GLOBAL), ('block 2: local', LOCAL)]
    for i, (name, colour) in enumerate(names):
        top = 100 + 104 * i
        drawing.box(360, top, 240, 76, [name, 'x + attention(norm(x))', 'x + MLP(norm(x))'], colour)
        drawing.arrow((480, top + 76), (480, top + 102))
    drawing.box(360, 412, 240, 40, 'map 56 x 56 x 64', MAP)
    drawing.arrow((240, y + 29), (300, y + 29), (300, 242), (358, 242))
    drawing.text(20, 410, 'Made once, read by every global', grey=True)
    drawing.text(20, 430, 'block of the stage.', grey=True)
    return drawing.finish(640, 470, 'A stage of GC ViT')


def gcvit_attention() -> str:
    """Draw where queries, keys and values of one window come from."""
    drawing = Drawing()
    for left, name in ((15, 'Local attention'), (360, 'Global attention')):
        drawing.text(left, 18, name, bold=True)
        drawing.text(left, 38, 'a map, in windows of 7 x 7', grey=True)
        drawing.grid(left, 52, 10, 14, window=7)
        drawing.grid(left, 52, 10, 7, fill=LOCAL)
        lines = ['softmax(q k / sqrt(32) + bias) v', '2 heads of 49 x 49 scores']
        drawing.box(left, 236, 310, 56, lines, MAP)
        drawing.arrow((left + 155, 292), (left + 155, 316))
        drawing.box(left, 318, 310, 36, 'linear: window of 49 x 64', RESULT)
    drawing.arrow((85, 87), (183, 87))
    drawing.box(185, 56, 140, 62, ['linear', 'q, k, v: 49 x 64'], LOCAL)
    drawing.arrow((255, 118), (255, 234))
    drawing.grid(580, 52, 10, 7, fill=GLOBAL)
    drawing.text(615, 136, 'global query', anchor='middle', bold=True)
    drawing.text(615, 155, 'of all windows', anchor='middle', grey=True)
    drawing.arrow((615, 166), (615, 234))
    drawing.text(625, 200, 'q', bold=True)
    drawing.arrow((430, 87), (522, 87), (522, 126))
    drawing.box(507, 128, 30, 62, '', LOCAL)
    drawing.arrow((522, 190), (522, 234))
    drawing.text(522, 159, 'lin.', anchor='middle', size=13)
    drawing.text(532, 212, 'k, v', bold=True)
    return drawing.finish(685, 370, 'Local and global window attention')


def lsa_network() -> str:
    """Draw the network from the shifted copies to the map."""
    drawing = Drawing()
    drawing.box(300, 12, 280, 36, 'image 3 x 224 x 224', MAP)
    drawing.arrow((440, 48), (440, 76))
    drawing.text(25, 97, '10 copies, moved by 0 to 3 px:', grey=True, size=13)
    for i in range(10):
        x = 236 + 42 * i
        label = ('0,0', '0,1', '0,2', '0,3', '1,0', '2,0', '3,0', '1,1', '2,2', '3,3')[i]
        drawing.box(x, 80, 36, 34, '', MAP)
        drawing.text(x + 18, 97, label, anchor='middle', size=12)
        drawing.arrow((x + 18, 114), (x + 18, 134))
        drawing.box(x, 136, 36, 34, '', CONVOLUTION)
        drawing.text(x + 18, 153, 'conv', anchor='middle', size=12)
    drawing.text(25, 153, 'a convolution and a position', grey=True, size=13)
    drawing.text(25, 169, 'embedding for each:', grey=True, size=13)
    drawing.arrow((440, 170), (440, 196))
    drawing.text(452, 182, '10 x 32 x 32 x 192', grey=True)
    drawing.box(
        300,
        198,
        280,
        54,
        ['block 0: shift attention', 'each patch looks at its 10 copies'],
        LOCAL,
    )
    y = 252
    stages = [(32, 1), (16, 4), (8, 4), (4, 4)]
    for i, (side, blocks) in enumerate(stages):
        if i:
            drawing.arrow((440, y), (440, y + 18))
            drawing.box(300, y + 20, 280, 32, 'convolution, max pooling', CONVOLUTION)
            y += 52
        drawing.arrow((440, y), (440, y + 30))
        drawing.text(452, y + 14, f'{side} x {side} x 192', grey=True)
        y += 32
        more = 'more block' if i == 0 else 'blocks'
        lines = [f'stage {i}: {blocks} {more}', f'global attention, {side * side} tokens']
        drawing.box(300, y, 280, 52, lines, GLOBAL)
        drawing.arrow((300, y + 26), (247, y + 26))
        drawing.box(60, y + 5, 185, 42, [f'norm, output {i}', f'192 x {side} x {side}'], RESULT)
        y += 52
    return drawing.finish(680, y + 15, 'LSA, imagenet-tiny, for an image of 224 x 224 pixels')


def lsa_shift_attention() -> str:
    """Draw the attention of one patch: a query and ten keys."""
    drawing = Drawing()
    drawing.text(
        15,
        20,
        'One patch of the 32 x 32: its 10 tokens, one of each copy of the image',
        bold=True,
    )
    for i in range(10):
        drawing.box(40 + 60 * i, 45, 48, 36, f't{i}', GLOBAL if i == 0 else LOCAL)
    drawing.text(74, 112, 'the unshifted one', grey=True, size=13)
    drawing.arrow((64, 83), (64, 148))
    drawing.box(15, 150, 150, 52, ['q of t0', '4 heads x 1 x 48'], GLOBAL)
    drawing.parts.append(format_line(40, 92, 628, 92, heavy=True))
    drawing.arrow((380, 92), (380, 148))
    drawing.box(250, 150, 260, 52, ['k, v of t0 to t9', '4 heads x 10 x 48'], LOCAL)
    drawing.arrow((90, 202), (90, 230), (180, 230), (180, 248))
    drawing.arrow((380, 202), (380, 248))
    drawing.box(
        130,
        250,
        390,
        54,
        ['softmax(q k / sqrt(48)) v, linear', '10 weights a head: where to look'],
        MAP,
    )
    drawing.arrow((325, 304), (325, 330))
    drawing.box(215, 332, 220, 52, ['t0 + result', 'one token of 192'], RESULT)
    drawing.arrow((40, 63), (8, 63), (8, 358), (213, 358))
    return drawing.finish(660, 400, 'Shift attention for one patch')


DRAWINGS = {
    draw.__name__: draw
    for draw in (gcvit_network, gcvit_stage, gcvit_attention, lsa_network, lsa_shift_attention)
}


if __name__ == '__main__':
    for name, draw in DRAWINGS.items():
        (IMAGES / f'{name}.svg').write_text(draw())
