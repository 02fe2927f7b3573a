"""``python -m docs.drawings.data_pages`` writes the tables of docs/data_layouts.md and
docs/data_rules.md from the package's lists of layouts and of rules.
"""

from pathlib import Path

from mmgcvit.datasets.formats import FORMATS
from mmgcvit.datasets.rules import RULES

DOCS = Path(__file__).parent.parent
LAYOUTS = DOCS / 'data_layouts.md'
RULES_PAGE = DOCS / 'data_rules.md'


def render_layouts() -> str:
    """Return the page with its tables made anew. The text before the first one is kept."""
    lines = [read_head(LAYOUTS)]
    for name, data_format in FORMATS.items():
        lines += [f'## {name}', '', '| written by | files |', '|---|---|']
        for layout in data_format.LAYOUTS:
            tree = '<br>'.join(f'`{line}`' for line in layout.tree.split('\n'))
            lines.append(f'| [{layout.tools}]({layout.source}) | {tree} |')
        lines.append('')
    return '\n'.join(lines)


def render_rules() -> str:
    """Return the page with its table made anew. The text before it is kept."""
    lines = [read_head(RULES_PAGE), '## The list', '']
    lines += ['| what is wrong | what to do | in a folder | with a config |', '|---|---|---|---|']
    for rule in RULES:
        cells = (rule.problem, rule.remedy, rule.in_folder.value, rule.in_config.value)
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join([*lines, ''])


def read_head(page: Path) -> str:
    """Return the text before the first table's heading."""
    return page.read_text().partition('\n## ')[0].rstrip('\n') + '\n'


if __name__ == '__main__':
    LAYOUTS.write_text(render_layouts())
    RULES_PAGE.write_text(render_rules())
