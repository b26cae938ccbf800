//! The Debian packages that the lab needs. They are installed only if something is missing.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::command::{Run, which};
use crate::error::{Error, Result};
use crate::paths::{make_dir, write};
use crate::progress::step;

/// A program or file, and the Debian package that provides it.
struct Needed {
    /// A program's name, or an absolute path.
    sign: &'static str,
    package: &'static str,
}

const NEEDED: [Needed; 17] = [
    Needed { sign: "etcd", package: "etcd-server" },
    Needed { sign: "containerd", package: "containerd" },
    Needed { sign: "runc", package: "runc" },
    Needed { sign: "/usr/lib/cni/ptp", package: "containernetworking-plugins" },
    Needed { sign: "nft", package: "nftables" },
    Needed { sign: "iptables", package: "iptables" },
    Needed { sign: "ipset", package: "ipset" },
    Needed { sign: "ip", package: "iproute2" },
    Needed { sign: "named", package: "bind9" },
    Needed { sign: "dnssec-signzone", package: "bind9-utils" },
    Needed { sign: "dig", package: "bind9-dnsutils" },
    Needed { sign: "mmdebstrap", package: "mmdebstrap" },
    Needed { sign: "/usr/lib/python3/dist-packages/slixmpp", package: "python3-slixmpp" },
    Needed { sign: "gcc", package: "gcc" },
    Needed { sign: "/usr/include/stdio.h", package: "libc6-dev" },
    Needed { sign: "nsenter", package: "util-linux" },
    Needed { sign: "promtool", package: "prometheus" },
];

/// Forbids the start of services while packages are configured (Debian policy 9.3.3.2).
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// The second line distinguishes our own policy from an administrator's policy.
const OUR_POLICY: &str =
    "#!/bin/sh\n# Written by the XMPP federation lab while it installs packages.\nexit 101\n";
/// Allows one installation at a time on a machine, for all caches.
const LOCK: &str = "/run/lock/xmpp-federation-packages.lock";
/// Maximum time that apt-get waits for another apt-get to end, for example one that an interrupted run left running.
const APT_LOCK: &str = "DPkg::Lock::Timeout=600";
/// The directory in which dpkg records unfinished work.
const UNFINISHED: &str = "/var/lib/dpkg/updates";

/// Installs missing packages, and finishes an interrupted installation.
pub fn install() -> Result<()> {
    let missing = missing();
    if missing.is_empty() && !policy_is_ours() {
        return Ok(());
    }
    if which("apt-get").is_none() {
        return Err(Error::MissingTool {
            tool: "apt-get".into(),
            remedy: format!("install what these Debian packages hold: {}", missing.join(" ")),
        });
    }
    make_dir(Path::new("/run/lock"))?;
    let lock = File::create(LOCK).map_err(Error::io("opening", LOCK))?;
    lock.lock().map_err(Error::io("locking", LOCK))?;
    let policy = NoServices::begin()?;
    let done = install_missing();
    policy.end()?;
    done?;
    match NEEDED.iter().find(|needed| !is_there(needed)) {
        None => Ok(()),
        Some(Needed { sign, package }) => Err(Error::MissingTool {
            tool: (*sign).into(),
            remedy: format!("package {package} is installed but does not contain it"),
        }),
    }
}

fn install_missing() -> Result<()> {
    if is_interrupted() {
        step("packages whose installation was interrupted", || {
            Run::downloading("dpkg")
                .args(["--configure", "--pending", "--force-confold"])
                .env("DEBIAN_FRONTEND", "noninteractive")
                .ok()
        })?;
    }
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    step(&format!("Debian packages {}", missing.join(" ")), || {
        apt(&["update"])?;
        apt(&[&["install", "--yes", "--no-install-recommends"], missing.as_slice()].concat())
    })
}

fn missing() -> Vec<&'static str> {
    NEEDED.iter().filter(|needed| !is_there(needed)).map(|needed| needed.package).collect()
}

/// True if dpkg was interrupted; in that state, apt-get refuses all work.
fn is_interrupted() -> bool {
    let unfinished = fs::read_dir(UNFINISHED).is_ok_and(|mut entries| entries.next().is_some());
    unfinished || Run::new("dpkg").arg("--audit").stdout().is_ok_and(|text| !text.is_empty())
}

fn policy_is_ours() -> bool {
    fs::read_to_string(POLICY).is_ok_and(|text| text == OUR_POLICY)
}

/// Copies a program into a directory and returns the path of the copy. `AppArmor` attaches a profile by the program's
/// path. Debian installs named's profile with the package, and that profile permits only the machine's own zones.
pub fn unconfined(program: &str, directory: &Path) -> Result<PathBuf> {
    let original = which(program).ok_or_else(|| Error::MissingTool {
        tool: program.into(),
        remedy: "install the lab's packages with `lab build`".into(),
    })?;
    let copy = directory.join(program);
    fs::copy(&original, &copy).map_err(Error::io("copying", &original))?;
    Ok(copy)
}

/// Checks for the additional programs that the Go builds need; they do not come from Debian 12.
pub fn require_go() -> Result<()> {
    which("go").map(drop).ok_or_else(|| Error::MissingTool {
        tool: "go".into(),
        remedy: "install Go 1.26 or newer and put it on the PATH".into(),
    })
}

fn is_there(needed: &Needed) -> bool {
    if needed.sign.starts_with('/') {
        Path::new(needed.sign).exists()
    } else {
        which(needed.sign).is_some()
    }
}

fn apt(args: &[&str]) -> Result<()> {
    Run::downloading("apt-get")
        .args(["-o", APT_LOCK])
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .ok()
}

struct NoServices {
    ours: bool,
}

impl NoServices {
    fn begin() -> Result<Self> {
        let policy = Path::new(POLICY);
        if policy.exists() && !policy_is_ours() {
            return Ok(Self { ours: false });
        }
        write(policy, OUR_POLICY)?;
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))
            .map_err(Error::io("making executable", policy))?;
        Ok(Self { ours: true })
    }

    fn end(self) -> Result<()> {
        if !self.ours {
            return Ok(());
        }
        fs::remove_file(POLICY).map_err(Error::io("removing", POLICY))
    }
}
