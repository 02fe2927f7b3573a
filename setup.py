"""Metadata of mmgcvit. Versions are pinned in pins.txt, not here: see tools/installation.

torch, mmengine and mmcv are no requirements of the package, on purpose: they come in several distributions and builds,
and installing mmgcvit must never bring in or replace one; its extras do. The package checks at import what is there.
"""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
version = {}
exec((ROOT / 'mmgcvit' / 'version.py').read_text(), version)


class BuildWithConfigs(build_py):
    """Packages carry configs, tools and the list of models where mim looks for them."""

    def run(self) -> None:
        super().run()
        site_packages = Path(
            self.get_finalized_command('install').install_lib if self.editable_mode else self.build_lib
        )
        carried = site_packages / 'mmgcvit' / '.mim'
        shutil.rmtree(carried, ignore_errors=True)
        left_out = shutil.ignore_patterns('__pycache__', 'installation')  # the latter for work on a clone
        for folder in ('configs', 'tools'):
            shutil.copytree(ROOT / folder, carried / folder, ignore=left_out)
        shutil.copy(ROOT / 'model-index.yml', carried)
        if self.editable_mode:
            self.refer_to_the_clone(carried / 'configs')

    @staticmethod
    def refer_to_the_clone(configs: Path) -> None:
        """In an editable install mim's copies inherit from the clone's configs, so that they change with them."""
        for path in configs.rglob('*.py'):
            path.write_text(f'_base_ = {str(ROOT / path.relative_to(configs.parent))!r}\n')


setup(
    name='mmgcvit',
    version=version['__version__'],
    description='GC ViT and LSA backbones for OpenMMLab: detection, segmentation, classification',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    author='The mmgcvit contributors',
    keywords='vision transformer, object detection, instance segmentation, semantic segmentation, OpenMMLab',
    project_urls={
        'GC ViT, the paper': 'https://arxiv.org/abs/2206.09959',
        'LSA, the paper': 'https://arxiv.org/abs/2112.05080',
    },
    classifiers=[
        'Development Status :: 4 - Beta',
        'Environment :: GPU :: NVIDIA CUDA',
        'Intended Audience :: Developers',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        *(f'Programming Language :: Python :: 3.{minor}' for minor in range(10, 14)),
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    packages=find_packages(include=['mmgcvit', 'mmgcvit.*']),
    cmdclass={'build_py': BuildWithConfigs},
    # The clone on Python's path: other modes hide it behind the folder in which mim finds its files.
    options={'editable_wheel': {'mode': 'compat'}},
    python_requires='>=3.10',
    entry_points={'console_scripts': ['mmgcvit = mmgcvit.commands.main:main']},
    # supervision draws, cuts images into tiles, reads and writes videos; torch brings filelock.
    install_requires=['filelock', 'numpy', 'packaging', 'rich', 'supervision'],
    extras_require={
        # The forks are kept alive and install beside current torch; the originals serve as well and need torch 2.1.
        'hosts': [
            *('torch', 'torchvision', 'onedl-mmengine', 'onedl-mmcv'),
            *('onedl-mmdetection', 'onedl-mmsegmentation', 'onedl-mmpretrain'),
        ],
        # mmcv-lite is mmcv without compiled operators. mmsegmentation imports ftfy and regex and does not ask for them.
        'hosts-upstream': [
            *('torch', 'torchvision', 'mmengine', 'mmcv-lite', 'mmdet', 'mmsegmentation', 'mmpretrain'),
            *('ftfy', 'regex'),
        ],
        # scikit-learn carries the scanned digits, timm the names of ImageNet's folders; the rest writes data sets.
        'digits': ['scikit-learn', 'opencv-python', 'pycocotools', 'timm'],
        # Reads safetensors files, and timm's pretrained models by name.
        'checkpoints': ['safetensors', 'timm'],
        # Takes backbones from the Hugging Face Hub by name.
        'hub': ['huggingface_hub', 'safetensors'],
        # Keypoints and rotated boxes: the hosts of configs/other_tasks.
        'keypoints': ['mmpose'],
        'rotated': ['onedl-mmrotate'],
        # Writes and runs ONNX files: torch.onnx.export asks for onnx and onnxscript where they are missing.
        'export': ['onnx', 'onnxscript', 'onnxruntime'],
        # The page of `mmgcvit web`.
        'web': ['gradio'],
        # Stands beside timm's models.
        'benchmark': ['timm'],
        # Follows objects through videos.
        'track': ['lap'],
        # Draws curves of trainings.
        'plot': ['matplotlib'],
        # Draws attention and computes Grad-CAM.
        'visualize': ['grad-cam', 'matplotlib'],
        'test': ['pytest', 'pytest-xdist', 'hypothesis', 'psutil', 'selenium'],
        'lint': ['ruff', 'pre-commit'],
        # Builds the site: make docs, which installs it on demand.
        'docs': ['sphinx', 'myst-nb', 'furo', 'sphinx-copybutton'],
    },
)
