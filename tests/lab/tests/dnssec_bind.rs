//! Tests the engine's resolver against zones that BIND signs and serves on loopback. The setup has a chain of three
//! zones, each with another algorithm, denial by NSEC and NSEC3, an unsigned delegation and a broken one.

use std::error::Error;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command};

use federation_engine::Domain;
use federation_engine::dns::anchors::Anchors;
use federation_engine::dns::resolve::Resolver;
use futures::StreamExt;
use harness::claim;
use harness::loopback::DEADLINE;
use lab::command::Run;
use lab::error::Error as LabError;
use lab::packages;
use lab::paths::read;
use lab::wait::{Seen, Wait};
use s2s_proto::certificate::dane::Associations;
use s2s_proto::plan::{Answer, Target};
use s2s_proto::reason::{DnsReason, Records};
use tempfile::TempDir;

/// The reason why there is no answer to compare.
type Failure = Box<dyn Error>;

const APEX: &str = "$TTL 60\n@ IN SOA ns.root. h.root. 1 60 60 600 60\n@ IN NS ns.root.\n";
/// An arbitrary digest.
const TLSA: &str = "3 1 1 0707070707070707070707070707070707070707070707070707070707070707";

/// A server that stops when the value is dropped.
struct Bind {
    process: Child,
    _directory: TempDir,
    address: SocketAddr,
}

impl Drop for Bind {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Signs a zone. Returns the data that the parent zone and a resolver need: its DS records, and the file with its key.
fn sign(
    directory: &Path,
    zone: &str,
    algorithm: &str,
    records: &str,
    options: &[&str],
) -> Result<(String, String), Failure> {
    // The keys date from yesterday. Otherwise they would not be valid yet if the clock were set back before their use.
    let since = ["-P", "now-1d", "-A", "now-1d"];
    let keygen = |flags: &[&str]| {
        let run =
            Run::new("dnssec-keygen").dir(directory).args(["-q", "-a", algorithm]).args(since);
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

    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, claim::port()?.port()));
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
    let named = packages::unconfined("named", path)?;
    let log = path.join("named.log");
    let process = Command::new(named)
        .args(["-g", "-c"])
        .arg(path.join("named.conf"))
        .stderr(File::create(&log)?)
        .spawn()?;
    let anchors = Anchors::load(&path.join("root.key"))?;
    let mut bind = Bind { process, _directory: directory, address };
    Wait::new("named to serve its zones", DEADLINE).log(&log).until(|| {
        if let Some(status) = bind.process.try_wait().map_err(LabError::io("awaiting", &log))? {
            return Err(LabError::State(format!("named ended with {status}:\n{}", read(&log)?)));
        }
        let is_running = read(&log)?.lines().any(|line| line.ends_with(" running"));
        Ok(Seen::done_if(is_running, "it has not logged that it is running"))
    })?;
    Ok((bind, anchors))
}

async fn first(resolver: &Resolver, domain: &str) -> Result<Target, Failure> {
    let targets = resolver.targets(&Domain::parse(domain)?, true, false).await?;
    Ok(targets.into_iter().next().ok_or("no target")?)
}

/// The answer of the DNS for a host's addresses: of both families, the answer that is not `Absent`.
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
            (target.to_string().as_str(), target.validated_for.is_some()),
            ("im.partner.example:5269", true)
        );
        let server = resolver.delegation(&target).await?.ok_or("nothing is validated")?;
        assert!(matches!(&server.associations, Associations::Usable(_)), "{domain}: {server:?}");
    }
    let far = first(&resolver, "far.partner.example").await?;
    let server = resolver.delegation(&far).await?.ok_or("nothing is validated")?;
    assert!(far.validated_for.is_some() && server.associations == Associations::None, "{server:?}");
    // Absence by NSEC3 and by NSEC, of a name below and at an unsigned zone.
    for domain in ["absent.partner.example", "absent.example", "absent.plain.example"] {
        let target = first(&resolver, domain).await?;
        assert_eq!(
            (target.to_string(), target.validated_for.is_some()),
            (format!("{domain}:5269"), false)
        );
        assert_eq!(addresses(&resolver, domain).await, Answer::Absent);
    }
    let plain = first(&resolver, "plain.example").await?;
    assert!(plain.validated_for.is_none());
    assert_eq!(resolver.delegation(&plain).await?, None);
    let broken = resolver.targets(&Domain::parse("broken.example")?, true, false).await;
    let name = "broken.example".to_owned();
    assert_eq!(broken, Err(DnsReason::Bogus { name, records: Records::Service }));
    Ok(())
}
