//! What stands between the internet and a cluster that has no public address: a firewall with NAT, or a TCP proxy. The
//! firewall is host `router`, which gets the public address for the time. The proxy is on the router or on the node.
//!
//! ```text
//!   cluster side                                      │  the internet
//!   load balancer 10.18.200.10 ── 198.18.0.1 node ── router 198.19.0.100 ── partner 198.19.0.10
//! ```
//! The internet has no way to the private address: the router drops what it has not translated itself.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::debian::Debian;
use crate::error::{Error, Result};
use crate::host;
use crate::network::{Host, PRIVATE_CIDR, ROUTER_TO_NODE};
use crate::parts::Part;
use crate::paths::{Paths, make_dir, write};
use crate::wait::{Seen, Wait};

/// The address that the internet sees.
pub const PUBLIC: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 100);
/// The private address of the load balancer, to which the firewall forwards.
pub const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 18, 200, 10);
/// The address from which the proxy connects to the node.
pub const PROXY_TO_NODE: Ipv4Addr = ROUTER_TO_NODE;
/// Removes the rules. The first line makes the second one succeed.
const NO_RULES: &str = "table ip firewall\ndelete table ip firewall\n";
/// The name of the proxy's record and log.
pub const PROXY: &str = "haproxy";

/// Forwards TCP 5269 and 5270 of the public address to the same ports of another one. Peers keep their addresses.
pub fn translate(to: Ipv4Addr) -> Result<()> {
    add_address()?;
    let rules = format!(
        "{NO_RULES}table ip firewall {{\n\
           chain translate {{\n\
             type nat hook prerouting priority dstnat; policy accept;\n\
             iifname \"internet\" ip daddr {PUBLIC} tcp dport {{ 5269, 5270 }} dnat to {to}\n\
           }}\n\
           chain protect {{\n\
             type filter hook forward priority filter; policy accept;\n\
             iifname \"internet\" ip daddr {PRIVATE_CIDR} ct status dnat accept\n\
             iifname \"internet\" ip daddr {PRIVATE_CIDR} drop\n\
           }}\n\
         }}\n"
    );
    host::in_network_of(Host::Router, "nft").args(["-f", "-"]).input(rules).ok()
}

/// Starts `HAProxy` with this configuration on the router, or on the node behind [`translate`]. Waits until it accepts
/// connections to ports 5269 and 5270 of the public address.
pub fn proxy(paths: &Paths, on: Host, config: &str) -> Result<()> {
    add_address()?;
    let root = Part::Server(Debian::Haproxy12).file(paths, "rootfs")?;
    let home = paths.host(on.name()).join(PROXY);
    make_dir(&home)?;
    write(&home.join("haproxy.cfg"), config)?;
    let run = host::on(paths, on, "sh")?
        .args(["-euc", "mount --bind \"$1\" \"$2/run\"; exec chroot \"$2\" /usr/sbin/haproxy -db -f /run/haproxy.cfg"])
        .arg("sh")
        .arg(home)
        .arg(root);
    host::daemon(paths, PROXY, run)?;
    let daemons = paths.daemons();
    Wait::new("HAProxy to listen", Duration::from_mins(1)).log(daemons.log(PROXY)).until(|| {
        daemons.must_run(PROXY)?;
        let refused = [5269, 5270].into_iter().find_map(|port| {
            host::connect(Host::Partner, (PUBLIC, port).into(), Duration::from_secs(2)).err()
        });
        Ok(refused.map_or(Seen::Done(()), |error| Seen::NotYet(error.to_string())))
    })
}

/// Removes both, as far as they exist.
pub fn remove(paths: &Paths) -> Result<()> {
    host::stop_daemon(paths, PROXY)?;
    host::in_network_of(Host::Router, "nft").args(["-f", "-"]).input(NO_RULES).ok()?;
    let addresses = host::in_network_of(Host::Router, "ip")
        .args(["-4", "-oneline", "address", "show", "dev", "internet"])
        .stdout()?;
    if !addresses.contains(&format!(" {PUBLIC}/")) {
        return Ok(());
    }
    address("del")
}

fn add_address() -> Result<()> {
    address("replace")
}

fn address(action: &str) -> Result<()> {
    host::in_network_of(Host::Router, "ip")
        .args(["address", action, &format!("{PUBLIC}/24"), "dev", "internet"])
        .ok()
}

/// The block of this language in a page of the documentation.
///
/// # Errors
/// When the page has none.
pub fn block<'a>(page: &'a str, language: &str) -> Result<&'a str> {
    let (_, rest) = page
        .split_once(&format!("```{language}\n"))
        .ok_or_else(|| Error::State(format!("the page has no block of {language}")))?;
    Ok(rest.split("```").next().unwrap_or_default())
}
