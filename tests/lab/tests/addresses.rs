//! Compares the recorded verdicts on addresses with Prosody's own preparation, which runs in its root file system.

use std::io::Write;
use std::process::{Command, Stdio};

use harness::environment;
use lab::parts::{self, Part};
use lab::paths::Paths;

/// Verdicts and addresses; the engine's unit tests compare the engine's own verdicts with them.
const RECORDED: &str =
    include_str!("../../../federation-engine/proto/src/stanza/tests/addresses.txt");

/// Reads one address on each line, in the notation of the file. Prints `P` or `-`, then `0` if a part is empty after
/// preparation, or else `-`.
const SCRIPT: &str = r#"
package.path = "/usr/lib/prosody/?.lua;" .. package.path
package.cpath = "/usr/lib/prosody/?.so;" .. package.cpath
local jid = require "util.jid"
for line in io.lines() do
    local address = line:gsub("(\\u{(%x+)}){(%d+)}", function (_, x, n) return utf8.char(tonumber(x, 16)):rep(tonumber(n)) end)
        :gsub("\\u{(%x+)}", function (x) return utf8.char(tonumber(x, 16)) end)
        :gsub("(.){(%d+)}", function (c, n) return c:rep(tonumber(n)) end)
    local node, host, resource = jid.prepped_split(address)
    print((host and "P" or "-") .. ((node == "" or resource == "") and "0" or "-"))
end
"#;

#[test]
fn prosody_prepares_addresses_as_recorded() {
    let paths = Paths::from_env().unwrap();
    parts::build_only(&paths, &[Part::Prosody]).unwrap();
    let root = Part::Prosody.file(&paths, "rootfs").unwrap();
    let lines: Vec<&str> = RECORDED.lines().filter(|line| !line.starts_with('#')).collect();
    let mut command = Command::new("unshare");
    let mut child = environment::strip(&mut command)
        .args(["--user", "--map-root-user", "chroot"])
        .arg(root)
        .args(["/usr/bin/lua5.4", "-e", SCRIPT])
        .env("PATH", environment::path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let addresses: String = lines.iter().flat_map(|line| [line.split_at(5).1, "\n"]).collect();
    let writer = std::thread::spawn(move || input.write_all(addresses.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let verdicts = String::from_utf8(output.stdout).unwrap();
    let recorded: Vec<String> = lines
        .iter()
        .map(|line| {
            line.chars().enumerate().filter(|(n, _)| [0, 3].contains(n)).map(|(_, c)| c).collect()
        })
        .collect();
    let seen: Vec<&str> = verdicts.lines().collect();
    assert_eq!(seen.len(), recorded.len(), "{verdicts}");
    for ((line, recorded), seen) in lines.iter().zip(&recorded).zip(seen) {
        assert_eq!(seen, recorded, "{line}");
    }
}
