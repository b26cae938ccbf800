//! A connection of a trusted proxy: its header of the PROXY protocol names the peer, which is then admitted like a peer
//! that connects to us itself.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use s2s_proto::clock;
use s2s_proto::proxy_header::{self, Header, HeaderError};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use crate::admission::newcomers::{MAX_WITHOUT_HEADER, Newcomer};
use crate::engine::Engine;
use crate::leg::{Door, Leg};
use crate::observe::recorder::ProxyRefusal;
use crate::run::listen;

/// Bytes to look at once; a header without large TLVs fits.
const LOOK_BYTES: usize = 256;

/// Receives the header in a task of its own.
pub(super) fn receive(engine: &Arc<Engine>, tcp: TcpStream, proxy: SocketAddr, accepted: Instant) {
    let Some(newcomer) = engine.without_header.admit(proxy.ip(), MAX_WITHOUT_HEADER) else {
        let text = "too many connections of proxies have not sent the PROXY protocol header";
        return engine.recorder.saw_refused_connection(Leg::Outer, proxy, text.to_owned());
    };
    engine.life.spawn(run(Arc::clone(engine), tcp, proxy, newcomer, accepted));
}

async fn run(
    engine: Arc<Engine>,
    mut tcp: TcpStream,
    proxy: SocketAddr,
    newcomer: Newcomer,
    accepted: Instant,
) {
    let deadline = clock::after(accepted, engine.snapshot().config.timeouts.negotiation);
    let received = tokio::select! {
        received = timeout_at(deadline.into(), receive_header(&mut tcp)) => received,
        () = newcomer.evicted() => return engine.recorder.saw_eviction(Leg::Outer, proxy),
    };
    drop(newcomer);
    let source = match received {
        Ok(Ok(Some(Ok(Header::Relayed(source))))) => source,
        Ok(Ok(Some(Ok(Header::Local)))) => proxy,
        Ok(Ok(Some(Err(error)))) => {
            let refusal = ProxyRefusal::Header(error);
            return engine.recorder.saw_proxy_header(Leg::Outer, proxy, refusal);
        }
        // The proxy connected and closed without a byte: a health check. It causes no log line.
        Ok(Ok(None) | Err(_)) | Err(_) => return,
    };
    listen::admit(&engine, tcp, source, Door::Outer, accepted);
}

/// Takes the header from the connection, and no byte behind it. `None`: the connection ended without a byte.
async fn receive_header(tcp: &mut TcpStream) -> io::Result<Option<Result<Header, HeaderError>>> {
    let mut arrived = Vec::new();
    loop {
        let mut look = [0; LOOK_BYTES];
        let bytes = tcp.peek(&mut look).await?;
        let Some(fresh) = look.get_mut(..bytes).filter(|fresh| !fresh.is_empty()) else {
            return Ok((!arrived.is_empty()).then_some(Err(HeaderError::Incomplete)));
        };
        let before = arrived.len();
        arrived.extend_from_slice(fresh);
        let (header, length) = match proxy_header::decode(&arrived) {
            Ok(Some((header, length))) => (Some(header), length),
            Ok(None) => (None, arrived.len()),
            Err(error) => return Ok(Some(Err(error))),
        };
        // These bytes are there, so that this does not wait.
        if let Some(own) = fresh.get_mut(..length.saturating_sub(before)) {
            tcp.read_exact(own).await?;
        }
        if let Some(header) = header {
            return Ok(Some(Ok(header)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    const LINE: &[u8] = b"PROXY TCP4 198.51.100.7 192.0.2.1 40000 5269\r\n";
    const STREAM: &[u8] = b"<?xml version='1.0'?>";

    async fn both_ends() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (dialled, listener.accept().await.unwrap().0)
    }

    /// The header that is received when these pieces arrive one after the other, and the bytes behind it.
    async fn received(pieces: &[&[u8]]) -> (Option<Result<Header, HeaderError>>, Vec<u8>) {
        let (mut proxy, mut engine) = both_ends().await;
        proxy.set_nodelay(true).unwrap();
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        let sending = tokio::spawn(async move {
            for piece in pieces {
                proxy.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let header = receive_header(&mut engine).await.unwrap();
        let mut rest = Vec::new();
        engine.read_to_end(&mut rest).await.unwrap();
        sending.await.unwrap();
        (header, rest)
    }

    #[tokio::test]
    async fn the_stream_begins_behind_the_header_however_the_bytes_arrive() {
        let relayed = Some(Ok(Header::Relayed("198.51.100.7:40000".parse().unwrap())));
        let long = [&b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x10\x00"[..], &[0; 4_096]].concat();
        for (header, expected) in [
            (LINE, relayed),
            (&proxy_header::LOCAL, Some(Ok(Header::Local))),
            (&long, Some(Ok(Header::Local))),
        ] {
            let both = [header, STREAM].concat();
            assert_eq!(received(&[&both]).await, (expected, STREAM.to_vec()));
            assert_eq!(received(&[header, STREAM]).await, (expected, STREAM.to_vec()));
            let bytes: Vec<&[u8]> = both.chunks(1).collect();
            assert_eq!(received(&bytes).await, (expected, STREAM.to_vec()));
        }
    }

    #[tokio::test]
    async fn a_connection_that_ends_early_is_silent_or_incomplete() {
        assert_eq!(received(&[]).await.0, None);
        let cut = &LINE[..LINE.len() - 1];
        assert_eq!(received(&[cut]).await.0, Some(Err(HeaderError::Incomplete)));
        assert_eq!(received(&[STREAM]).await.0, Some(Err(HeaderError::Missing)));
    }

    /// Every connection without a header holds a value of this size.
    #[test]
    fn a_connection_that_waits_for_its_header_is_small() {
        fn size_of_future<F>(
            _: fn(Arc<Engine>, TcpStream, SocketAddr, Newcomer, Instant) -> F,
        ) -> usize {
            size_of::<F>()
        }
        let task = size_of_future(run);
        assert!(task <= 1_536, "task {task}");
    }
}
