"""ONNX Runtime for browsers, from npm: the version and digest that package-lock.json holds."""

import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from ..inference import UserError

HERE = Path(__file__).parent
PACKAGE = 'onnxruntime-web'
# Where the page looks for them (page/worker.js).
FOLDER = 'onnxruntime'
# The build for processors alone, in which the modules are one file.
FILES = ('ort.wasm.bundle.min.mjs', 'ort-wasm-simd-threaded.wasm')
# The same project's licence, which npm's package does not carry.
LICENCES = ('LICENSE', 'ThirdPartyNotices.txt')


def runtime_version() -> str:
    """The version that the page gets."""
    return json.loads((HERE / 'package.json').read_text())['dependencies'][PACKAGE]


def add_runtime(page: Path) -> None:
    """Fetch the library and put it into a page.

    Args:
        page: The page's folder.

    Raises:
        UserError: There is no npm, or it cannot fetch the package.
    """
    npm = shutil.which('npm')
    if npm is None:
        raise UserError('npm is missing, which fetches ONNX Runtime for browsers: install Node.js, which brings it')
    target = page / FOLDER
    target.mkdir()
    with TemporaryDirectory(dir=page.parent) as name:
        folder = Path(name)
        for file in ('package.json', 'package-lock.json', '.npmrc'):
            shutil.copy(HERE / file, folder)
        # Scripts of packages are programs of others, and none is needed.
        command = [npm, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if ended.returncode:
            said = [line for line in ended.stderr.splitlines() if line.strip()] or ['it says nothing']
            raise UserError(f'npm cannot fetch {PACKAGE} {runtime_version()}: {said[0].strip()}')
        for file in FILES:
            shutil.copy(folder / 'node_modules' / PACKAGE / 'dist' / file, target)
    for file in LICENCES:
        shutil.copy(Path(find_spec('onnxruntime').origin).parent / file, target)
