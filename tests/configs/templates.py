"""Edit the templates as a user does, for small datasets as in docs/templates.md."""

from mmengine.config import Config

from mmgcvit.own.training.template import ConfigPath, fill_template, read_head

from ..conftest import ROOT
from ..own.data.formats.made import write_example

# template: (format of its dataset, classes)
TEMPLATES = {
    'custom_coco': ('coco', ('disc', 'square')),
    'custom_seg': ('maps', ('background', 'disc', 'square')),
    'custom_cls': ('classes', ('square', 'disc')),
}


def read_template(name, **lines):
    """Read a template with some of its variables changed, as a user would edit them."""
    path = ROOT / 'configs' / f'{name}.py'
    base = ConfigPath(lines.get('_base_') or read_head(path)['_base_'])
    return Config.fromstring(fill_template(path, {**lines, '_base_': base}), '.py')


def own(name, folder):
    """Write the dataset of a template and return the template's config for it."""
    data_format, classes = TEMPLATES[name]
    write_example(folder, data_format)
    return read_template(name, data_root=str(folder), classes=classes)
