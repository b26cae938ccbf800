//! The limits that the system sets for the process: memory by its cgroup (cgroups(7), both versions), and descriptors
//! by its resource limit (getrlimit(2)). Also reads the resident memory (proc(5)).

use std::fs;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// An unlimited cgroup of version 1 has the largest number that is a multiple of a page.
const UNLIMITED: u64 = 1 << 62;
/// Descriptors where the system sets no limit: Linux grants no more by default (`fs.nr_open`).
const MAX_DESCRIPTORS: usize = 1_048_576;
/// Memory if the system reports no limit.
const UNKNOWN_MEMORY: usize = 512 * 1024 * 1024;

/// Bytes that the process may have: the limit of its cgroup; without one, half of the machine.
pub(crate) fn memory() -> usize {
    memory_from(&|path| fs::read_to_string(path).ok())
}

fn memory_from(read: &dyn Fn(&Path) -> Option<String>) -> usize {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| kilobytes(&text, "MemTotal:"));
    let granted = limit(read).and_then(|limit| usize::try_from(limit).ok());
    match (granted, machine) {
        (Some(granted), machine) => granted.min(machine.unwrap_or(usize::MAX)),
        (None, Some(machine)) => machine / 2,
        (None, None) => UNKNOWN_MEMORY,
    }
}

/// The smallest limit of the process' cgroup and of those above it.
fn limit(read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let membership = read(Path::new("/proc/self/cgroup"))?;
    let limits = membership.lines().filter_map(|line| {
        // hierarchy-ID:controller-list:cgroup-path; version 2 has no controllers here.
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let (mount, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return None,
        };
        // In a container the root of the mount is often the process' own cgroup, whatever its path says.
        Path::new(path)
            .ancestors()
            .filter_map(|above| {
                let above = above.strip_prefix("/").ok()?;
                let text = read(&Path::new(mount).join(above).join(file))?;
                text.trim().parse().ok().filter(|bytes| *bytes < UNLIMITED)
            })
            .min()
    });
    limits.min()
}

/// Bytes of the process that are in memory now.
pub(crate) fn resident() -> Option<usize> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

fn kilobytes(text: &str, field: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
}

/// Raises the number of descriptors as far as the process may, and returns the new number. The soft limit is low for
/// the sake of programs that use select(2), which this one does not.
pub(crate) fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let current = current.and_then(|current| usize::try_from(current).ok());
    current.unwrap_or(MAX_DESCRIPTORS).min(MAX_DESCRIPTORS)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const MACHINE: (&str, &str) = ("/proc/meminfo", "MemTotal:        8000 kB\nMemFree: 1 kB\n");

    fn memory_with(files: &[(&str, &str)]) -> usize {
        let files: HashMap<_, _> = files.iter().copied().collect();
        memory_from(&|path| files.get(path.to_str()?).map(|text| (*text).to_owned()))
    }

    #[test]
    fn the_smallest_limit_of_the_hierarchy_counts_in_both_versions() {
        let v2 = ("/proc/self/cgroup", "0::/kubepods/pod1/engine\n");
        let files = [
            MACHINE,
            v2,
            ("/sys/fs/cgroup/kubepods/pod1/engine/memory.max", "max\n"),
            ("/sys/fs/cgroup/kubepods/pod1/memory.max", "4096000\n"),
            ("/sys/fs/cgroup/kubepods/memory.max", "5000000\n"),
        ];
        assert_eq!(memory_with(&files), 4_096_000);
        let v1 = ("/proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/docker/x\n0::/\n");
        let files = [
            MACHINE,
            v1,
            ("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "2048000\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(memory_with(&files), 2_048_000);
    }

    #[test]
    fn a_container_finds_its_limit_at_the_root_of_the_mount() {
        let membership = ("/proc/self/cgroup", "0::/kubepods/pod1/engine\n");
        let files = [MACHINE, membership, ("/sys/fs/cgroup/memory.max", "4096000\n")];
        assert_eq!(memory_with(&files), 4_096_000);
    }

    #[test]
    fn without_a_limit_it_is_half_of_the_machine_and_never_more_than_the_machine() {
        let membership = ("/proc/self/cgroup", "0::/\n");
        assert_eq!(memory_with(&[MACHINE, membership]), 4_096_000);
        let max = ("/sys/fs/cgroup/memory.max", "max\n");
        assert_eq!(memory_with(&[MACHINE, membership, max]), 4_096_000);
        let vast = ("/sys/fs/cgroup/memory.max", "99999999999\n");
        assert_eq!(memory_with(&[MACHINE, membership, vast]), 8_192_000);
        assert_eq!(memory_with(&[]), UNKNOWN_MEMORY);
    }

    #[test]
    fn this_process_has_memory_and_descriptors() {
        assert!(resident().unwrap() > 100_000 && memory() > resident().unwrap());
        assert!(descriptors() > 16);
    }
}
