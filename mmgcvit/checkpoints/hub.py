"""Folders of backbones on the Hugging Face Hub, fetched by huggingface_hub into its own cache."""

import re
from pathlib import Path

from ..errors import CheckpointError, first_line
from .fetching import first_on_each_node
from .folder import CONFIG, WEIGHTS
from .wholeness import beside

NAME = re.compile(r'\w[\w.-]*/\w[\w.-]*')
# What ends so is a file that is not there, not a name on the Hub.
ENDINGS_OF_FILES = ('.bin', '.ckpt', '.pt', '.pth', '.safetensors', '.tar')


def folder_of(source: str | Path, revision: str | None = None) -> Path | None:
    """The folder that a source names, here or on the Hub; None for a file, an address or ``timm://NAME``.

    Args:
        source: What the user named. ``OWNER/NAME`` is a name on the Hub where there is no such file or folder.
        revision: Of a name on the Hub: a branch, a tag or a commit.

    Raises:
        CheckpointError: The Hub has none, or cannot be reached; or a revision is given of something else.
    """
    path = Path(source).expanduser()
    is_on_hub = not path.exists() and NAME.fullmatch(str(source)) and not str(source).endswith(ENDINGS_OF_FILES)
    if is_on_hub:
        return fetch_folder(str(source), revision)
    if revision is not None:
        raise CheckpointError(f'{source} is no name on the Hugging Face Hub, OWNER/NAME; leave revision out')
    return path if path.is_dir() else None


def fetch_folder(name: str, revision: str | None) -> Path:
    """Fetch a backbone's folder, both files of one commit, unless the cache has it.

    Raises:
        CheckpointError: It could not be fetched, or huggingface_hub is missing.
    """
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError:
        raise CheckpointError(
            f'there is no file or folder {name}; to take it from the Hugging Face Hub: '
            "'pip install huggingface_hub', or mmgcvit[hub]"
        ) from None
    patterns = [CONFIG, WEIGHTS, beside(Path(WEIGHTS)).name]

    def fetch() -> Path:
        try:
            return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
        except Exception as error:  # The network, the Hub's refusals, the disk: of a dozen kinds, by its version.
            raise CheckpointError(
                f'there is no file or folder {name}, and the Hugging Face Hub gave none: {first_line(error)}'
            ) from None

    return first_on_each_node(fetch)
