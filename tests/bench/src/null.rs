//! No server between sender and receiver: the upper bound of the benchmark itself.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use rustls::RootCertStore;
use s2s_peer::acceptor::{Acceptor, Proof};
use s2s_peer::authority::Identity;
use s2s_peer::dialback::Secret;
use s2s_peer::stream::Stream;

use super::error::{BenchError, Result};
use super::load::RECEIVER;
use super::sink::Sink;
use super::subject::{Certificates, MAX_SILENCE, Subject};

/// Starts only the receiving peer.
pub fn start(certificates: &Certificates) -> Result<Subject> {
    let failed = || BenchError::peer("certificates");
    let local = certificates.authority.issue(&[RECEIVER]).map_err(failed())?;
    let sink = Sink::default();
    let roots = certificates.authority.roots().map_err(failed())?;
    let address = receive(RECEIVER, Ipv4Addr::LOCALHOST, local, roots, &sink)?;
    Ok(Subject { name: "nothing between", address, pid: None, sink })
}

/// Starts a receiving server of a domain on a free port, and counts the stanzas of its streams.
pub fn receive(
    domain: &str,
    address: Ipv4Addr,
    identity: Identity,
    roots: Arc<RootCertStore>,
    sink: &Sink,
) -> Result<SocketAddr> {
    let sink = sink.clone();
    listen(domain, address, identity, roots, move |stream| sink.drain(stream))
}

/// Starts a receiving server of a domain on a free port, and passes on each stream that a server has opened.
pub fn listen(
    domain: &str,
    address: Ipv4Addr,
    identity: Identity,
    roots: Arc<RootCertStore>,
    serve: impl Fn(Stream) + Send + 'static,
) -> Result<SocketAddr> {
    let acceptor = Acceptor {
        domain: domain.to_owned(),
        identity,
        roots,
        proof: Proof::Certificate,
        secret: Secret::new("unused: certificates prove everybody"),
        timeout: MAX_SILENCE,
    };
    let listening = || BenchError::io("listening for", "the receiving peer");
    let listener = TcpListener::bind((address, 0)).map_err(listening())?;
    let address = listener.local_addr().map_err(listening())?;
    // The thread ends with the benchmark.
    thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            match acceptor.accept(tcp) {
                Ok(Some(session)) => serve(session.stream),
                Ok(None) => {}
                Err(error) => eprintln!("receiving peer: {error}"),
            }
        }
    });
    Ok(address)
}
