//! The namespaces of a matrix: the test starts itself once more in them. It needs neither root nor a free port.
//! Processes that a server leaves running end with the namespaces.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::environment;

use super::error::{InteropError, Result};
use super::site::{OURS_V6, THEIRS_V6};

/// Environment variable of the test that runs inside: the engine's program.
const INSIDE: &str = "XFED_INTEROP_ENGINE";

/// The namespace has IPv6, even if IPv6 is disabled for the machine and for its new interfaces.
const IPV6_ON: &str = "for file in /proc/sys/net/ipv6/conf/all/disable_ipv6 /proc/sys/net/ipv6/conf/lo/disable_ipv6; do
    [ \"$(cat $file)\" = 0 ] || echo 0 > $file
done";

/// The engine's program, if this process is inside.
pub fn engine() -> Option<PathBuf> {
    std::env::var_os(INSIDE).map(PathBuf::from)
}

/// Runs the test with that name inside, with that engine; returns whether it passed. The test writes to our standard
/// error.
pub fn enter(test: &str, engine: &Path) -> Result<bool> {
    let own = std::env::current_exe().map_err(InteropError::io("finding", "the test program"))?;
    let addresses =
        [OURS_V6, THEIRS_V6].map(|address| format!("ip -6 address add {address}/128 dev lo nodad"));
    let script = [&["ip link set lo up", IPV6_ON], &addresses.each_ref().map(String::as_str)[..]]
        .concat()
        .join("\n");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut with_sbin = OsString::from("/usr/sbin:/sbin:");
    with_sbin.push(path);
    let mut command = Command::new("unshare");
    let output = environment::strip(&mut command)
        .args(["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork"])
        .args(["--kill-child", "sh", "-euc"])
        .arg(format!("{script}\nexec \"$@\""))
        .arg("sh")
        .arg(own)
        .args(["--exact", test, "--nocapture"])
        .env("PATH", with_sbin)
        .env(INSIDE, engine)
        .output()
        .map_err(InteropError::io("starting", "unshare, of Debian's util-linux"))?;
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    Ok(output.status.success())
}
