"""Package metadata of mmgcvit. Versions are pinned in pins.txt, not here: see tools/installation.

torch, mmengine and mmcv are deliberately not requirements. They come in several distributions and
builds, and installing mmgcvit must never install or replace one; only its extras do. The package
checks their versions at import. The bounds of the extras are the oldest and the newest versions
that the tests have run with.
"""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
version = {}
exec((ROOT / 'mmgcvit' / 'version.py').read_text(), version)
# The address of the repository, which is not known yet. With it, the links of the README work on an
# index too. Only this line has it.
REPOSITORY = ''


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
            '__pycache__', 'installation', 'dist_smoke.sh', 'smoke_config.py'
        )  # these work only in a clone
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


def make_description() -> str:
    """Return the README for an index, where relative links lead nowhere: without pictures and their
    captions, and with links to the repository, or only their texts.
    """
    text = (ROOT / 'README.md').read_text()
    text = re.sub(r'^!\[.*\n\n(\*[^*]+\*\n\n)?', '', text, flags=re.MULTILINE)
    target = rf'[\1]({REPOSITORY}/blob/main/\2)' if REPOSITORY else r'\1'
    return re.sub(r'\[([^\]]+)\]\((?!https?:|#)([^)]+)\)', target, text)


setup(
    name='mmgcvit',
    version=version['__version__'],
    description='GC ViT and LSA backbones for OpenMMLab: detection, segmentation, classification',
    long_description=make_description(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    author='The mmgcvit contributors',
    keywords='vision transformer, object detection, instance segmentation, semantic segmentation, '
    'OpenMMLab',
    project_urls={
        'GC ViT, the paper': 'https://arxiv.org/abs/2206.09959',
        'LSA, the paper': 'https://arxiv.org/abs/2112.05080',
        **({'Source': REPOSITORY} if REPOSITORY else {}),
    },
    classifiers=[
        'Development Status :: 4 - Beta',
        'Environment :: GPU :: NVIDIA CUDA',
        'Intended Audience :: Developers',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        *(f'Programming Language :: Python :: 3.{minor}' for minor in range(10, 15)),
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    packages=find_packages(include=['mmgcvit', 'mmgcvit.*']),
    package_data={'mmgcvit': ['py.typed'], 'mmgcvit.commands': ['habits.ini']},
    cmdclass={'build_py': BuildWithConfigs},
    # Put the clone on sys.path: in other modes, site-packages/mmgcvit, which has mim's files, hides
    # the clone.
    options={'editable_wheel': {'mode': 'compat'}},
    python_requires='>=3.10',
    entry_points={'console_scripts': ['mmgcvit = mmgcvit.commands.main:main']},
    install_requires=['numpy', 'packaging', 'rich'],
    extras_require={
        # The OpenMMLab packages: maintained forks, which run with current torch.
        'openmmlab': [
            *('torch>=2.1,<2.16', 'torchvision>=0.16,<0.30', 'numpy<3'),
            *('onedl-mmengine>=0.10.12,<0.11', 'onedl-mmcv>=2.3.6,<2.4'),
            *('onedl-mmdetection>=3.5.1,<3.6', 'onedl-mmsegmentation>=1.4.2,<1.5'),
            'onedl-mmpretrain>=1.3.6,<1.4',
        ],
        # The original packages. mmcv-lite is mmcv without compiled operators. mmsegmentation
        # imports ftfy and regex but does not require them.
        'openmmlab-upstream': [
            *('torch>=2.1,<2.6', 'torchvision>=0.16,<0.21', 'numpy<2'),
            *('mmengine>=0.10,<0.11', 'mmcv-lite>=2.0,<2.2'),
            *('mmdet>=3.3,<3.4', 'mmsegmentation>=1.2.2,<1.3', 'mmpretrain>=1.2,<1.3'),
            # mmengine 0.10 imports pkg_resources for 'mmdet::...', which setuptools 81 has no more.
            *('ftfy', 'regex', 'setuptools<81'),
        ],
        # scikit-learn contains the scanned digits, timm the names of ImageNet's folders; the others
        # write datasets.
        'digits': ['scikit-learn', 'opencv-python', 'pycocotools', 'timm'],
        # To read safetensors files, files of Hugging Face's hub, and timm's pretrained models by name.
        'checkpoints': ['safetensors', 'huggingface_hub', 'timm'],
        # To draw predictions, cut images into tiles, and read and write videos.
        'predict': ['supervision>=0.31'],
        # To measure the objects that are predicted.
        'measure': ['scikit-image>=0.19', 'supervision>=0.31'],
        # For configs/other_tasks: keypoints and rotated boxes.
        'keypoints': ['mmpose'],
        'rotated': ['onedl-mmrotate'],
        # To write and run ONNX files. torch.onnx.export needs onnx and onnxscript; OnnxPredictor
        # reads images with OpenCV and Pillow.
        'export': ['onnx', 'onnxscript', 'onnxruntime', 'opencv-python', 'pillow'],
        # To compare with timm's models.
        'benchmark': ['timm'],
        # To plot losses and scores of runs.
        'plot': ['matplotlib'],
        # To draw attention and compute Grad-CAM.
        'visualize': ['grad-cam', 'matplotlib'],
        # uv resolves the extras, which a test compares with the pins, and makes the lock files.
        'test': ['pytest', 'pytest-xdist', 'hypothesis', 'psutil', 'uv'],
        'lint': ['ruff', 'pre-commit', 'mypy'],
        # To build the documentation. `make docs` installs these packages when it first runs.
        'docs': ['sphinx', 'myst-nb', 'furo', 'sphinx-copybutton'],
    },
)
