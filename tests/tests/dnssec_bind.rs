//! The engine's resolver against zones that BIND signs and serves on loopback: a chain of three zones, each with another
//! algorithm, denial by NSEC and NSEC3, an unsigned delegation and a broken one.

use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use federation_engine::Domain;
use federation_engine::dns::anchors::Anchors;
use federation_engine::dns::plan::{Answer, Target};
use federation_engine::dns::resolve::Resolver;
use federation_engine::reason::{DnsReason, Records};
use federation_engine::tls::dane::Associations;
use futures::StreamExt;
use tempfile::TempDir;
use tests::command::Run;
use tests::engine::free_port;

/// Why there is no answer to compare.
type Failure = Box<dyn Error>;

const APEX: &str = "$TTL 60\n@ IN SOA ns.root. h.root. 1 60 60 600 60\n@ IN NS ns.root.\n";
/// A digest of whatever.
const TLSA: &str = "3 1 1 0707070707070707070707070707070707070707070707070707070707070707";

/// A server that ends with it.
struct Bind {
    process: Child,
    directory: TempDir,
    address: SocketAddr,
}

impl Drop for Bind {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Signs a zone; the result is what the zone above and a resolver need: its DS records, and the file with its key.
fn sign(
    directory: &Path,
    zone: &str,
    algorithm: &str,
    records: &str,
    options: &[&str],
) -> Result<(String, String), Failure> {
    let keygen = |flags: &[&str]| {
        let run = Run::new("dnssec-keygen").dir(directory).args(["-q", "-a", algorithm]);
        run.args(flags).arg(zone).stdout()
    };
    let anchor = keygen(&["-f", "KSK"])?;
    keygen(&[])?;
    let file = format!("{zone}.db");
    fs::write(directory.join(&file), format!("{APEX}{records}"))?;
    let run = Run::new("dnssec-signzone").dir(directory).args(["-q", "-S", "-o", zone]);
    run.args(options).arg(&file).ok()?;
    let set = if zone == "." { "dsset-.".to_owned() } else { format!("dsset-{zone}.") };
    let key = fs::read_to_string(directory.join(format!("{}.key", anchor.trim())))?;
    Ok((fs::read_to_string(directory.join(set))?, key))
}

fn start() -> Result<(Bind, Anchors), Failure> {
    let directory = tempfile::tempdir()?;
    let path = directory.path();
    let partner = format!(
        "_xmpp-server._tcp IN SRV 0 0 5269 im\nim IN A 198.18.0.1\n_5269._tcp.im IN TLSA {TLSA}\n\
         _xmpp-server._tcp.alias IN CNAME _xmpp-server._tcp\n\
         *.wild IN SRV 0 0 5269 im\n_xmpp-server._tcp.far IN SRV 0 0 5269 im.plain.example.\n"
    );
    let nsec3 = ["-3", "aabb", "-H", "0"];
    let (ds, _) = sign(path, "partner.example", "ECDSAP256SHA256", &partner, &nsec3)?;
    let example = format!(
        "partner IN NS ns.root.\nplain IN NS ns.root.\nbroken IN NS ns.root.\n{ds}\
         broken IN DS 12345 13 2 {:064}\n",
        0
    );
    let (ds, _) = sign(path, "example", "RSASHA256", &example, &[])?;
    let root = format!("example. IN NS ns.root.\nns.root. IN A 127.0.0.1\n{ds}");
    let (_, key) = sign(path, ".", "ED25519", &root, &[])?;
    let unsigned = format!(
        "{APEX}_xmpp-server._tcp IN SRV 0 0 5269 im\nim IN A 198.18.0.2\n_5269._tcp.im IN TLSA {TLSA}\n"
    );
    fs::write(path.join("unsigned.db"), unsigned)?;
    fs::write(path.join("root.key"), key)?;

    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?.port()));
    let zone =
        |zone: &str, file: &str| format!("zone \"{zone}\" {{ type primary; file \"{file}\"; }};\n");
    let config = format!(
        "options {{ directory \"{}\"; pid-file none; session-keyfile none; recursion no; dnssec-validation no;\n\
         listen-on port {} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; empty-zones-enable no; }};\ncontrols {{ }};\n{}{}{}{}{}",
        path.display(),
        address.port(),
        zone(".", "..db.signed"),
        zone("example", "example.db.signed"),
        zone("partner.example", "partner.example.db.signed"),
        zone("plain.example", "unsigned.db"),
        zone("broken.example", "unsigned.db"),
    );
    fs::write(path.join("named.conf"), config)?;
    let mut process = Command::new("named")
        .args(["-g", "-c"])
        .arg(path.join("named.conf"))
        .stderr(Stdio::piped())
        .spawn()?;
    let log = process.stderr.take().ok_or("named has no log")?;
    let anchors = Anchors::load(&path.join("root.key"))?;
    let bind = Bind { process, directory, address };
    let mut said = String::new();
    for line in BufReader::new(log).lines() {
        let line = line?;
        if line.ends_with(" running") {
            return Ok((bind, anchors));
        }
        said = format!("{said}\n{line}");
    }
    Err(format!("named did not start in {}: {said}", bind.directory.path().display()).into())
}

async fn first(resolver: &Resolver, domain: &str) -> Result<Target, Failure> {
    let targets = resolver.targets(&Domain::parse(domain)?, true, false).await?;
    Ok(targets.into_iter().next().ok_or("no target")?)
}

/// What DNS says of a host's addresses: of both families, the answer that says something.
async fn addresses(resolver: &Resolver, host: &str) -> Answer<IpAddr> {
    let answers: Vec<_> = resolver.addresses(host.into()).collect().await;
    answers.into_iter().find(|answer| *answer != Answer::Absent).unwrap_or(Answer::Absent)
}

#[tokio::test]
async fn rfc7673_3_zones_that_another_program_signs_are_understood() -> Result<(), Failure> {
    let (bind, anchors) = start()?;
    let resolver = Resolver::validating(&[bind.address], anchors)?;
    for domain in ["partner.example", "alias.partner.example", "a.wild.partner.example"] {
        let target = first(&resolver, domain).await?;
        assert_eq!(
            (target.to_string().as_str(), target.proven_for.is_some()),
            ("im.partner.example:5269", true)
        );
        let server = resolver.delegation(&target).await?.ok_or("nothing is proven")?;
        assert!(matches!(&server.associations, Associations::Usable(_)), "{domain}: {server:?}");
    }
    let far = first(&resolver, "far.partner.example").await?;
    let server = resolver.delegation(&far).await?.ok_or("nothing is proven")?;
    assert!(far.proven_for.is_some() && server.associations == Associations::None, "{server:?}");
    // Absence by NSEC3 and by NSEC, of a name below and at an unsigned zone.
    for domain in ["absent.partner.example", "absent.example", "absent.plain.example"] {
        let target = first(&resolver, domain).await?;
        assert_eq!(
            (target.to_string(), target.proven_for.is_some()),
            (format!("{domain}:5269"), false)
        );
        assert_eq!(addresses(&resolver, domain).await, Answer::Absent);
    }
    let plain = first(&resolver, "plain.example").await?;
    assert!(plain.proven_for.is_none());
    assert_eq!(resolver.delegation(&plain).await?, None);
    let broken = resolver.targets(&Domain::parse("broken.example")?, true, false).await;
    let name = "broken.example".to_owned();
    assert_eq!(broken, Err(DnsReason::Bogus { name, records: Records::Service }));
    Ok(())
}
