//! The lab as a whole: start, stop and status.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;

use crate::error::{Error, Result};
use crate::family::Family;
use crate::network::{self, Host};
use crate::paths::{Paths, make_dir, write};
use crate::progress::step;
use crate::{addons, cgroups, host, kubernetes, node, partner, parts, public_dns};

/// Starts the lab. Returns at once if the lab is up and healthy. A lab of another source tree is an error.
pub fn up(paths: &Paths, family: Family) -> Result<()> {
    let _lock = lock(paths)?;
    if is_well(paths) {
        must_be_ours(paths)?;
        if Family::of(paths) == family {
            return Ok(());
        }
        return Err(Error::State(
            "The lab runs with other IP families. End it with `lab down`, then run this again."
                .into(),
        ));
    }
    parts::build(paths)?;
    take_down(paths, KeepLogs::No)?;
    for dir in ["pids", "log", "pki", "hosts"] {
        make_dir(&paths.state.join(dir))?;
    }
    family.record(paths)?;
    write(&owner_file(paths), own_tree(paths).as_os_str().as_encoded_bytes())?;
    let built = build_up(paths);
    if built.is_err() {
        println!(
            "  the lab keeps running, so that you can look at it: `lab logs NAME`, `lab down`"
        );
    }
    built
}

fn build_up(paths: &Paths) -> Result<()> {
    step("networks and hosts", || {
        network::create()?;
        if Family::of(paths).has_v6() {
            network::add_v6()?;
        }
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

/// Whether [`take_down`] also removes the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepLogs {
    /// `STATE/log` stays.
    Yes,
    /// Nothing stays.
    No,
}

/// Stops the lab: removes processes, namespaces, mounts, control groups, and the state directory.
pub fn down(paths: &Paths, keep: KeepLogs) -> Result<()> {
    let _lock = lock(paths)?;
    take_down(paths, keep)?;
    let _ = fs::remove_file(lock_file(paths));
    Ok(())
}

/// Like [`down`], but a lab of another source tree is an error and stays untouched.
pub fn down_if_ours(paths: &Paths) -> Result<()> {
    if is_well(paths) {
        must_be_ours(paths)?;
    }
    down(paths, KeepLogs::No)
}

/// All clones on a machine share one lab.
fn must_be_ours(paths: &Paths) -> Result<()> {
    let owner = fs::read_to_string(owner_file(paths)).unwrap_or_default();
    let own = own_tree(paths);
    if owner.is_empty() || Path::new(&owner) == own || !Path::new(&owner).exists() {
        return Ok(());
    }
    Err(Error::State(format!(
        "The lab runs for another clone, {owner}. End it with `make lab-down`, then run this again."
    )))
}

fn own_tree(paths: &Paths) -> PathBuf {
    paths.tree().canonicalize().unwrap_or_else(|_| paths.tree())
}

/// The file with the source tree that the lab was started for.
fn owner_file(paths: &Paths) -> PathBuf {
    paths.state.join("tree")
}

fn take_down(paths: &Paths, keep: KeepLogs) -> Result<()> {
    for host in Host::ALL {
        host::stop(paths, host)?;
    }
    // The programs on the hosts have ended with the hosts. The nsenter(1) of each program, outside of the host, detects
    // that and also ends.
    let daemons = paths.daemons();
    for name in daemons.names()? {
        if let Some(process) = daemons.running(&name)? {
            process.kill()?;
        }
    }
    // If a run is killed between the start of a program and the write of its record, the program has no record.
    host::end_unrecorded()?;
    network::remove()?;
    cgroups::remove(paths)?;
    host::remove_made_places(paths);
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

/// True if every program runs and the API server reports that it is ready.
pub fn is_well(paths: &Paths) -> bool {
    Host::ALL.iter().all(|host| host.namespace_file().exists())
        && states(paths).is_ok_and(|states| states.iter().all(|(_, runs)| *runs))
        && api_is_ready(paths)
}

/// True if the API server reports that it is ready.
pub fn api_is_ready(paths: &Paths) -> bool {
    kubernetes::kubectl(paths)
        .and_then(|run| run.args(["get", "--raw", "/readyz", "--request-timeout=5s"]).stdout())
        .is_ok()
}

/// Every program of the lab, and whether it is running.
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

fn lock_file(paths: &Paths) -> PathBuf {
    paths.state.with_extension("lock")
}
