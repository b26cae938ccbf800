//! RFC 6120 §5.3: rules of STARTTLS.

use std::io::{BufRead as _, Read as _};

use s2s_peer::error::PeerError;
use s2s_peer::namespace::TLS;
use s2s_peer::unverified::server_that_takes_any;

use crate::Check;
use crate::dialled::Dialled;
use crate::header::Header;
use crate::opened::Opened;
use crate::outcome::{Finding, ensure};
use crate::target::{EXTERNAL_FEATURES, Target};
use crate::tls::Client;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: 15,
        section: "RFC 6120 §5.3.1",
        sentence: "mandatory STARTTLS is offered alone",
        run: mandatory_alone,
    },
    Check {
        id: 17,
        section: "RFC 6120 §5.3.3, §5.4.3.3",
        sentence: "nothing is sent between <starttls/> and the ClientHello, and unencrypted data \
                   received there is never read inside TLS",
        run: nothing_in_between,
    },
];

fn mandatory_alone(target: &Target) -> Finding {
    let features = target.clear(&target.header())?.features;
    let required = features
        .child(TLS, "starttls")
        .is_some_and(|starttls| starttls.child(TLS, "required").is_some());
    ensure(!required || features.children.len() == 1, || features.to_string())
}

fn nothing_in_between(target: &Target) -> Finding {
    injected_by_the_initiator(target)?;
    if target.outside.is_some() {
        sent_by_the_target(target)?;
        injected_by_the_receiver(target)?;
    }
    Ok(())
}

/// A header in the same segment as `<starttls/>`. If the target reads it inside TLS, it answers before it receives our
/// own header, which names a domain that no server hosts.
fn injected_by_the_initiator(target: &Target) -> Finding {
    let mut stream = target.clear(&target.header())?.stream;
    stream.send(format!("<starttls xmlns='{TLS}'/>{}", target.header()))?;
    let Ok(()) = stream.expect(TLS, "proceed", "<proceed/>").map(drop) else {
        return Ok(());
    };
    let config = Client::new(None, false)?.config;
    let Ok(stream) = stream.secured_as_client(config, &target.domain) else { return Ok(()) };
    let nobody = Header { to: Some("nowhere.invalid"), ..target.header() };
    let answered = Opened::greet(stream, &nobody);
    ensure(answered.is_err(), || {
        "a header that was injected before TLS was answered inside TLS".to_owned()
    })
}

fn sent_by_the_target(target: &Target) -> Finding {
    let _waiting = target.make_verify(&target.peer)?;
    let mut stream = Dialled::proceed(target.accept()?)?;
    stream.transport().begin();
    let mut first = [0];
    stream.transport().read_exact(&mut first).map_err(PeerError::io("reading"))?;
    ensure(first == [22], || format!("{first:?} came before the ClientHello"))
}

/// Features in the same segment as `<proceed/>`. If the target reads them inside TLS, it authenticates without header.
fn injected_by_the_receiver(target: &Target) -> Finding {
    let _waiting = target.make_verify(&target.peer)?;
    let mut stream = target.accept()?;
    let starttls = format!("<starttls xmlns='{TLS}'><required/></starttls>");
    stream = Dialled::greet(stream, &starttls)?.stream;
    stream.expect(TLS, "starttls", "STARTTLS")?;
    let injected = format!("<stream:features>{EXTERNAL_FEATURES}</stream:features>");
    stream.send(format!("<proceed xmlns='{TLS}'/>{injected}"))?;
    let identity = target.identity(&[&target.peer])?;
    let Ok(mut stream) = stream.secured_as_server(server_that_takes_any(&identity)?) else {
        return Ok(());
    };
    stream.transport().begin();
    let first = stream.transport().fill_buf().map(<[u8]>::to_vec).unwrap_or_default();
    let first = String::from_utf8_lossy(&first).into_owned();
    ensure(!first.contains("<auth") && !first.contains("db:"), || {
        format!("features that were injected before TLS were answered with {first:?}")
    })
}
