"""Metadata of mmgcvit. Versions are pinned in pins.txt, not here: see tools/install.py.

torch, mmengine and mmcv are no requirements of the package, on purpose: they come in several distributions and builds,
and installing mmgcvit must never bring in or replace one. The package checks at import that they are there.
"""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
version = {}
exec((ROOT / 'mmgcvit' / 'version.py').read_text(), version)

setup(
    name='mmgcvit',
    version=version['__version__'],
    description='GC ViT backbones for OpenMMLab: detection, segmentation, classification',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['mmgcvit', 'mmgcvit.*']),
    python_requires='>=3.10',
    install_requires=['numpy', 'packaging'],
    extras_require={
        # The forks are kept alive and install beside current torch; the originals (mmengine, mmcv, mmdet,
        # mmsegmentation, mmpretrain) serve as well and need torch 2.1.
        'hosts': ['onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection', 'onedl-mmsegmentation', 'onedl-mmpretrain'],
        # scikit-learn carries the scanned digits; the rest writes them as a data set.
        'digits': ['scikit-learn', 'opencv-python', 'pycocotools', 'rich'],
        # Reads safetensors files, and timm's pretrained models by name.
        'checkpoints': ['safetensors', 'timm'],
        'test': ['pytest', 'hypothesis'],
        'lint': ['ruff', 'pre-commit'],
    },
)
