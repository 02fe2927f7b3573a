"""Metadata of mmgcvit. Versions are pinned in pins.txt, not here: see tools/install.py.

torch, mmengine and mmcv are no requirements of the package, on purpose: they come in several distributions and builds,
and installing mmgcvit must never bring in or replace one. The package checks at import that they are there.
"""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
version = {}
exec((ROOT / 'mmgcvit' / 'version.py').read_text(), version)


class BuildWithConfigs(build_py):
    """Wheels carry the configs, tools and list of models where mim looks for them."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        carried = Path(self.build_lib) / 'mmgcvit' / '.mim'
        shutil.rmtree(carried, ignore_errors=True)
        for folder in ('configs', 'tools'):
            shutil.copytree(ROOT / folder, carried / folder, ignore=shutil.ignore_patterns('__pycache__'))
        shutil.copy(ROOT / 'model-index.yml', carried)


setup(
    name='mmgcvit',
    version=version['__version__'],
    description='GC ViT and LSA backbones for OpenMMLab: detection, segmentation, classification',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['mmgcvit', 'mmgcvit.*']),
    cmdclass={'build_py': BuildWithConfigs},
    python_requires='>=3.10',
    entry_points={'console_scripts': ['mmgcvit = mmgcvit.commands.main:main']},
    install_requires=['numpy', 'packaging', 'rich'],
    extras_require={
        # The forks are kept alive and install beside current torch; the originals serve as well and need torch 2.1.
        'hosts': ['onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection', 'onedl-mmsegmentation', 'onedl-mmpretrain'],
        # ftfy and regex are imported by mmsegmentation, which does not ask for them.
        'hosts-upstream': ['mmengine', 'mmcv', 'mmdet', 'mmsegmentation', 'mmpretrain', 'ftfy', 'regex'],
        # scikit-learn carries the scanned digits, timm the names of ImageNet's folders; the rest writes data sets.
        'digits': ['scikit-learn', 'opencv-python', 'pycocotools', 'timm'],
        # Reads safetensors files, and timm's pretrained models by name.
        'checkpoints': ['safetensors', 'timm'],
        # Stands beside timm's models, and draws.
        'benchmark': ['matplotlib', 'timm'],
        'test': ['pytest', 'hypothesis'],
        'lint': ['ruff', 'pre-commit'],
    },
)
