//! The directories of the lab: built parts (cache), runtime data (state), and its own source.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::process::Daemons;

/// The directories of the lab.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Built parts, kept between runs: `XFED_CACHE`, else `~/.cache/xmpp-federation`.
    pub cache: PathBuf,
    /// The running lab: `XFED_LAB_STATE`, else `/var/tmp/xfed-lab`. Removed by `lab down`.
    pub state: PathBuf,
    /// This directory of the source tree, `tests/lab`.
    pub source: PathBuf,
}

impl Paths {
    /// The directories from the environment, or else the defaults. Every program and test of the lab calls this first.
    pub fn from_env() -> Result<Self> {
        // Servers that run as other users must be able to read the files of this process, also under a umask of 077.
        rustix::process::umask(rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);
        let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
        let cache = match (named("XFED_CACHE"), named("HOME")) {
            (Some(cache), _) => cache,
            (None, Some(home)) => home.join(".cache/xmpp-federation"),
            (None, None) => {
                return Err(Error::State(
                    "neither XFED_CACHE nor HOME is set: set XFED_CACHE to a directory for built parts".into(),
                ));
            }
        };
        Ok(Self {
            cache,
            state: named("XFED_LAB_STATE").unwrap_or_else(|| "/var/tmp/xfed-lab".into()),
            source: env!("CARGO_MANIFEST_DIR").into(),
        })
    }

    /// The source tree.
    pub fn tree(&self) -> PathBuf {
        self.source.join("../..")
    }

    /// Records and logs of the background programs.
    pub fn daemons(&self) -> Daemons {
        Daemons::new(self.state.join("pids"), self.logs())
    }

    /// One log per program.
    pub fn logs(&self) -> PathBuf {
        self.state.join("log")
    }

    /// Certificates and keys.
    pub fn pki(&self) -> PathBuf {
        self.state.join("pki")
    }

    /// The data of one host or program.
    pub fn host(&self, name: &str) -> PathBuf {
        self.state.join("hosts").join(name)
    }

    /// The name of the lab's control group, which is also the kubelet's `cgroupRoot` inside the node's cgroup namespace:
    /// that of the state, so that labs run beside each other.
    pub(crate) fn cgroup(&self) -> String {
        self.state.file_name().unwrap_or_else(|| "xfed-lab".as_ref()).to_string_lossy().into_owned()
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// containerd's socket. It exists both here and in the node's own `/run`.
    pub fn containerd_socket(&self) -> PathBuf {
        self.host("node").join("containerd.sock")
    }
}

/// Creates a directory and its parents.
pub fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io("making", path))
}

/// Writes a file and creates its directory first.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    if let Some(dir) = path.parent() {
        make_dir(dir)?;
    }
    fs::write(path, content).map_err(Error::io("writing", path))
}

/// Reads a text file.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::io("reading", path))
}
