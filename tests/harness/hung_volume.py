"""Makes a folder hang, as NFS does whose server is gone: `python hung_volume.py FOLDER`, until it is killed.

A FUSE file system that nobody answers for: whoever touches it waits, and can be killed, as with a hard NFS mount.
"""

import ctypes
import os
import signal
import sys


def main(folder: str) -> None:
    """Mount it, say so, and do nothing."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"hung", folder.encode(), b"fuse", 0, options):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), folder)
    print("hung", flush=True)
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1])
