//! The lab as a whole: up, down, and how it is.

use std::fs::{self, File};
use std::path::Path;
use std::thread;

use crate::error::{Error, Result};
use crate::network::{self, Host};
use crate::paths::{Paths, make_dir};
use crate::progress::step;
use crate::{addons, host, kubernetes, node, partner, parts, public_dns};

/// Brings the lab up. Returns at once if it is up and well.
pub fn up(paths: &Paths) -> Result<()> {
    let _lock = lock(paths)?;
    if is_well(paths) {
        return Ok(());
    }
    parts::build(paths)?;
    take_down(paths, KeepLogs::No)?;
    for dir in ["pids", "log", "pki", "hosts"] {
        make_dir(&paths.state.join(dir))?;
    }
    let built = build_up(paths);
    if built.is_err() {
        println!("  the lab is left as it is, for a look: `lab logs NAME`, `lab down`");
    }
    built
}

fn build_up(paths: &Paths) -> Result<()> {
    step("networks and hosts", || {
        network::create()?;
        node::prepare(paths)?;
        public_dns::prepare(paths)?;
        partner::prepare(paths)?;
        at_once(Host::ALL.map(|host| move || host::start(paths, host)))
    })?;
    let outside = || {
        step("the internet's DNS and the partner's server", || {
            public_dns::start(paths)?;
            partner::reset(paths)
        })
    };
    let inside = || {
        step("Kubernetes", || node::start(paths))?;
        step("CoreDNS, MetalLB, external-dns", || addons::start(paths))?;
        step("node and DNS ready", || {
            node::wait_ready(paths)?;
            addons::wait_ready(paths)
        })
    };
    let works: [&(dyn Fn() -> Result<()> + Sync); 2] = [&outside, &inside];
    at_once(works)
}

/// Whether what [`take_down`] removes includes the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepLogs {
    /// `STATE/log` stays.
    Yes,
    /// Nothing stays.
    No,
}

/// Takes the lab down: processes, namespaces, mounts, control groups, and the state directory.
pub fn down(paths: &Paths, keep: KeepLogs) -> Result<()> {
    let _lock = lock(paths)?;
    take_down(paths, keep)?;
    let _ = fs::remove_file(lock_file(paths));
    Ok(())
}

fn take_down(paths: &Paths, keep: KeepLogs) -> Result<()> {
    for host in Host::ALL {
        host::stop(paths, host)?;
    }
    // What ran on the hosts has ended with them; its nsenter(1) outside sees that and ends too.
    let daemons = paths.daemons();
    for name in daemons.names()? {
        if let Some(process) = daemons.running(&name)? {
            process.kill()?;
        }
    }
    network::remove()?;
    remove_cgroups()?;
    if !paths.state.exists() {
        return Ok(());
    }
    let entries = fs::read_dir(&paths.state).map_err(Error::io("listing", &paths.state))?.flatten();
    for entry in entries.filter(|entry| keep == KeepLogs::No || entry.file_name() != "log") {
        let path = entry.path();
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(Error::io("removing", &path))?;
    }
    if keep == KeepLogs::No {
        fs::remove_dir(&paths.state).map_err(Error::io("removing", &paths.state))?;
    }
    Ok(())
}

/// True if everything runs and the API server says that it is ready.
pub fn is_well(paths: &Paths) -> bool {
    states(paths).is_ok_and(|states| states.iter().all(|(_, runs)| *runs)) && api_is_ready(paths)
}

/// True if the API server says that it is ready.
pub fn api_is_ready(paths: &Paths) -> bool {
    kubernetes::kubectl(paths)
        .and_then(|run| run.args(["get", "--raw", "/readyz", "--request-timeout=5s"]).stdout())
        .is_ok()
}

/// Every program of the lab, and whether it runs.
pub fn states(paths: &Paths) -> Result<Vec<(String, bool)>> {
    let daemons = paths.daemons();
    let others = [public_dns::NAME, partner::NAME, addons::METALLB, addons::EXTERNAL_DNS];
    Host::ALL
        .into_iter()
        .map(host::init_name)
        .chain(node::PROGRAMS.into_iter().chain(others).map(str::to_owned))
        .map(|name| Ok((name.clone(), daemons.running(&name)?.is_some())))
        .collect()
}

fn at_once<W: Fn() -> Result<()> + Sync + Send, const N: usize>(works: [W; N]) -> Result<()> {
    thread::scope(|scope| {
        let running = works.map(|work| scope.spawn(work));
        let mut result = Ok(());
        for thread in running {
            let ended = thread
                .join()
                .unwrap_or_else(|_| Err(Error::State("a thread of the lab panicked".into())));
            result = result.and(ended);
        }
        result
    })
}

/// The kubelet's groups, deepest first, in every hierarchy of this machine.
fn remove_cgroups() -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")
        .map_err(Error::io("reading", "/proc/self/mounts"))?;
    let own = fs::read_to_string("/proc/self/cgroup")
        .map_err(Error::io("reading", "/proc/self/cgroup"))?;
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let Some(root) = mount_point(&mounts, controllers) else { continue };
        let group = Path::new(root).join(path.trim_start_matches('/')).join("xfed-lab");
        if group.exists() {
            remove_group(&group)?;
        }
    }
    Ok(())
}

fn mount_point<'a>(mounts: &'a str, controllers: &str) -> Option<&'a str> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        let has = |wanted: &str| options.split(',').any(|option| option == wanted);
        (kind == "cgroup" && controllers.split(',').all(has)).then_some(point)
    })
}

fn remove_group(group: &Path) -> Result<()> {
    let entries = fs::read_dir(group).map_err(Error::io("listing", group))?.flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_group(&entry.path())?;
    }
    fs::remove_dir(group).map_err(Error::io("removing", group))
}

/// One `up` or `down` at a time.
fn lock(paths: &Paths) -> Result<File> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::State("the lab makes namespaces and mounts: run it as root".into()));
    }
    let file = lock_file(paths);
    if let Some(dir) = file.parent() {
        make_dir(dir)?;
    }
    let lock = File::create(&file).map_err(Error::io("opening", &file))?;
    lock.lock().map_err(Error::io("locking", &file))?;
    Ok(lock)
}

fn lock_file(paths: &Paths) -> std::path::PathBuf {
    paths.state.with_extension("lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hierarchy_is_found_by_all_of_its_controllers() {
        let mounts = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n\
                      cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(mount_point(mounts, "cpu,cpuacct"), Some("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(mount_point(mounts, "name=systemd"), Some("/sys/fs/cgroup/systemd"));
        assert_eq!(mount_point(mounts, "memory"), None);
        assert_eq!(mount_point(mounts, ""), None);
    }
}
