//! Resolvers of a provider that do not show what the public sees: a second BIND on host `other`.

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
/// The name of its record and log.
const NAME: &str = "split-horizon";
/// The address in its own zones.
const INNER: &str = "10.18.0.77";

/// Starts the resolver. It has zones of its own for these names and forwards everything else.
pub fn start(paths: &Paths, hosts: &[String]) -> Result<()> {
    host::stop_daemon(paths, NAME)?;
    let home = paths.host("other").join(NAME);
    make_dir(&home)?;
    write(
        &home.join("inner.zone"),
        format!(
            "$TTL 60\n@ IN SOA ns.{LOCAL_ZONE}. admin.{LOCAL_ZONE}. 1 60 60 600 1\n@ IN NS ns.{LOCAL_ZONE}.\n@ IN A {INNER}\n"
        ),
    )?;
    let one = |name: &String| format!("zone \"{name}\" {{ type primary; file \"inner.zone\"; }};");
    let zones = hosts.iter().map(one).collect::<Vec<_>>().join("\n");
    let directory = home.display();
    let (address, forwarder) = (Host::Other.address(), Host::Dns.address());
    write(
        &home.join("named.conf"),
        format!(
            "options {{ directory \"{directory}\"; pid-file none; session-keyfile \"{directory}/session.key\"; \
             listen-on port {SPLIT} {{ {address}; }}; listen-on-v6 {{ none; }}; recursion yes; \
             allow-query {{ any; }}; allow-recursion {{ any; }}; dnssec-validation no; \
             empty-zones-enable no; forward only; forwarders {{ {forwarder}; }}; }};\n\
             controls {{ }};\n{zones}"
        ),
    )?;
    let named = packages::unconfined("named", &home)?;
    let run: Run =
        host::on(paths, Host::Other, named)?.args(["-g", "-4", "-c"]).arg(home.join("named.conf"));
    host::daemon(paths, NAME, run)?;
    let daemons = paths.daemons();
    Wait::new("the split-horizon resolver to answer", Duration::from_mins(1))
        .log(daemons.log(NAME))
        .until(|| {
            daemons.must_run(NAME)?;
            let output = host::in_network_of(Host::Other, "dig")
                .args([&format!("@{address}"), "-p", &SPLIT.to_string(), "+short", "+time=1"])
                .args(["+tries=1", "xmpp.partner.example", "A"])
                .output()?;
            let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            Ok(Seen::done_if(text == Host::Partner.address().to_string(), text))
        })
}

/// Stops it.
pub fn stop(paths: &Paths) -> Result<()> {
    host::stop_daemon(paths, NAME)
}
