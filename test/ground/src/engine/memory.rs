//! The size of a RAM disk for an engine's folders.
//!
//! On a RAM disk, measurements vary less and a start does not wait for a disk.

use std::fs;
use std::path::Path;

const GIB: u64 = 1 << 30;
/// The least available memory for a RAM disk.
const LEAST_SPARE: u64 = 8 * GIB;
/// The largest RAM disk; it uses only as much memory as is written to it.
const LARGEST: u64 = 8 * GIB;
/// Files with the memory limit of a container, for either version of cgroups.
const CGROUP_LIMITS: [&str; 2] = [
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
];

/// The size in bytes of a RAM disk that this machine has room for, at least 4 GiB.
pub(super) fn ram_disk() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let limits = CGROUP_LIMITS.iter().filter_map(|path| {
        fs::read_to_string(Path::new(path))
            .ok()?
            .trim()
            .parse()
            .ok()
    });
    size_for(limits.fold(available(&meminfo)?, u64::min))
}

fn size_for(spare: u64) -> Option<u64> {
    (spare >= LEAST_SPARE).then(|| (spare / 2).min(LARGEST))
}

/// `MemAvailable`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let kibibytes = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?
        .trim()
        .strip_suffix(" kB")?;
    kibibytes.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ram_disk_has_at_most_half_of_the_available_memory() {
        assert_eq!(
            available("MemTotal:  9 kB\nMemAvailable:   10485760 kB\n"),
            Some(10 * GIB)
        );
        assert_eq!(available("MemTotal:  9 kB\n"), None);
        assert_eq!(size_for(8 * GIB - 1), None);
        assert_eq!(size_for(10 * GIB), Some(5 * GIB));
        assert_eq!(size_for(500 * GIB), Some(8 * GIB));
    }
}
