//! The receiving end of flows: a server that accepts the engine's streams, records their stanzas in the accounts, and
//! breaks them on request.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::BufRead as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use s2s_peer::acceptor::Acceptor;
use s2s_peer::stream::Stream;
use socket2::SockRef;

use super::books::Books;
use super::control::{Control, ReceiverOrder, set};
use super::error::Result;
use super::flow::{Flow, reverse};
use super::ledger::Account;
use super::splitter::{Part, Splitter, name};
use super::stanza::{condition, identity, is_stanza};

/// Text of the stream error with which the engine ends a stream after a new policy denies it.
const POLICY_CHANGED: &str = "the policy of this server has changed";

/// Every server offers acknowledgements, and refuses them for flows without them.
const FEATURES: &str = "<sm xmlns='urn:xmpp:sm:3'/>";
/// Interval of the checks for orders while there is no input.
const ORDER_INTERVAL: Duration = Duration::from_millis(50);
/// Assumed maximum number of stanzas in transit on a stream without acknowledgements.
const MAX_UNDER_WAY: usize = 65_536;

/// State that both ends of all flows share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The flows.
    pub flows: Vec<Flow>,
    /// Their accounts.
    pub books: Books,
    /// Their orders.
    pub control: Control,
    /// For each flow: locked by the stream that carries it, so that the older of two streams is read first.
    turns: Vec<Mutex<()>>,
}

impl Shared {
    /// Creates the state for those flows, and for `servers` receiving servers.
    pub(crate) fn new(flows: Vec<Flow>, servers: usize) -> Self {
        Self {
            books: Books::new(&flows),
            control: Control::new(flows.len(), servers),
            turns: flows.iter().map(|_| Mutex::default()).collect(),
            flows,
        }
    }
}

/// A receiving server.
#[derive(Debug)]
pub(crate) struct Receiver {
    number: usize,
    address: SocketAddr,
    acceptor: Acceptor,
    shared: Arc<Shared>,
}

impl Receiver {
    /// Serves as the server of that number until the experiment is over.
    pub(crate) fn start(
        number: usize,
        address: SocketAddr,
        acceptor: Acceptor,
        shared: &Arc<Shared>,
    ) -> Result<Arc<Self>> {
        let shared = Arc::clone(shared);
        let receiver = Arc::new(Self { number, address, acceptor, shared });
        let listener = TcpListener::bind(address)?;
        let own = Arc::clone(&receiver);
        thread::spawn(move || own.serve(listener));
        Ok(receiver)
    }

    /// Takes it down: its listener closes, and its streams are reset.
    pub(crate) fn down(&self) {
        self.shared.control.change(|state| set(&mut state.down, self.number, true));
        self.wake();
    }

    /// Brings it up again.
    pub(crate) fn up(&self) {
        self.shared.control.change(|state| set(&mut state.down, self.number, false));
    }

    /// Makes the accepting thread check the state.
    pub(crate) fn wake(&self) {
        // Without a listener, the thread already checks the state.
        drop(TcpStream::connect_timeout(&self.address, ORDER_INTERVAL));
    }

    fn serve(self: &Arc<Self>, mut listener: TcpListener) {
        loop {
            while !self.is_over() && !self.is_down() {
                let Ok((tcp, _)) = listener.accept() else { continue };
                let own = Arc::clone(self);
                thread::spawn(move || own.take(tcp));
            }
            drop(listener);
            listener = loop {
                if self.is_over() {
                    return;
                }
                self.shared.control.wait(ORDER_INTERVAL, |state| {
                    let down = state.down.get(self.number).copied().unwrap_or_default();
                    (!down || state.stop).then_some(())
                });
                if self.is_down() {
                    continue;
                }
                if let Ok(listener) = TcpListener::bind(self.address) {
                    break listener;
                }
            };
        }
    }

    fn is_over(&self) -> bool {
        self.shared.control.see(|state| state.stop)
    }

    fn is_down(&self) -> bool {
        self.shared.control.is_down(self.number)
    }

    /// Serves one connection to its end.
    fn take(&self, tcp: TcpStream) {
        if self.is_down() || self.is_over() {
            return;
        }
        let Ok(handle) = tcp.try_clone() else { return };
        // A connection that breaks before its first stanza loses none.
        let Ok(Some(session)) = self.acceptor.accept_offering(tcp, FEATURES) else { return };
        let ours = &self.acceptor.domain;
        let flow =
            self.shared.flows.iter().find(|flow| flow.from == session.from && flow.to == *ours);
        let turn = flow.and_then(|flow| self.shared.turns.get(flow.index));
        let _turn = turn.map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner));
        let mut incoming = Incoming {
            shared: &self.shared,
            server: self.number,
            flow,
            stream: session.stream,
            handle,
            managed: false,
            handled: 0,
            answered: 0,
            confirmed: 0,
            under_way: VecDeque::new(),
            listening: true,
        };
        let end = incoming.run();
        incoming.settle(end);
    }
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// All data that the engine wrote was read.
    Read,
    /// We reset it.
    Reset,
}

/// A stream that the engine opened.
struct Incoming<'a> {
    shared: &'a Shared,
    server: usize,
    /// The flow; `None` for the engine's own pings.
    flow: Option<&'a Flow>,
    stream: Stream,
    handle: TcpStream,
    /// Whether we acknowledge.
    managed: bool,
    /// Number of stanzas since management began, and the number in our last answer.
    handled: u32,
    answered: u32,
    /// Number of stanzas whose acknowledgement the engine has certainly read.
    confirmed: u32,
    /// The stanzas that are not confirmed.
    under_way: VecDeque<Option<(usize, u64)>>,
    /// Whether our direction is open.
    listening: bool,
}

impl Incoming<'_> {
    fn run(&mut self) -> End {
        let mut splitter = Splitter::default();
        loop {
            if let Some(end) = self.obey() {
                return end;
            }
            match self.stream.transport().is_readable_within(ORDER_INTERVAL) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(_) => return End::Read,
            }
            let read = match self.stream.transport().fill_buf() {
                Ok([]) | Err(_) => return End::Read,
                Ok(bytes) => bytes.to_vec(),
            };
            self.stream.transport().consume(read.len());
            let mut answer = String::new();
            let mut ended = false;
            let fed = splitter.feed(&read, |part| match part {
                Part::Element(element) => self.element(element, &mut answer),
                Part::End => ended = true,
            });
            if let Err(endless) = fed {
                self.shared.books.fault(endless.to_string());
                return End::Reset;
            }
            if ended && self.listening {
                answer.push_str("</stream:stream>");
            }
            // The engine may have exited meanwhile; the next read reports it.
            if !answer.is_empty() && (self.listening || ended) {
                let _ = self.stream.send(answer);
            }
            if ended {
                return End::Read;
            }
        }
    }

    /// Performs the pending order. Returns the end of the stream if the order caused it.
    fn obey(&mut self) -> Option<End> {
        let down = self
            .shared
            .control
            .see(|state| state.stop || state.down.get(self.server).copied().unwrap_or_default());
        if down {
            return Some(End::Reset);
        }
        let flow = self.flow?;
        if !self.listening {
            return None;
        }
        match self.shared.control.receive_order(flow.index)? {
            ReceiverOrder::Reset => return Some(End::Reset),
            ReceiverOrder::HalfClose => {
                self.stop_listening();
                let _ = self.handle.shutdown(Shutdown::Write);
            }
            ReceiverOrder::Close => self.farewell("</stream:stream>"),
            ReceiverOrder::Fail => self.farewell(
                "<stream:error><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
                 </stream:error></stream:stream>",
            ),
            ReceiverOrder::Pause(time) => {
                self.shared.control.wait(time, |state| state.stop.then_some(()));
            }
        }
        None
    }

    fn stop_listening(&mut self) {
        self.listening = false;
        self.shared.control.change(|state| state.closing += 1);
    }

    fn farewell(&mut self, last: &str) {
        self.stop_listening();
        let count = if self.managed {
            format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.handled)
        } else {
            String::new()
        };
        let _ = self.stream.send(count + last);
    }

    fn element(&mut self, element: &[u8], answer: &mut String) {
        if is_stanza(element) {
            self.stanza(element);
            return;
        }
        match name(element) {
            b"r" if self.managed => {
                // The engine sends another request only after it has read our last answer.
                self.confirm(self.answered);
                self.answered = self.handled;
                // Writing to a string cannot fail.
                let _ = write!(answer, "<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.handled);
            }
            b"enable" if self.flow.is_none_or(|flow| flow.receiver_acknowledges) => {
                self.managed = true;
                answer.push_str("<enabled xmlns='urn:xmpp:sm:3'/>");
            }
            b"enable" => answer.push_str(
                "<failed xmlns='urn:xmpp:sm:3'>\
                 <feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
            ),
            b"stream:error" => {
                let seen = condition(element).unwrap_or("an error without a condition");
                let text = String::from_utf8_lossy(element);
                // The engine closes a stream in this way when a changed policy denies its peer.
                let denied = seen == "policy-violation" && text.contains(POLICY_CHANGED);
                if seen != "system-shutdown" && !denied && self.listening {
                    self.shared.books.fault(format!("the engine ended a stream: {text}"));
                }
            }
            _ => {}
        }
    }

    fn stanza(&mut self, stanza: &[u8]) {
        self.handled = self.handled.wrapping_add(1);
        let outcome = identity(stanza).filter(|_| self.flow.is_some());
        if let (Some((index, number)), Some(flow)) = (outcome, self.flow) {
            let books = &self.shared.books;
            if index == flow.index {
                let arrived = books.with(index, |account| Some(account.arrived(number)));
                books.check(index, arrived.unwrap_or(Ok(())));
            } else if index == reverse(flow.index) {
                let seen = condition(stanza).unwrap_or("no condition");
                let back = books.with(index, |account| Some(account.came_back(number, seen)));
                books.check(index, back.unwrap_or(Ok(())));
            } else {
                let text = String::from_utf8_lossy(stanza);
                books.fault(format!("flow {}: a stanza of another pair: {text}", flow.index));
            }
        }
        self.under_way.push_back(outcome);
        if !self.managed && self.under_way.len() > MAX_UNDER_WAY {
            self.under_way.pop_front();
        }
    }

    fn confirm(&mut self, handled: u32) {
        let count = handled.wrapping_sub(self.confirmed);
        for _ in 0..count {
            self.under_way.pop_front();
        }
        self.confirmed = handled;
    }

    /// Records the end of the stream in the accounts.
    fn settle(self, end: End) {
        let books = &self.shared.books;
        if end == End::Reset {
            if let Some(flow) = self.flow.filter(|_| !self.managed) {
                books.with(flow.index, Account::was_reset);
                books.with(reverse(flow.index), Account::answers_were_reset);
            }
            // Sends RST instead of FIN. Without the option, unread bytes cause the same.
            let _ = SockRef::from(&self.handle).set_linger(Some(Duration::ZERO));
        }
        for (flow, number) in self.under_way.into_iter().flatten() {
            books.with(flow, |account| account.unconfirmed(number));
        }
        if !self.listening {
            self.shared.control.change(|state| state.closing = state.closing.saturating_sub(1));
        }
    }
}
