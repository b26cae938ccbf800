//! Resolvers of a provider that do not show what the public sees: more BINDs on host `other`.

use std::path::PathBuf;
use std::time::Duration;

use crate::command::Run;
use crate::error::Result;
use crate::host;
use crate::network::Host;
use crate::packages;
use crate::paths::{Paths, make_dir, write};
use crate::public_dns::LOCAL_ZONE;
use crate::wait::{Seen, Wait};

/// The port of the resolver that has zones of its own for the hosts and the services of each stage.
pub const SPLIT: u16 = 5353;
/// The port of the resolver that expects signatures of the domain of each stage, which has none.
pub const VALIDATING: u16 = 5354;
/// The port of the resolver that keeps answers for as long as their TTL permits.
pub const CACHING: u16 = 5355;
/// The names of their records and logs.
const NAME: &str = "split-horizon";
const VALIDATING_NAME: &str = "validating";
const CACHING_NAME: &str = "caching";
/// The address in its own zones.
const INNER: &str = "10.18.0.77";

/// Starts them. The first has zones of its own for the hosts, the second expects signatures of the domains; each forwards
/// everything else, and the third one all.
pub fn start(paths: &Paths, hosts: &[String], domains: &[String]) -> Result<()> {
    let home = home(paths, NAME)?;
    write(
        &home.join("inner.zone"),
        format!(
            "$TTL 60\n@ IN SOA ns.{LOCAL_ZONE}. admin.{LOCAL_ZONE}. 1 60 60 600 1\n@ IN NS ns.{LOCAL_ZONE}.\n@ IN A {INNER}\n"
        ),
    )?;
    let one = |name: &String| format!("zone \"{name}\" {{ type primary; file \"inner.zone\"; }};");
    let zones = hosts.iter().map(one).collect::<Vec<_>>().join("\n");
    run(paths, NAME, SPLIT, "no", &zones)?;
    self::home(paths, VALIDATING_NAME)?;
    let digest = "0".repeat(64);
    let one = |name: &String| format!("\"{name}\" static-ds 12345 13 2 \"{digest}\";");
    let anchors = domains.iter().map(one).collect::<Vec<_>>().join("\n");
    run(paths, VALIDATING_NAME, VALIDATING, "yes", &format!("trust-anchors {{ {anchors} }};"))?;
    self::home(paths, CACHING_NAME)?;
    run(paths, CACHING_NAME, CACHING, "no", "")
}

/// The addresses of a name that the caching resolver answers with, and keeps.
pub fn cache(name: &str) -> Result<String> {
    let resolver = format!("@{}", Host::Other.address());
    let output = host::in_network_of(Host::Other, "dig")
        .args([&resolver, "-p", &CACHING.to_string(), "+short", name, "A"])
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Stops them.
pub fn stop(paths: &Paths) -> Result<()> {
    host::stop_daemon(paths, NAME)?;
    host::stop_daemon(paths, VALIDATING_NAME)?;
    host::stop_daemon(paths, CACHING_NAME)
}

fn home(paths: &Paths, name: &str) -> Result<PathBuf> {
    let home = paths.host("other").join(name);
    make_dir(&home)?;
    Ok(home)
}

/// Starts a BIND with more statements, and waits until it answers.
fn run(paths: &Paths, name: &str, port: u16, validation: &str, more: &str) -> Result<()> {
    host::stop_daemon(paths, name)?;
    let home = home(paths, name)?;
    let directory = home.display();
    let (address, forwarder) = (Host::Other.address(), Host::Dns.address());
    write(
        &home.join("named.conf"),
        format!(
            "options {{ directory \"{directory}\"; pid-file none; session-keyfile \"{directory}/session.key\"; \
             listen-on port {port} {{ {address}; }}; listen-on-v6 {{ none; }}; recursion yes; \
             allow-query {{ any; }}; allow-recursion {{ any; }}; dnssec-validation {validation}; \
             empty-zones-enable no; forward only; forwarders {{ {forwarder}; }}; }};\n\
             controls {{ }};\n{more}"
        ),
    )?;
    let named = packages::unconfined("named", &home)?;
    let run: Run =
        host::on(paths, Host::Other, named)?.args(["-g", "-4", "-c"]).arg(home.join("named.conf"));
    host::daemon(paths, name, run)?;
    let daemons = paths.daemons();
    Wait::new(format!("resolver {name} to answer"), Duration::from_mins(1))
        .log(daemons.log(name))
        .until(|| {
            daemons.must_run(name)?;
            let output = host::in_network_of(Host::Other, "dig")
                .args([&format!("@{address}"), "-p", &port.to_string(), "+short", "+time=1"])
                .args(["+tries=1", "xmpp.partner.example", "A"])
                .output()?;
            let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            Ok(Seen::done_if(text == Host::Partner.address().to_string(), text))
        })
}
