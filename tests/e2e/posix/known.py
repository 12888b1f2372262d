# SPDX-License-Identifier: Apache-2.0
"""The differences from ext4 that docs/posix.md gives reasons for: a pattern for the case, one for its outcome in the mount."""
from typing import NamedTuple


class Difference(NamedTuple):
    name: str
    case: str
    outcome: str


DIFFERENCES = [
    Difference("devices cannot be opened (nodev)", r"^open .*(chr|blk)", r"^EACCES"),
    Difference("chown of nothing by others", r"^(folder )?chown (-1|nothing)", r"^ok"),
    Difference("root writes a privileged program with file capabilities", r"^(write|append|writev|pwrite past end|direct write|fallocate|fallocate keep|punch|copy_file_range|sendfile|truncate|ftruncate|mmap)\b.* capable by root", r"mode:"),
    Difference("times of FIFOs", r"^(write on fifo|times after fifo write)", r"^ok"),
    Difference("a file without a name in a removed folder", r"^tmpfile in a removed folder", r"^ENOENT"),
    Difference("cached reads leave atime alone", r"^reading (dir|to_reg|reg), atime", r"^ok 'atime kept'"),
    Difference("largest offset", r"^lseek to the largest offset", r"^ok"),
    Difference("collapse and insert range", r"^fallocate (collapse|insert)", r"^ENOTSUP"),
    Difference("a refused fallocate changes nothing", r"^fallocate", r"^(EFBIG|EINVAL|ENOTSUP|ENODEV) *(\||$)"),
    Difference("times before 1901 and after 2446", r"^set times of", r"^ok"),
    Difference("larger attributes", r"^setxattr of 65536 bytes", r"^ok"),
]
