//! The Debian packages that the lab needs, installed only when something of them is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::command::{Run, which};
use crate::error::{Error, Result};
use crate::paths::write;
use crate::progress::step;

/// A program or file, and the Debian package that brings it.
struct Needed {
    /// A program's name, or an absolute path.
    sign: &'static str,
    package: &'static str,
}

const NEEDED: [Needed; 14] = [
    Needed { sign: "etcd", package: "etcd-server" },
    Needed { sign: "containerd", package: "containerd" },
    Needed { sign: "runc", package: "runc" },
    Needed { sign: "/usr/lib/cni/ptp", package: "containernetworking-plugins" },
    Needed { sign: "nft", package: "nftables" },
    Needed { sign: "ip", package: "iproute2" },
    Needed { sign: "named", package: "bind9" },
    Needed { sign: "dnssec-signzone", package: "bind9-utils" },
    Needed { sign: "dig", package: "bind9-dnsutils" },
    Needed { sign: "mmdebstrap", package: "mmdebstrap" },
    Needed { sign: "/usr/lib/python3/dist-packages/slixmpp", package: "python3-slixmpp" },
    Needed { sign: "gcc", package: "gcc" },
    Needed { sign: "/usr/include/stdio.h", package: "libc6-dev" },
    Needed { sign: "nsenter", package: "util-linux" },
];

/// Forbids the start of services while packages are configured (Debian policy 9.3.3.2).
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing.
pub fn install() -> Result<()> {
    let missing: Vec<&str> =
        NEEDED.iter().filter(|needed| !is_there(needed)).map(|needed| needed.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if which("apt-get").is_none() {
        return Err(Error::MissingTool {
            tool: "apt-get".into(),
            remedy: format!("install what these Debian packages hold: {}", missing.join(" ")),
        });
    }
    let policy = NoServices::begin()?;
    let done = step(&format!("Debian packages {}", missing.join(" ")), || {
        apt(&["update"])?;
        apt(&[&["install", "--yes", "--no-install-recommends"], missing.as_slice()].concat())
    });
    policy.end()?;
    done?;
    match NEEDED.iter().find(|needed| !is_there(needed)) {
        None => Ok(()),
        Some(Needed { sign, package }) => Err(Error::MissingTool {
            tool: (*sign).into(),
            remedy: format!("package {package} was installed and did not bring it"),
        }),
    }
}

/// The programs that the Go builds need besides: they do not come from Debian 12.
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
    Run::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive").ok()
}

struct NoServices {
    ours: bool,
}

impl NoServices {
    fn begin() -> Result<Self> {
        let policy = Path::new(POLICY);
        if policy.exists() {
            return Ok(Self { ours: false });
        }
        write(policy, "#!/bin/sh\nexit 101\n")?;
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
