//! RFC 6120 §4.9: stream errors.

use s2s_peer::element::Element;
use s2s_peer::namespace::STREAMS;
use s2s_peer::redirecting::redirect;
use s2s_peer::stream::Stream;
use s2s_peer::unverified::server_that_takes_any;

use crate::Check;
use crate::dialled::Dialled;
use crate::ending::{Ending, expect_error};
use crate::header::Header;
use crate::outcome::{Finding, ensure, not_applicable};
use crate::target::Target;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: 1,
        section: "RFC 6120 §4.9.1.2",
        sentence: "a stream error comes after a full response header, even when the initial header is the error",
        run: header_before_error,
    },
    Check {
        id: 5,
        section: "RFC 6120 §4.9.1.3",
        sentence: "an unknown or absent 'to' is answered with host-unknown, and never repeated in the 'from' of the response",
        run: unknown_to,
    },
    Check {
        id: 65,
        section: "RFC 6120 §4.9.3.20",
        sentence: "a server that shuts down sends system-shutdown",
        run: shutdown,
    },
    Check {
        id: 66,
        section: "RFC 6120 §4.9.3.19",
        sentence: "see-other-host is not followed before TLS; the other host must authenticate the same domain",
        run: see_other_host,
    },
];

fn header_before_error(target: &Target) -> Finding {
    let wrong = [
        Header { to: Some("nowhere.invalid"), ..target.header() }.to_string(),
        Header { streams: "urn:example:nothing", ..target.header() }.to_string(),
        "<stream:stream <>".to_owned(),
    ];
    for sent in wrong {
        let mut stream = target.connect()?;
        stream.send(&sent)?;
        let header = stream.header()?;
        let full = header.is(STREAMS, "stream") && header.attribute("id").is_some();
        ensure(full, || format!("{sent} was answered with {header}"))?;
        let ending = Ending::of(&mut stream)?;
        ensure(ending.error.is_some(), || format!("{sent}: {}", ending.seen()))?;
    }
    Ok(())
}

fn unknown_to(target: &Target) -> Finding {
    for to in [Some("nowhere.invalid"), None] {
        let mut stream = target.connect()?;
        stream.send(Header { to, ..target.header() }.to_string())?;
        let header = stream.header()?;
        ensure(header.attribute("from") != Some("nowhere.invalid"), || {
            format!("the response repeats the unknown name: {header}")
        })?;
        expect_error(&mut stream, &["host-unknown"])?;
    }
    Ok(())
}

fn shutdown(target: &Target) -> Finding {
    let Some(process) = target.process else {
        return not_applicable("the suite has no permission to stop the target (--pid)");
    };
    let mut stream = target.authenticated()?;
    let pid = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
    let Some(pid) = pid else { return not_applicable(format!("{process} is not a process ID")) };
    if let Err(error) = rustix::process::kill_process(pid, rustix::process::Signal::TERM) {
        return not_applicable(format!("cannot send SIGTERM to process {process}: {error}"));
    }
    expect_error(&mut stream, &["system-shutdown"])
}

fn see_other_host(target: &Target) -> Finding {
    let outside = target.outside()?;
    let trap = outside.trap.address().to_string();
    let mut waiting = target.make_verify(&target.peer)?;
    let mut stream = target.accept()?;
    redirect(&mut stream, &trap)?;
    // The target may react in any way. After it reports an error, or after the timeout, it has not followed the
    // redirect.
    let _ = waiting.stream.element("a dialback error");
    ensure(outside.trap.clear() == 0, || "an unencrypted see-other-host was followed".to_owned())?;
    // After TLS the target may follow the redirect or not. If it follows, it must request the same domain there, by the
    // same method.
    let _waiting = target.make_verify(&target.peer)?;
    let stream = Dialled::proceed(target.accept()?)?;
    let identity = target.identity(&[&target.peer])?;
    let mut stream = stream.secured_as_server(server_that_takes_any(&identity)?)?;
    let header = redirect(&mut stream, &trap)?;
    let Some(tcp) = outside.trap.next(target.timeout) else { return Ok(()) };
    let followed = Dialled::accept(Stream::accepted(tcp, target.timeout)?, &identity, "")?.header;
    let ends =
        |header: &Element| ["from", "to"].map(|end| header.attribute(end).map(str::to_owned));
    ensure(ends(&followed) == ends(&header), || {
        format!("the other host received {followed}, the first one {header}")
    })
}
