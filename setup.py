"""Package metadata of mmgcvit. Versions are pinned in pins.txt, not here: see tools/installation.

torch, mmengine and mmcv are deliberately not requirements. They come in several distributions and
builds, and installing mmgcvit must never install or replace one; only its extras do. The package
checks their versions at import.
"""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
version = {}
exec((ROOT / 'mmgcvit' / 'version.py').read_text(), version)


class BuildWithConfigs(build_py):
    """Copy the configs, tools and model-index.yml to mmgcvit/.mim, where OpenMMLab's installer mim
    looks for them.
    """

    def run(self) -> None:
        super().run()
        site_packages = Path(
            self.get_finalized_command('install').install_lib
            if self.editable_mode
            else self.build_lib
        )
        mim_folder = site_packages / 'mmgcvit' / '.mim'
        shutil.rmtree(mim_folder, ignore_errors=True)
        ignore = shutil.ignore_patterns(
            '__pycache__', 'installation'
        )  # the latter works only in a clone
        for folder in ('configs', 'tools'):
            shutil.copytree(ROOT / folder, mim_folder / folder, ignore=ignore)
        shutil.copy(ROOT / 'model-index.yml', mim_folder)
        if self.editable_mode:
            self.inherit_from_clone(mim_folder / 'configs')

    @staticmethod
    def inherit_from_clone(configs: Path) -> None:
        """Replace mim's copies by configs that inherit from the clone's, so that edits of the clone
        take effect.
        """
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
    keywords='vision transformer, object detection, instance segmentation, semantic segmentation, '
    'OpenMMLab',
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
    package_data={'mmgcvit.commands': ['habits.ini']},
    cmdclass={'build_py': BuildWithConfigs},
    # Put the clone on sys.path: in other modes, site-packages/mmgcvit, which has mim's files, hides
    # the clone.
    options={'editable_wheel': {'mode': 'compat'}},
    python_requires='>=3.10',
    entry_points={'console_scripts': ['mmgcvit = mmgcvit.commands.main:main']},
    # torch requires filelock too, in any version.
    install_requires=['filelock>=4', 'numpy', 'packaging', 'rich'],
    extras_require={
        # The OpenMMLab packages: maintained forks, which run with current torch.
        'openmmlab': [
            *('torch', 'torchvision', 'onedl-mmengine', 'onedl-mmcv'),
            *('onedl-mmdetection', 'onedl-mmsegmentation', 'onedl-mmpretrain'),
        ],
        # The original packages, which need torch 2.1. mmcv-lite is mmcv without compiled operators.
        # mmsegmentation imports ftfy and regex but does not require them.
        'openmmlab-upstream': [
            *(
                'torch',
                'torchvision',
                'mmengine',
                'mmcv-lite',
                'mmdet',
                'mmsegmentation',
                'mmpretrain',
            ),
            *('ftfy', 'regex'),
        ],
        # scikit-learn contains the scanned digits, timm the names of ImageNet's folders; the others
        # write datasets.
        'digits': ['scikit-learn', 'opencv-python', 'pycocotools', 'timm'],
        # To read safetensors files, and timm's pretrained models by name.
        'checkpoints': ['safetensors', 'timm'],
        # To draw predictions, cut images into tiles, and read and write videos.
        'predict': ['supervision'],
        # For configs/other_tasks: keypoints and rotated boxes.
        'keypoints': ['mmpose'],
        'rotated': ['onedl-mmrotate'],
        # To write and run ONNX files. torch.onnx.export needs onnx and onnxscript.
        'export': ['onnx', 'onnxscript', 'onnxruntime'],
        # For docs/extensions/page.py.
        'web': ['gradio'],
        # To compare with timm's models.
        'benchmark': ['timm'],
        # To plot losses and scores of runs.
        'plot': ['matplotlib'],
        # To draw attention and compute Grad-CAM.
        'visualize': ['grad-cam', 'matplotlib'],
        'test': ['pytest', 'pytest-xdist', 'hypothesis', 'psutil'],
        'lint': ['ruff', 'pre-commit'],
        # To build the documentation. `make docs` installs these packages when it first runs.
        'docs': ['sphinx', 'myst-nb', 'furo', 'sphinx-copybutton'],
    },
)
