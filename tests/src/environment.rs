//! What a developer's environment says to programs in general, and must not say to a program under test.

use std::process::Command;

/// Variables that lead connections elsewhere, or change what is logged.
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

/// Takes them out of the environment of a program that is going to be started.
pub fn strip(command: &mut Command) -> &mut Command {
    for variable in FOREIGN {
        command.env_remove(variable);
    }
    command
}
