//! The control groups of the lab's node, on machines with cgroup v1 and v2.
//!
//! Every lab has a group of its own, named after its state ([`Paths::cgroup`]). v1: below this process' own group, in
//! every hierarchy. v2: at the top, with the node's programs in its leaf `node`. A v2 group that has controllers for its children contains no processes
//! itself (cgroups(7), "no internal processes"). A machine that mounts both and has the memory controller in v1 counts
//! as v1.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::paths::{Paths, read, write};
use crate::process::Process;
use crate::wait::{Seen, Wait};

/// The controllers that the kubelet uses; hugetlb only if the machine has it.
const CONTROLLERS: [&str; 5] = ["cpuset", "cpu", "memory", "pids", "hugetlb"];
/// Maximum time for the system to release a group whose processes were killed.
const RELEASE: Duration = Duration::from_secs(20);
/// This process' groups, one hierarchy on each line (cgroups(7)).
const OWN: &str = "/proc/self/cgroup";

/// The control groups of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cgroups {
    /// The lines of `/proc/self/cgroup` that are v1 hierarchies.
    V1(String),
    /// The mount point of the v2 hierarchy.
    V2(PathBuf),
}

impl Cgroups {
    /// Detects the control groups of this machine.
    pub(crate) fn of_machine() -> Result<Self> {
        let own = read(Path::new(OWN))?;
        let mounts = read(Path::new("/proc/self/mounts"))?;
        Self::parse(&own, &mounts).ok_or_else(|| {
            Error::State(
                "This machine has no memory cgroup controller. Boot it without cgroup_disable=memory.".into(),
            )
        })
    }

    fn parse(own: &str, mounts: &str) -> Option<Self> {
        let v1: Vec<&str> = own.lines().filter(|line| !controllers(line).is_empty()).collect();
        if v1.iter().any(|line| controllers(line).split(',').any(|name| name == "memory")) {
            return Some(Self::V1(v1.join("\n") + "\n"));
        }
        unified_mount(mounts).map(|root| Self::V2(root.into()))
    }

    /// Creates the v2 group and writes `cgroups` into the node's directory. The host's first process reads from it
    /// which hierarchies it must mount.
    pub(crate) fn prepare(&self, home: &Path, name: &str) -> Result<()> {
        match self {
            Self::V1(hierarchies) => write(&home.join("cgroups"), hierarchies),
            Self::V2(root) => {
                enable(root)?;
                let leaf = root.join(name).join("node");
                fs::create_dir_all(&leaf).map_err(Error::io("making control group", &leaf))?;
                write(&home.join("cgroups"), "0::/\n")
            }
        }
    }

    /// The v2 group, which a program of the node must join before it enters the node's cgroup namespace.
    pub(crate) fn group(&self, name: &str) -> Option<PathBuf> {
        match self {
            Self::V1(_) => None,
            Self::V2(root) => Some(root.join(name)),
        }
    }
}

/// Removes the lab's groups in every hierarchy, with the remaining processes of an interrupted run.
pub(crate) fn remove(paths: &Paths) -> Result<()> {
    let mounts = read(Path::new("/proc/self/mounts"))?;
    // The lab may have been started from another group than this process' group, so its record has precedence.
    let recorded = read(&paths.host("node").join("cgroups"));
    let own = recorded.or_else(|_| read(Path::new(OWN)))?;
    let name = paths.cgroup();
    let v1 = own.lines().filter_map(|line| {
        let root = mount_point(&mounts, controllers(line))?;
        Some(Path::new(root).join(line.splitn(3, ':').nth(2)?.trim_start_matches('/')).join(&name))
    });
    let v2 = unified_mount(&mounts).map(|root| Path::new(root).join(&name));
    for group in v1.chain(v2).filter(|group| group.exists()) {
        Wait::new(format!("control group {} to be removed", group.display()), RELEASE).until(
            || {
                Ok(match remove_group(&group) {
                    Ok(()) => Seen::Done(()),
                    Err(error) => Seen::NotYet(error.to_string()),
                })
            },
        )?;
    }
    Ok(())
}

/// Enables the controllers for children of the top group. They stay enabled, because systemd uses the same switches.
fn enable(root: &Path) -> Result<()> {
    let switches = root.join("cgroup.subtree_control");
    let available = read(&root.join("cgroup.controllers"))?;
    let has = |list: &str, name: &str| list.split_whitespace().any(|one| one == name);
    for name in CONTROLLERS.into_iter().filter(|name| has(&available, name)) {
        if !has(&read(&switches)?, name) {
            fs::write(&switches, format!("+{name}")).map_err(|source| Error::Io {
                doing: format!(
                    "enabling the {name} controller in {}. In a container, move its processes out of the top control group first",
                    switches.display()
                ),
                source,
            })?;
        }
    }
    Ok(())
}

/// The second field of a line of `/proc/PID/cgroup`; empty for v2.
fn controllers(line: &str) -> &str {
    line.split(':').nth(1).unwrap_or_default()
}

fn mount_point<'a>(mounts: &'a str, controllers: &str) -> Option<&'a str> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        let has = |wanted: &str| options.split(',').any(|option| option == wanted);
        (kind == "cgroup" && controllers.split(',').all(has)).then_some(point)
    })
}

fn unified_mount(mounts: &str) -> Option<&str> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then_some(point)
    })
}

/// Removes a group and the groups below it, deepest first. Fails while a killed process is still exiting.
fn remove_group(group: &Path) -> Result<()> {
    for pid in read(&group.join("cgroup.procs"))?.split_whitespace() {
        if let Some(process) = pid.parse().ok().and_then(Process::of) {
            process.kill()?;
        }
    }
    let entries = fs::read_dir(group).map_err(Error::io("listing", group))?.flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_group(&entry.path())?;
    }
    fs::remove_dir(group).map_err(Error::io("removing", group))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n\
                          cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n\
                          cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";

    #[test]
    fn a_hierarchy_is_found_by_all_of_its_controllers() {
        assert_eq!(mount_point(HYBRID, "cpu,cpuacct"), Some("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(mount_point(HYBRID, "name=systemd"), Some("/sys/fs/cgroup/systemd"));
        assert_eq!(mount_point(HYBRID, "memory"), None);
        assert_eq!(mount_point(HYBRID, ""), None);
    }

    #[test]
    fn a_machine_with_the_memory_controller_in_v1_counts_as_v1() {
        let own = "9:name=systemd:/\n4:hugetlb,memory:/x\n0::/user.slice\n";
        let lines = "9:name=systemd:/\n4:hugetlb,memory:/x\n";
        assert_eq!(Cgroups::parse(own, HYBRID), Some(Cgroups::V1(lines.into())));
    }

    #[test]
    fn a_machine_with_v2_alone_has_its_group_at_the_top() {
        let mounts = "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n";
        let cgroups = Cgroups::parse("0::/user.slice/session-1.scope\n", mounts).unwrap();
        assert_eq!(cgroups.group("xfed-lab"), Some("/sys/fs/cgroup/xfed-lab".into()));
        assert_eq!(Cgroups::parse("0::/\n", "proc /proc proc rw 0 0\n"), None);
    }
}
