//! The environment of the programs that tests and the lab start. It is the same on every machine, regardless of the
//! user's own environment.
//!
//! In the lab, etcd, external-dns, helm, kubectl, Python and every Go program read their own variables. A proxy would
//! be queried for addresses that exist only in the lab. Therefore programs inherit only the variables that this file
//! names.

use std::ffi::{OsStr, OsString};
use std::process::Command;

/// The variables of the user's environment that an interactive program such as `lab kubectl -- edit` needs.
const INHERITED: [&str; 8] =
    ["HOME", "TERM", "COLORTERM", "EDITOR", "VISUAL", "KUBE_EDITOR", "PAGER", "RUST_BACKTRACE"];
/// Directories that an ordinary user's PATH lacks on Debian.
const SYSTEM_DIRECTORIES: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
/// Variables that redirect connections, or change the log output.
const FOREIGN: [&str; 9] = [
    "ALL_PROXY",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "XFED_LOG",
];

/// Messages are in English and sorted by byte, because tests and waits parse them.
const LOCALE: (&str, &str) = ("LC_ALL", "C.UTF-8");
/// All logs use one time zone.
const TIME_ZONE: (&str, &str) = ("TZ", "UTC");

/// Sets the environment of the lab for a command. Variables that are set afterwards are added to it.
pub fn of_lab(command: &mut Command) {
    command.env_clear();
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("PATH", path()).env(LOCALE.0, LOCALE.1).env(TIME_ZONE.0, TIME_ZONE.1);
}

/// Sets the environment of the user for a command, including proxies and caches, with messages in English. For programs
/// that download.
pub fn of_user(command: &mut Command) {
    command.env("PATH", path()).env(LOCALE.0, LOCALE.1);
}

/// Removes the variables that would redirect a program under test from the user's environment.
pub fn strip(command: &mut Command) -> &mut Command {
    for variable in FOREIGN {
        command.env_remove(variable);
    }
    command
}

/// The user's PATH followed by the system directories.
pub fn path() -> OsString {
    with_system_directories(&std::env::var_os("PATH").unwrap_or_default())
}

fn with_system_directories(path: &OsStr) -> OsString {
    let mut all = path.to_owned();
    if !all.is_empty() {
        all.push(":");
    }
    all.push(SYSTEM_DIRECTORIES);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lab_inherits_neither_proxies_nor_the_locale() {
        let mut command = Command::new("env");
        command.env("https_proxy", "http://proxy.example:3128").env("PYTHONHOME", "/nowhere");
        of_lab(&mut command);
        command.env("KUBECONFIG", "/there");
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let names: Vec<&str> =
            text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        assert!(text.lines().any(|line| line == "LC_ALL=C.UTF-8"), "{text}");
        assert!(names.contains(&"KUBECONFIG"), "{text}");
        for name in names {
            let known = ["PATH", "LC_ALL", "TZ", "KUBECONFIG"].contains(&name);
            assert!(known || INHERITED.contains(&name), "{name} is inherited");
        }
    }

    #[test]
    fn system_directories_follow_the_users_own() {
        assert_eq!(with_system_directories(OsStr::new("")), SYSTEM_DIRECTORIES);
        let path = with_system_directories(OsStr::new("/opt/a b"));
        assert_eq!(path, format!("/opt/a b:{SYSTEM_DIRECTORIES}").as_str());
    }
}
