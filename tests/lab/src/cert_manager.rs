//! cert-manager with a CA issuer and an ACME issuer, for the tests of certificates. They are not part of every lab: a
//! test starts them, and other tests of the same lab work beside them.

use std::time::Duration;

use data_encoding::BASE64;
use serde_json::json;

use crate::addons::{kubeconfig, wait_for_crds};
use crate::error::Result;
use crate::federation::NAMESPACE;
use crate::host;
use crate::kubernetes::{apply, kubectl};
use crate::network::Host;
use crate::parts::Part;
use crate::paths::{Paths, read, write};
use crate::pki::{Authority, Subject, Usage};
use crate::public_dns::{UPDATE_KEY, update_secret};
use crate::wait::{Seen, Wait, slowness};

/// Name of cert-manager's record and log.
pub const NAME: &str = "cert-manager";
/// Name of the ACME server's record and log.
pub const ACME: &str = "pebble";
/// Name of the CA issuer.
pub const CA_ISSUER: &str = "internal-ca";
/// Name of the ACME issuer.
pub const ACME_ISSUER: &str = "acme";
/// Secret with the key by which the ACME issuer changes DNS records.
const DNS_KEY: &str = "dns-update-key";
/// Port of the ACME server on host `dns`.
const ACME_PORT: u16 = 14000;

/// Installs cert-manager's CRDs and starts its controllers.
pub fn start(paths: &Paths) -> Result<()> {
    kubectl(paths)?
        .args(["apply", "--server-side", "-f"])
        .arg(Part::CertManager.file(paths, "crds")?)
        .ok()?;
    wait_for_crds(paths, &["certificates.cert-manager.io", "challenges.acme.cert-manager.io"])?;
    if paths.daemons().running(NAME)?.is_some() {
        return Ok(());
    }
    let run = host::on(paths, Host::Node, Part::CertManager.file(paths, "cert-manager")?)?
        .arg(format!("--kubeconfig={}", kubeconfig(paths)))
        .args(["--min-backoff=20s", "--max-backoff=60s", "--dns01-check-retry-period=1s"])
        .arg(format!("--dns01-recursive-nameservers={}:53", Host::Dns.address()));
    host::daemon(paths, NAME, run).map(drop)
}

/// Removes the CRDs, and with them all objects of cert-manager, and stops its controllers.
pub fn remove(paths: &Paths) -> Result<()> {
    // The controllers run until the last object is gone, because Challenges have a finalizer of theirs.
    kubectl(paths)?
        .args(["delete", "--ignore-not-found", "-f"])
        .arg(Part::CertManager.file(paths, "crds")?)
        .arg(format!("--timeout={}m", 3 * slowness()))
        .ok()?;
    host::stop_daemon(paths, NAME)?;
    host::stop_daemon(paths, ACME)
}

/// Creates the CA issuer in the federation's namespace.
pub fn make_ca_issuer(paths: &Paths) -> Result<()> {
    let pki = paths.pki();
    let authority = Authority::create(&pki, CA_ISSUER)?;
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": CA_ISSUER, "namespace": NAMESPACE},
            "stringData": {
                "tls.crt": read(&authority.certificate())?,
                "tls.key": read(&pki.join(format!("{CA_ISSUER}.key")))?,
            },
        },
        {
            "apiVersion": "cert-manager.io/v1",
            "kind": "Issuer",
            "metadata": {"name": CA_ISSUER, "namespace": NAMESPACE},
            "spec": {"ca": {"secretName": CA_ISSUER}},
        },
    ]});
    apply(paths, &objects.to_string())
}

/// Starts the ACME server and creates its issuer in the federation's namespace, with a key that the DNS server does not
/// accept until [`give_dns_key`].
pub fn make_acme_issuer(paths: &Paths) -> Result<()> {
    let home = paths.host("acme");
    let address = Host::Dns.address();
    let authority = Authority::create(&home, "acme-ca")?;
    let subject = Subject { name: ACME, group: None, alternative_names: vec![address.to_string()] };
    authority.issue(ACME, &subject, Usage::Server)?;
    start_acme(paths)?;
    put_dns_key(paths, &BASE64.encode(&[0; 32]))?;
    let rfc2136 = json!({
        "nameserver": format!("{address}:53"),
        "tsigKeyName": UPDATE_KEY,
        "tsigAlgorithm": "HMACSHA256",
        "tsigSecretSecretRef": {"name": DNS_KEY, "key": "secret"},
    });
    let issuer = json!({
        "apiVersion": "cert-manager.io/v1",
        "kind": "Issuer",
        "metadata": {"name": ACME_ISSUER, "namespace": NAMESPACE},
        "spec": {"acme": {
            "server": format!("https://{address}:{ACME_PORT}/dir"),
            "caBundle": BASE64.encode(read(&authority.certificate())?.as_bytes()),
            "privateKeySecretRef": {"name": "acme-account"},
            "solvers": [{"dns01": {"rfc2136": rfc2136}}],
        }},
    });
    apply(paths, &issuer.to_string())
}

/// Gives the ACME issuer the key that the DNS server accepts.
pub fn give_dns_key(paths: &Paths) -> Result<()> {
    put_dns_key(paths, &update_secret(paths)?)
}

fn put_dns_key(paths: &Paths, secret: &str) -> Result<()> {
    let object = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": DNS_KEY, "namespace": NAMESPACE},
        "stringData": {"secret": secret},
    });
    apply(paths, &object.to_string())
}

/// The ACME server on host `dns`. It has no memory of an earlier run.
fn start_acme(paths: &Paths) -> Result<()> {
    host::stop_daemon(paths, ACME)?;
    let (home, address) = (paths.host("acme"), Host::Dns.address());
    let config = json!({"pebble": {
        "listenAddress": format!("{address}:{ACME_PORT}"),
        "managementListenAddress": format!("{address}:{}", ACME_PORT + 1),
        "certificate": home.join(format!("{ACME}.crt")),
        "privateKey": home.join(format!("{ACME}.key")),
        // Ports of challenges that the issuer does not use.
        "httpPort": 80,
        "tlsPort": 443,
        "keyAlgorithm": "ecdsa",
        "retryAfter": {"authz": 1, "order": 1},
    }});
    let file = home.join("pebble.json");
    write(&file, config.to_string())?;
    // Without these variables, it delays each validation, and rejects some requests at random.
    let run = host::on(paths, Host::Dns, "env")?
        .args(["PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0"])
        .arg(Part::Pebble.file(paths, "pebble")?)
        .arg("-config")
        .arg(file)
        .arg(format!("-dnsserver={address}:53"));
    host::daemon(paths, ACME, run)?;
    let daemons = paths.daemons();
    Wait::new("the ACME server to listen", Duration::from_mins(1)).log(daemons.log(ACME)).until(
        || {
            daemons.must_run(ACME)?;
            let to = (address, ACME_PORT).into();
            let seen = host::connect(Host::Other, to, Duration::from_secs(1));
            Ok(Seen::done_if(seen.is_ok(), format!("{seen:?}")))
        },
    )
}
