"""torch's launcher for one node's processes, which find each other where no other machine can reach them.

    python -m mmgcvit.commands.loopback PORT [options of torch.distributed.run] PROGRAM [arguments]

PORT is the ``--master_port`` among the options.
"""

import os
import socket
import sys

from torch.distributed import TCPStore

from ..engine.processes import LOOPBACK
from .torch_launcher import launch

LOOPBACK_INTERFACE = 'lo'
# Where gloo and NCCL listen, which know no passwords either.
INTERFACE_VARIABLES = ('GLOO_SOCKET_IFNAME', 'NCCL_SOCKET_IFNAME')


def main() -> None:
    """Call torch's launcher.

    Its store takes orders from whoever reaches it, and listens on all interfaces. Here it finds one of this process at
    its port that listens on the loopback interface, and shares it. To be removed once torch's launcher can be told
    where to listen.
    """
    port, *arguments = sys.argv[1:]
    names = [name for _, name in socket.if_nameindex()]
    for variable in INTERFACE_VARIABLES if LOOPBACK_INTERFACE in names else ():
        os.environ.setdefault(variable, LOOPBACK_INTERFACE)
    listener = socket.create_server((LOOPBACK, int(port)))
    # Named, because the server ends with it.
    store = TCPStore(  # noqa: F841
        LOOPBACK,
        int(port),
        is_master=True,
        multi_tenant=True,
        wait_for_workers=False,
        master_listen_fd=listener.detach(),
    )
    launch(arguments)


if __name__ == '__main__':
    main()
