//! The partner's XMPP server: Debian's Prosody on host `partner`, in its own root file system.

use std::os;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::Run;
use crate::error::{Error, Result};
use crate::host;
use crate::network::Host;
use crate::parts::Part;
use crate::paths::{Paths, make_dir, read, write};
use crate::person::Person;
use crate::pki::{Authority, Subject, Usage};
use crate::public_dns::PARTNER_ZONE;
use crate::rootfs::USER;
use crate::wait::{Seen, Wait};

/// The name of its record and log.
pub const NAME: &str = "partner";
/// The file of its usual settings.
const SETTINGS: &str = "prosody.cfg.lua";
/// The authority of the partner's certificate, in the lab's `pki` directory.
const AUTHORITY: &str = "partner-ca";

/// Writes its configuration and certificate. Must run before the host is prepared.
pub fn prepare(paths: &Paths) -> Result<()> {
    let home = paths.host("partner");
    make_dir(&home)?;
    let rootfs = Part::Prosody.file(paths, "rootfs")?;
    os::unix::fs::symlink(&rootfs, home.join("rootfs"))
        .map_err(Error::io("linking", home.join("rootfs")))?;
    let names = vec![PARTNER_ZONE.to_owned()];
    let subject = Subject { name: PARTNER_ZONE, group: None, alternative_names: names };
    Authority::create(&paths.pki(), AUTHORITY)?.issue("partner", &subject, Usage::Both)?;
    let config = home.join("upper/etc/prosody");
    for file in ["partner.crt", "partner.key"] {
        write(&config.join(file), read(&paths.pki().join(file))?)?;
    }
    let settings = read(&paths.source.join("prosody/partner.cfg.lua"))?;
    write(&config.join(SETTINGS), settings)?;
    let data = home.join("upper/var/lib/prosody");
    make_dir(&data)?;
    give_to_prosody(&data)?;
    give_to_prosody(&config.join("partner.key"))
}

/// The certificate of the partner's authority, for clients that verify certificates.
pub fn authority(paths: &Paths) -> PathBuf {
    paths.pki().join(format!("{AUTHORITY}.crt"))
}

/// Registers a person.
pub fn register(paths: &Paths, person: &Person) -> Result<()> {
    prosody(paths, "prosodyctl")?
        .args(["register", &person.user, &person.domain, &person.password])
        .ok()
}

/// Starts the server and waits until it listens for clients and for servers.
pub fn start(paths: &Paths) -> Result<()> {
    start_with(paths, SETTINGS)
}

/// Restarts the server with other files in `/etc/prosody`, of which the first is its settings. [`reset`] starts it with the
/// usual settings again.
pub fn restart_with(paths: &Paths, files: &[(&str, String)]) -> Result<()> {
    stop(paths)?;
    let home = paths.host(NAME);
    let root = home.strip_prefix("/").unwrap_or(&home).join("root/etc/prosody");
    let config = host::root(paths, Host::Partner)?.join(root);
    for (file, content) in files {
        write(&config.join(file), content)?;
        give_to_prosody(&config.join(file))?;
    }
    start_with(paths, files.first().map_or(SETTINGS, |(file, _)| file))
}

fn start_with(paths: &Paths, settings: &str) -> Result<()> {
    let settings = format!("/etc/prosody/{settings}");
    let run = prosody(paths, "prosody")?.args(["-F", "--config", &settings]);
    host::daemon(paths, NAME, run)?;
    let daemons = paths.daemons();
    Wait::new("the partner's server to listen", Duration::from_mins(1))
        .log(daemons.log(NAME))
        .until(|| {
            daemons.must_run(NAME)?;
            let ports = listening_ports(paths)?;
            let both = [5222, 5269].iter().all(|port| ports.contains(port));
            Ok(Seen::done_if(both, format!("listening on {ports:?}")))
        })
}

/// Stops the server; its host stays.
pub fn stop(paths: &Paths) -> Result<()> {
    host::stop_daemon(paths, NAME)
}

/// Resets the server: it deletes all people and their data, and creates a new account for jdoe1.
pub fn reset(paths: &Paths) -> Result<()> {
    stop(paths)?;
    let data = paths.host(NAME).join("root/var/lib/prosody");
    host::on(paths, Host::Partner, "find")?.arg(data).args(["-mindepth", "1", "-delete"]).ok()?;
    start(paths)?;
    register(paths, &Person::jdoe1())
}

fn prosody(paths: &Paths, program: &str) -> Result<Run> {
    let root = paths.host("partner").join("root");
    Ok(host::on(paths, Host::Partner, "chroot")?
        .arg(format!("--userspec={USER}:{USER}"))
        .arg(root)
        .args(["/usr/bin/lua5.4".to_owned(), format!("/usr/bin/{program}")]))
}

fn listening_ports(paths: &Paths) -> Result<Vec<u16>> {
    let text = host::on(paths, Host::Partner, "ss")?.args(["-Hltn"]).stdout()?;
    Ok(text
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3)?.rsplit(':').next()?.parse().ok())
        .collect())
}

fn give_to_prosody(path: &Path) -> Result<()> {
    chown(path, Some(USER), Some(USER)).map_err(Error::io("giving to Prosody", path))
}
