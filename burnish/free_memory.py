"""Memory that this process can still get: what the machine has free, within the limits of its container and its own."""

import resource
from collections.abc import Iterator
from pathlib import Path

CONTROL_GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
"""Files with a group's limit and use, and the entry of memory.stat that can be given back at once: page cache."""


def free_memory() -> int:
    """Bytes of memory still to be had; swap does not count. Linux, and elsewhere what psutil knows."""
    import psutil

    bounds = [int(psutil.virtual_memory().available), *group_bounds(CONTROL_GROUPS, MEMBERSHIP)]
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        bounds.append(limit - psutil.Process().memory_info().vms)
    return max(0, min(bounds))


def group_bounds(root: Path, membership: Path) -> Iterator[int]:
    """Bytes left in each control group around this process, versions 1 and 2; none where there are no limits."""
    try:
        lines = membership.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            base, names = (root, V2) if not controllers else (root / "memory", V1)
            own = base / path.lstrip("/")
            for folder in (own, *own.parents):
                if folder.is_relative_to(base) and (left := _left(folder, names)) is not None:
                    yield left


def _left(folder: Path, names: tuple[str, str, str]) -> int | None:
    """What a group may still use; None when it has no limit, or none that this process may read."""
    limit_name, use_name, cache_name = names
    try:
        limit = (folder / limit_name).read_text(encoding="ascii").strip()
        if limit == "max":
            return None
        stat = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        used = int((folder / use_name).read_text(encoding="ascii"))
        return max(0, int(limit) - used + int(stat.get(cache_name, 0)))
    except (OSError, ValueError):
        return None
