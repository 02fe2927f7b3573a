"""Import the OpenMMLab packages before the fork server does, because one of them may be broken."""

from contextlib import suppress

from mmgcvit.errors import MissingPackageError
from mmgcvit.ops.packages import TASK_PACKAGES, import_task_package

for package in TASK_PACKAGES:
    with suppress(MissingPackageError):
        import_task_package(package)
