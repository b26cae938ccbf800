//! The internet's DNS: BIND on host `dns`. It is authoritative for a small root and for the zones of both sides. It is
//! also the resolver of all hosts outside of the cluster, and the cluster's DNS forwards to it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::command::Run;
use crate::error::Result;
use crate::family::Family;
use crate::host;
use crate::network::Host;
use crate::packages;
use crate::paths::{Paths, make_dir, read, write};
use crate::wait::{Seen, Wait};

/// The domain in the cluster; external-dns writes its zone.
pub const LOCAL_ZONE: &str = "cupdomain.example";
/// The partner's domain.
pub const PARTNER_ZONE: &str = "partner.example";
/// The host name of the partner's XMPP server.
pub const PARTNER_SERVER: &str = "xmpp.partner.example";
/// The name of the key that is authorized to change [`LOCAL_ZONE`].
pub const UPDATE_KEY: &str = "external-dns";
/// The name of BIND's record and log.
pub const NAME: &str = "named";

/// Writes configuration and zones.
pub fn prepare(paths: &Paths) -> Result<()> {
    let (home, family) = (paths.host("dns"), Family::of(paths));
    make_dir(&home)?;
    let secret = Run::new("tsig-keygen").args(["-a", "hmac-sha256", UPDATE_KEY]).stdout()?;
    write(&home.join("update.key"), format!("{secret}\n"))?;
    write(&home.join("named.conf"), named_conf(&home.display().to_string()))?;
    write(&home.join("root.zone"), root_zone(family))?;
    write(&home.join(format!("{LOCAL_ZONE}.zone")), zone(LOCAL_ZONE, "", family))?;
    let partner = format!(
        "{}_xmpp-server._tcp IN SRV 0 5 5269 {PARTNER_SERVER}.\n",
        addresses("xmpp", Host::Partner, family)
    );
    write(&home.join(format!("{PARTNER_ZONE}.zone")), zone(PARTNER_ZONE, &partner, family))
}

/// Starts BIND and waits for its first response.
pub fn start(paths: &Paths) -> Result<()> {
    let config = paths.host("dns").join("named.conf");
    let named = packages::unconfined("named", &paths.host("dns"))?;
    let run = host::on(paths, Host::Dns, named)?
        .args(if Family::of(paths).has_v6() { &["-g", "-c"][..] } else { &["-g", "-4", "-c"] })
        .arg(config);
    host::daemon(paths, NAME, run)?;
    let daemons = paths.daemons();
    Wait::new("BIND to answer", Duration::from_mins(1)).log(daemons.log(NAME)).until(|| {
        daemons.must_run(NAME)?;
        let answer = dig(Host::Dns, PARTNER_SERVER, "A")?;
        Ok(Seen::done_if(answer == [Host::Partner.address().to_string()], format!("{answer:?}")))
    })
}

/// The secret of [`UPDATE_KEY`], base64.
pub fn update_secret(paths: &Paths) -> Result<String> {
    let text = read(&paths.host("dns").join("update.key"))?;
    let secret = text.split_once("secret \"").and_then(|(_, rest)| rest.split_once('"'));
    let (secret, _) = secret.ok_or_else(|| {
        crate::error::Error::State("tsig-keygen wrote a key file without a secret".into())
    })?;
    Ok(secret.to_owned())
}

/// Queries the public DNS from a host. Returns the short answers, one on each line, sorted; empty if no answer arrives.
pub fn dig(from: Host, name: &str, record_type: &str) -> Result<Vec<String>> {
    let output = host::in_network_of(from, "dig")
        .arg(format!("@{}", Host::Dns.address()))
        .args(["+short", "+time=1", "+tries=1", name, record_type])
        .output()?;
    if !output.status.success() {
        return Ok(Vec::new());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<String> =
        text.lines().filter(|line| !line.starts_with(';')).map(str::to_owned).collect();
    lines.sort();
    Ok(lines)
}

/// Deletes all records in [`LOCAL_ZONE`] except the initial ones.
pub fn empty_local_zone(paths: &Paths) -> Result<()> {
    let own = [format!("{LOCAL_ZONE}."), format!("ns1.{LOCAL_ZONE}.")];
    let transfer = host::in_network_of(Host::Dns, "dig")
        .arg(format!("@{}", Host::Dns.address()))
        .arg("-k")
        .arg(paths.host("dns").join("update.key"))
        .args(["+noall", "+answer", LOCAL_ZONE, "AXFR"])
        .stdout()?;
    let names: BTreeSet<&str> = transfer
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| !name.starts_with(';') && !own.iter().any(|own| own == name))
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = names.iter().map(|name| format!("update delete {name}")).collect();
    update(paths, &lines.join("\n"))
}

/// Changes [`LOCAL_ZONE`] as its administrator would, with lines for nsupdate(1) such as `update delete NAME SRV`.
pub fn update(paths: &Paths, lines: &str) -> Result<()> {
    let script = format!("server {}\nzone {LOCAL_ZONE}\n{lines}\nsend\n", Host::Dns.address());
    host::in_network_of(Host::Dns, "nsupdate")
        .arg("-k")
        .arg(paths.host("dns").join("update.key"))
        .input(script)
        .ok()
}

fn named_conf(home: &str) -> String {
    let address = Host::Dns.address();
    format!(
        r#"include "{home}/update.key";
options {{
  directory "{home}";
  pid-file none;
  session-keyfile "{home}/session.key";
  listen-on {{ {address}; }};
  listen-on-v6 {{ any; }};
  recursion yes;
  allow-query {{ any; }};
  allow-recursion {{ any; }};
  dnssec-validation no;
  empty-zones-enable no;
  notify no;
}};
controls {{ }};
zone "." {{ type primary; file "root.zone"; }};
zone "{LOCAL_ZONE}" {{
  type primary;
  file "{LOCAL_ZONE}.zone";
  allow-update {{ key "{UPDATE_KEY}"; }};
  allow-transfer {{ key "{UPDATE_KEY}"; }};
}};
zone "{PARTNER_ZONE}" {{ type primary; file "{PARTNER_ZONE}.zone"; }};
"#
    )
}

/// The root zone of this internet; a query for any other name quickly gets "no such name".
fn root_zone(family: Family) -> String {
    let server = addresses("ns.root.example.", Host::Dns, family);
    format!(
        "$TTL 60\n@ IN SOA ns.root.example. admin.root.example. 1 60 60 600 1\n@ IN NS ns.root.example.\n{server}{}{}",
        delegation(LOCAL_ZONE, family),
        delegation(PARTNER_ZONE, family)
    )
}

fn delegation(zone: &str, family: Family) -> String {
    let server = addresses(&format!("ns1.{zone}."), Host::Dns, family);
    format!("{zone}. IN NS ns1.{zone}.\n{server}")
}

/// Address records of a host.
fn addresses(name: &str, host: Host, family: Family) -> String {
    let v4 = format!("{name} IN A {}\n", host.address());
    let v6 = format!("{name} IN AAAA {}\n", host.address_v6());
    if family.has_v6() { v4 + &v6 } else { v4 }
}

fn zone(name: &str, records: &str, family: Family) -> String {
    let server = addresses("ns1", Host::Dns, family);
    // The last number is the TTL of "no such record" (RFC 2308 section 4): one second, so that a new record is visible
    // soon.
    format!(
        "$TTL 60\n$ORIGIN {name}.\n@ IN SOA ns1 admin 1 60 60 600 1\n@ IN NS ns1\n{server}{records}"
    )
}
