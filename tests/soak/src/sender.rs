//! The sending end of a flow: writes numbered stanzas as fast as the engine accepts them, reopens its stream when it
//! ends, and repeats unacknowledged stanzas.

use std::io::BufRead as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::RootCertStore;
use s2s_peer::authority::Identity;
use s2s_peer::error::{PeerError, Result};
use s2s_peer::initiator::{Initiator, Security};
use s2s_peer::namespace::STREAM_MANAGEMENT;
use s2s_peer::stream::Stream;
use socket2::SockRef;

use super::control::{SenderOrder, set};
use super::flow::Flow;
use super::receiver::Shared;
use super::splitter::{Part, Splitter, attribute, name};
use super::stanza::{Kind, write};

/// Number of stanzas in one write.
const BATCH: u64 = 64;
/// Maximum number of unacknowledged stanzas.
const WINDOW: u64 = 1_024;
/// Interval of the checks of the state while there is no input.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Maximum silence of the engine in any operation.
const MAX_SILENCE: Duration = Duration::from_mins(2);

/// The sender of one flow.
#[derive(Debug)]
pub(crate) struct Sender {
    /// The state that both ends share.
    pub shared: Arc<Shared>,
    /// The flow.
    pub flow: Flow,
    /// Address where the engine accepts its streams.
    pub engine: SocketAddr,
    /// The certificate and key that authenticate it.
    pub identity: Identity,
    /// The root certificates that authenticate the engine.
    pub roots: Arc<RootCertStore>,
}

/// A stream to the engine.
struct Outgoing {
    stream: Stream,
    handle: TcpStream,
    splitter: Splitter,
    /// Number of the first stanza on this stream.
    first: u64,
    /// The epoch of the engine to which it leads.
    epoch: u64,
}

/// Acknowledgements and the end of a stream.
#[derive(Default)]
struct Heard {
    /// The engine's last count of accepted stanzas.
    acknowledged: Option<u32>,
    ended: bool,
    /// A stream error.
    error: Option<String>,
}

/// Progress of a sender.
struct Progress {
    stream: Option<Outgoing>,
    /// The number of the next new stanza.
    next: u64,
    /// All lower numbers are acknowledged, or need no acknowledgement.
    taken: u64,
    /// Number of requested engine shutdowns.
    epoch: u64,
}

impl Sender {
    /// Sends what the quota allows until the experiment is over.
    pub(crate) fn run(&self) {
        let mut progress = Progress { stream: None, next: 0, taken: 0, epoch: 0 };
        while !self.shared.control.see(|state| state.stop) {
            if let Err(error) = self.step(&mut progress) {
                self.broken(&mut progress, &error);
            }
        }
    }

    fn step(&self, progress: &mut Progress) -> Result<()> {
        let index = self.flow.index;
        let (quota, epoch, order) = self.shared.control.change(|state| {
            let order = state.send.get_mut(index).and_then(Option::take);
            (state.quota.get(index).copied().unwrap_or_default(), state.epoch, order)
        });
        if let Some(order) = order {
            self.obey(progress, order);
        }
        if progress.epoch != epoch {
            progress.epoch = epoch;
            self.follow_engine(progress);
            return Ok(());
        }
        let rests = progress.next >= quota && progress.taken >= progress.next;
        if rests {
            self.rest(quota, epoch);
            return Ok(());
        }
        if progress.stream.is_none() && !self.open(progress)? {
            return Ok(());
        }
        self.exchange(progress, quota)
    }

    /// Reports that everything is sent, and waits for new work.
    fn rest(&self, quota: u64, epoch: u64) {
        let index = self.flow.index;
        let is_news = |state: &mut super::control::State| {
            let more = state.quota.get(index).is_some_and(|now| *now > quota);
            let order = state.send.get(index).is_some_and(Option::is_some);
            (more || order || state.stop || state.epoch != epoch).then_some(())
        };
        self.shared.control.change(|state| {
            let same = state.quota.get(index) == Some(&quota) && state.epoch == epoch;
            if same {
                set(&mut state.rested, index, true);
            }
        });
        self.shared.control.wait(MAX_SILENCE, is_news);
    }

    fn exchange(&self, progress: &mut Progress, quota: u64) -> Result<()> {
        let Progress { stream: Some(stream), next, taken, .. } = progress else { return Ok(()) };
        let index = self.flow.index;
        let count = BATCH.min(quota.saturating_sub(*next));
        if count > 0 && *next - *taken < WINDOW {
            let mut batch = Vec::new();
            for _ in 0..count {
                let kind = Kind::of(index, *next);
                self.shared.books.with(index, |account| account.send(kind.expected()));
                write(&self.flow, *next, &mut batch);
                *next += 1;
            }
            if self.flow.sender_asks {
                batch.extend_from_slice(b"<r xmlns='urn:xmpp:sm:3'/>");
            } else {
                *taken = *next;
            }
            let sent = stream.stream.send(&batch);
            self.shared.control.change(|state| set(&mut state.sent, index, *next));
            sent?;
        }
        let full = *next - *taken >= WINDOW;
        let waits = *next > *taken && (full || *next >= quota);
        if waits && let Some(heard) = stream.hear(LOOK_INTERVAL)? {
            self.note(stream.first, taken, &heard);
            if heard.ended {
                return Err(PeerError::Closed { awaited: "acknowledgements" });
            }
        }
        Ok(())
    }

    fn note(&self, first: u64, taken: &mut u64, heard: &Heard) {
        if let Some(count) = heard.acknowledged {
            let now = first + u64::from(count);
            self.shared.books.with(self.flow.index, |account| account.taken(*taken, now));
            *taken = (*taken).max(now);
        }
        if let Some(error) = &heard.error
            && !error.contains("system-shutdown")
        {
            self.shared.books.fault(format!("the engine ended a sender's stream: {error}"));
        }
    }

    fn obey(&self, progress: &mut Progress, order: SenderOrder) {
        let Some(stream) = progress.stream.take() else { return };
        match order {
            SenderOrder::Reset if self.flow.sender_asks => {
                let _ = SockRef::from(&stream.handle).set_linger(Some(Duration::ZERO));
            }
            SenderOrder::Reset | SenderOrder::Close => {
                self.close(stream, &mut progress.taken);
            }
        }
    }

    /// Closes a stream in order.
    fn close(&self, mut stream: Outgoing, taken: &mut u64) {
        // If the engine has exited, the next read reports it.
        let _ = stream.stream.send("</stream:stream>");
        let deadline = Instant::now() + MAX_SILENCE;
        let heard = stream.hear_out(|| Instant::now() < deadline);
        self.note(stream.first, taken, &heard);
        if !heard.ended {
            let text = format!("flow {}: the engine does not close a stream", self.flow.index);
            self.shared.books.fault(text);
        }
    }

    /// The engine of a stream was requested to shut down: reads the remaining input to its end.
    fn follow_engine(&self, progress: &mut Progress) {
        if let Some(mut stream) = progress.stream.take() {
            let epoch = stream.epoch;
            let heard = stream.hear_out(|| self.shared.control.see(|state| state.running <= epoch));
            self.note(stream.first, &mut progress.taken, &heard);
            if !heard.ended {
                // The stream was opened while one engine replaced the other, and leads to the new one.
                self.close(stream, &mut progress.taken);
            }
        }
        self.shared.books.with(self.flow.index, |account| account.ended(0));
    }

    fn broken(&self, progress: &mut Progress, error: &PeerError) {
        let epoch = self.shared.control.see(|state| state.epoch);
        let Some(stream) = &mut progress.stream else { return };
        if stream.epoch != epoch {
            // The stream ends with its engine; the next step handles that.
            return;
        }
        let text = format!("flow {}: a sender's stream broke: {error}", self.flow.index);
        self.shared.books.fault(text);
        let deadline = Instant::now() + LOOK_INTERVAL;
        let heard = stream.hear_out(|| Instant::now() < deadline);
        self.note(stream.first, &mut progress.taken, &heard);
        progress.stream = None;
    }

    /// Opens a stream, and repeats unacknowledged stanzas on it. Returns false if the engine is not ready yet.
    fn open(&self, progress: &mut Progress) -> Result<bool> {
        let index = self.flow.index;
        let (epoch, running) = self.shared.control.see(|state| (state.epoch, state.running));
        let initiator = Initiator {
            address: self.engine,
            from: &self.flow.from,
            to: &self.flow.to,
            identity: Some(&self.identity),
            roots: &self.roots,
            security: Security::StartTls,
            timeout: MAX_SILENCE,
        };
        let open = || -> Result<_> {
            let tcp = TcpStream::connect_timeout(&self.engine, MAX_SILENCE)
                .map_err(PeerError::io("connecting by TCP"))?;
            let handle = tcp.try_clone().map_err(PeerError::io("a second handle"))?;
            let mut stream = initiator.external_on(tcp)?;
            if self.flow.sender_asks {
                stream.send("<enable xmlns='urn:xmpp:sm:3'/>")?;
                stream.expect(STREAM_MANAGEMENT, "enabled", "acknowledgements")?;
            }
            Ok((stream, handle))
        };
        let opened = (epoch == running).then(open).and_then(Result::ok);
        let Some((stream, handle)) = opened else {
            // While the engine restarts, no notification reports when it is ready.
            self.shared.control.wait(LOOK_INTERVAL, |state| state.stop.then_some(()));
            return Ok(false);
        };
        let first = progress.taken;
        let stream = progress.stream.insert(Outgoing {
            stream,
            handle,
            splitter: Splitter::default(),
            first,
            epoch,
        });
        let mut batch = Vec::new();
        for number in first..progress.next {
            self.shared.books.with(index, |account| account.repeat(number));
            write(&self.flow, number, &mut batch);
        }
        if !batch.is_empty() {
            batch.extend_from_slice(b"<r xmlns='urn:xmpp:sm:3'/>");
            stream.stream.send(batch)?;
        }
        Ok(true)
    }
}

impl Outgoing {
    /// Returns input that is available, or that arrives within that time.
    fn hear(&mut self, timeout: Duration) -> Result<Option<Heard>> {
        let mut heard = Heard::default();
        let transport = self.stream.transport();
        let readable = transport.is_readable_within(timeout);
        if !readable.map_err(PeerError::io("awaiting acknowledgements"))? {
            return Ok(None);
        }
        let bytes = transport.fill_buf().map_err(PeerError::io("awaiting acknowledgements"))?;
        if bytes.is_empty() {
            heard.ended = true;
            return Ok(Some(heard));
        }
        let bytes = bytes.to_vec();
        transport.consume(bytes.len());
        let fed = self.splitter.feed(&bytes, |part| match part {
            Part::End => heard.ended = true,
            Part::Element(element) if name(element) == b"a" => {
                let count = attribute(element, "h").and_then(|h| std::str::from_utf8(h).ok());
                heard.acknowledged = count.and_then(|count| count.parse().ok());
            }
            Part::Element(element) if name(element) == b"stream:error" => {
                heard.error = Some(String::from_utf8_lossy(element).into_owned());
            }
            Part::Element(_) => {}
        });
        fed.map_err(|endless| PeerError::Script(endless.to_string()))?;
        Ok(Some(heard))
    }

    /// Reads everything up to the end of the connection, while `goes_on` is true.
    fn hear_out(&mut self, mut goes_on: impl FnMut() -> bool) -> Heard {
        let mut all = Heard::default();
        while !all.ended && goes_on() {
            match self.hear(LOOK_INTERVAL) {
                Ok(Some(heard)) => {
                    all.acknowledged = heard.acknowledged.or(all.acknowledged);
                    all.error = heard.error.or(all.error);
                    all.ended = heard.ended;
                }
                Ok(None) => {}
                Err(_) => all.ended = true,
            }
        }
        all
    }
}
