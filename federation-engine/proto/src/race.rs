//! Happy Eyeballs (RFC 8305) over all targets of a domain and both address families: when each is queried and connected
//! to. Pure; time is an argument.
//!
//! Targets stay in the order of the plan. Within one SRV priority, the next address, and when there is none the next
//! target, joins a Connection Attempt Delay after the last. A worse priority is not raced like that: the initiating
//! entity MUST try the lowest number that it can reach (RFC 2782, Priority), and unequal priorities are the
//! administrator's decision (XEP-0495 §3). In XEP-0495 §4.1, the next group starts only when all attempts of the better
//! group have ended; behind a firewall that drops packets, that is the connection timeout. Here it also starts when the
//! better group has been silent for the Maximum Connection Attempt Delay of RFC 8305. That leaves room for a SYN that
//! was lost once (RFC 6298 §2.1: sent again after 1 s). A host that does not answer by then is considered unreachable.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::guard::{Guard, check};
use crate::clock;
use crate::plan::{Answer, Host, Origin, Target};
use crate::reason::{ConnectReason, DnsReason, Records};

/// Resolution Delay (RFC 8305 §3, §8): how long an IPv4 address waits for the answer about IPv6.
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// Connection Attempt Delay (RFC 8305 §5, §8).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Maximum Connection Attempt Delay (RFC 8305 §8): how long a better priority may be silent.
const PRIORITY_DELAY: Duration = Duration::from_secs(2);
/// Maximum targets without an address that are queried: the records of an unknown zone cost the servers of other zones
/// a query for each family.
const MAX_UNANSWERED_TARGETS: usize = 4;
/// Maximum addresses tried for one domain: the records of an unknown zone must not cause a scan of a whole network.
pub const MAX_ATTEMPTS: usize = 16;

/// The next step.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RaceStep {
    /// Query the addresses of a target: [`Race::on_answer`] as often as there are answers, then [`Race::on_answered`].
    Ask(usize, Host),
    /// Connect: [`Race::on_connected`] or [`Race::on_failed`].
    Connect(usize, SocketAddr),
    /// Nothing before this time, unless an event happens before; or nothing until an event happens.
    Wait(Option<Instant>),
    /// Nothing is left and nothing is in progress.
    Lost,
}

/// Targets, their addresses as far as they are known, and the result of each.
#[derive(Debug)]
pub struct Race {
    lanes: Vec<Lane>,
    /// Addresses that were tried or refused by the guard, in the order of the attempts.
    attempts: Vec<Attempt>,
    /// Why the addresses of a target are unknown or must not be used; of the first such target.
    unanswered: Option<Unanswered>,
    /// Start of the last attempt; none when it has failed, because the next one then need not wait.
    last_attempt: Option<Instant>,
    /// Start of the last attempt or query, likewise.
    last_start: Option<Instant>,
}

/// Why a target has no usable address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unanswered {
    /// The resolver returned no answer. Its error text.
    Failed(String),
    /// Its answer must not be used.
    Refused(DnsReason),
}

#[derive(Debug)]
struct Lane {
    target: Target,
    /// Lower first.
    priority: u16,
    asked: Asked,
    /// DNS returned an address, usable or not.
    found: bool,
    /// When its addresses may be connected to; none while there are none.
    open_from: Option<Instant>,
    v6: VecDeque<SocketAddr>,
    v4: VecDeque<SocketAddr>,
    /// RFC 8305 §4: the families alternate, IPv6 first.
    v4_next: bool,
    /// When it was queried, or when the last attempt at one of its addresses began.
    touched: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    NotYet,
    Waiting,
    Done,
}

#[derive(Debug)]
struct Attempt {
    lane: usize,
    address: SocketAddr,
    state: AttemptState,
}

#[derive(Debug)]
enum AttemptState {
    Running,
    Connected,
    Failed(ConnectReason),
    /// Another one was faster.
    Overtaken,
}

impl Lane {
    fn is_empty(&self) -> bool {
        self.v6.is_empty() && self.v4.is_empty()
    }

    fn contains(&self, address: SocketAddr) -> bool {
        self.v6.contains(&address) || self.v4.contains(&address)
    }

    fn family(&mut self, address: SocketAddr) -> &mut VecDeque<SocketAddr> {
        if address.is_ipv6() { &mut self.v6 } else { &mut self.v4 }
    }

    fn take(&mut self) -> Option<SocketAddr> {
        let (first, second) =
            if self.v4_next { (&mut self.v4, &mut self.v6) } else { (&mut self.v6, &mut self.v4) };
        let address = first.pop_front().or_else(|| second.pop_front())?;
        self.v4_next = address.is_ipv6();
        Some(address)
    }
}

impl Race {
    /// A race over these targets, in the order of [`crate::plan`].
    pub fn new(targets: Vec<Target>) -> Self {
        let lane = |(index, target): (usize, Target)| Lane {
            priority: match target.origin {
                // An administrator configured the order of a route.
                Origin::Route => u16::try_from(index).unwrap_or(u16::MAX),
                Origin::Srv | Origin::Fallback | Origin::Redirect => target.priority,
            },
            target,
            asked: Asked::NotYet,
            found: false,
            open_from: None,
            v6: VecDeque::new(),
            v4: VecDeque::new(),
            v4_next: false,
            touched: None,
        };
        Self {
            lanes: targets.into_iter().enumerate().map(lane).collect(),
            attempts: Vec::new(),
            unanswered: None,
            last_attempt: None,
            last_start: None,
        }
    }

    /// The target that [`RaceStep`] names.
    pub fn target(&self, index: usize) -> Option<&Target> {
        self.lanes.get(index).map(|lane| &lane.target)
    }

    /// Every target.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.lanes.iter().map(|lane| &lane.target)
    }

    /// Why there was no address to connect to.
    pub fn unanswered(&self) -> Option<&Unanswered> {
        self.unanswered.as_ref()
    }

    /// Addresses that failed or were refused, with the reason, in the order of the attempts.
    pub fn failed(&self) -> Vec<(SocketAddr, ConnectReason)> {
        let failed = |attempt: &Attempt| match &attempt.state {
            AttemptState::Failed(reason) => Some((attempt.address, reason.clone())),
            _ => None,
        };
        self.attempts.iter().filter_map(failed).collect()
    }

    /// Whether nothing is left to query or to connect to.
    pub fn is_exhausted(&self) -> bool {
        let asks = self.may_ask();
        let spent = |lane: &Lane| match lane.asked {
            Asked::NotYet => !asks,
            Asked::Waiting => false,
            Asked::Done => lane.is_empty(),
        };
        self.attempts.len() >= MAX_ATTEMPTS || self.lanes.iter().all(spent)
    }

    /// The step at this time.
    pub fn step(&mut self, now: Instant) -> RaceStep {
        if self.attempts.len() >= MAX_ATTEMPTS {
            return if self.is_running() { RaceStep::Wait(None) } else { RaceStep::Lost };
        }
        let mut wake = None;
        let next = self.lanes.iter().position(|lane| is_open(lane, now));
        if let Some(index) = next {
            match self.may_dial_from(index).filter(|at| *at > now) {
                Some(at) => wake = Some(at),
                None => return self.dial(index, now),
            }
        } else if let Some(index) = self.next_question() {
            let at = self
                .last_start
                .filter(|_| self.is_busy())
                .map(|at| clock::after(at, ATTEMPT_DELAY));
            match at.filter(|at| *at > now) {
                Some(at) => wake = Some(at),
                None => return self.ask(index, now),
            }
        }
        let held = |lane: &Lane| lane.open_from.filter(|at| !lane.is_empty() && *at > now);
        wake = wake.into_iter().chain(self.lanes.iter().filter_map(held)).min();
        if wake.is_none() && !self.is_busy() { RaceStep::Lost } else { RaceStep::Wait(wake) }
    }

    /// One answer about the addresses of a target.
    pub fn on_answer(&mut self, index: usize, answer: Answer<IpAddr>, guard: &Guard, now: Instant) {
        let addresses = match answer {
            Answer::Records(addresses) => addresses,
            Answer::Absent => return,
            Answer::Failed(detail) => {
                self.unanswered.get_or_insert(Unanswered::Failed(detail));
                return;
            }
            Answer::Bogus => {
                let Some(target) = self.target(index) else { return };
                let (name, records) = (target.host.to_string(), Records::Address);
                return self.on_refused(DnsReason::Bogus { name, records });
            }
        };
        let starts: Vec<_> = self.lanes.iter().map(|lane| lane.target.start).collect();
        let Some(lane) = self.lanes.get_mut(index) else { return };
        lane.found |= !addresses.is_empty();
        for ip in addresses.into_iter().take(MAX_ATTEMPTS) {
            let address = SocketAddr::new(ip, lane.target.port.get());
            // One record may be wrong about how TLS starts at an address where another one is right (XEP-0368 §3); the
            // result of TCP applies to both.
            let is_known = |attempt: &Attempt| {
                attempt.address == address
                    && match attempt.state {
                        AttemptState::Failed(_) => true,
                        AttemptState::Overtaken => false,
                        AttemptState::Running | AttemptState::Connected => {
                            starts.get(attempt.lane) == Some(&lane.target.start)
                        }
                    }
            };
            if self.attempts.iter().any(is_known) || lane.contains(address) {
                continue;
            }
            let verdict = match lane.target.origin {
                Origin::Route => Ok(()),
                Origin::Srv | Origin::Fallback | Origin::Redirect => check(address, guard),
            };
            match verdict {
                Ok(()) => {
                    lane.family(address).push_back(address);
                    // RFC 8305 §3: IPv6 at once; IPv4 waits a moment for the other answer.
                    let delay = if ip.is_ipv6() { Duration::ZERO } else { RESOLUTION_DELAY };
                    let at = clock::after(now, delay);
                    lane.open_from = Some(lane.open_from.map_or(at, |known| known.min(at)));
                }
                Err(reason) if self.attempts.len() < MAX_ATTEMPTS => {
                    let state = AttemptState::Failed(reason);
                    self.attempts.push(Attempt { lane: index, address, state });
                }
                Err(_) => {}
            }
        }
    }

    /// A target must not be connected to: DNSSEC validation of the records about its server fails (RFC 7673 §3.2,
    /// §3.4).
    pub fn on_refused(&mut self, reason: DnsReason) {
        self.unanswered.get_or_insert(Unanswered::Refused(reason));
    }

    /// All answers about the addresses of a target have arrived.
    pub fn on_answered(&mut self, index: usize, now: Instant) {
        let Some(lane) = self.lanes.get_mut(index) else { return };
        lane.asked = Asked::Done;
        lane.open_from = Some(lane.open_from.map_or(now, |known| known.min(now)));
        if lane.is_empty() && !self.is_under_way(index) {
            // The next target need not wait.
            self.last_start = None;
        }
    }

    /// An attempt failed: the next one starts at once.
    pub fn on_failed(&mut self, index: usize, address: SocketAddr, reason: ConnectReason) {
        self.settle(index, address, AttemptState::Failed(reason));
        self.last_attempt = None;
        // As long as the target may have more addresses, the next target is not queried earlier.
        let lane = self.lanes.get(index);
        if lane.is_some_and(|lane| lane.asked == Asked::Done) {
            self.last_start = None;
        }
    }

    /// An attempt won. The others are cancelled. If the winner turns out to be unusable, they get another chance, and
    /// so do all targets that were not tried.
    pub fn on_connected(&mut self, index: usize, address: SocketAddr) {
        self.settle(index, address, AttemptState::Connected);
        for attempt in self.attempts.iter_mut().rev() {
            if matches!(attempt.state, AttemptState::Running) {
                attempt.state = AttemptState::Overtaken;
                if let Some(lane) = self.lanes.get_mut(attempt.lane) {
                    lane.family(attempt.address).push_front(attempt.address);
                    lane.v4_next = attempt.address.is_ipv4();
                }
            }
        }
        for lane in &mut self.lanes {
            lane.touched = None;
            if lane.asked == Asked::Waiting {
                lane.asked = Asked::NotYet;
            }
        }
        (self.last_attempt, self.last_start) = (None, None);
    }

    /// An attempt ended.
    fn settle(&mut self, index: usize, address: SocketAddr, state: AttemptState) {
        let running = |attempt: &&mut Attempt| {
            (attempt.lane, attempt.address) == (index, address)
                && matches!(attempt.state, AttemptState::Running)
        };
        if let Some(attempt) = self.attempts.iter_mut().find(running) {
            attempt.state = state;
        }
    }

    /// Whether DNS may be queried for one more target. An administrator configured the targets of a route.
    fn may_ask(&self) -> bool {
        let without = |lane: &&Lane| {
            lane.asked != Asked::NotYet && !lane.found && lane.target.origin != Origin::Route
        };
        self.lanes.iter().filter(without).count() < MAX_UNANSWERED_TARGETS
    }

    /// The target that is queried next.
    fn next_question(&self) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.asked == Asked::NotYet).filter(|_| self.may_ask())
    }

    /// Whether TCP has failed there for another target.
    fn is_unreachable(&self, address: SocketAddr) -> bool {
        let failed = |attempt: &Attempt| {
            attempt.address == address && matches!(attempt.state, AttemptState::Failed(_))
        };
        self.attempts.iter().any(failed)
    }

    fn is_running(&self) -> bool {
        self.attempts.iter().any(|attempt| matches!(attempt.state, AttemptState::Running))
    }

    /// Whether a connection or an answer is awaited.
    fn is_busy(&self) -> bool {
        (0..self.lanes.len()).any(|index| self.is_under_way(index))
    }

    fn is_under_way(&self, index: usize) -> bool {
        let running = |attempt: &Attempt| {
            attempt.lane == index && matches!(attempt.state, AttemptState::Running)
        };
        self.attempts.iter().any(running)
            || self.lanes.get(index).is_some_and(|lane| lane.asked == Asked::Waiting)
    }

    /// When the next address of a lane may be connected to; none: at once.
    fn may_dial_from(&self, index: usize) -> Option<Instant> {
        let priority = self.lanes.get(index)?.priority;
        let better = self
            .lanes
            .iter()
            .enumerate()
            .filter(|(index, lane)| lane.priority < priority && self.is_under_way(*index))
            .filter_map(|(_, lane)| Some(clock::after(lane.touched?, PRIORITY_DELAY)));
        let last = self.last_attempt.filter(|_| self.is_running());
        better.chain(last.map(|at| clock::after(at, ATTEMPT_DELAY))).max()
    }

    fn dial(&mut self, index: usize, now: Instant) -> RaceStep {
        let Some(lane) = self.lanes.get_mut(index) else { return RaceStep::Lost };
        let Some(address) = lane.take() else { return RaceStep::Lost };
        if self.is_unreachable(address) {
            return self.step(now);
        }
        let Some(lane) = self.lanes.get_mut(index) else { return RaceStep::Lost };
        lane.touched = Some(now);
        self.attempts.push(Attempt { lane: index, address, state: AttemptState::Running });
        (self.last_attempt, self.last_start) = (Some(now), Some(now));
        RaceStep::Connect(index, address)
    }

    fn ask(&mut self, index: usize, now: Instant) -> RaceStep {
        let Some(lane) = self.lanes.get_mut(index) else { return RaceStep::Lost };
        lane.asked = Asked::Waiting;
        lane.touched = Some(now);
        self.last_start = Some(now);
        RaceStep::Ask(index, lane.target.host.clone())
    }
}

fn is_open(lane: &Lane, now: Instant) -> bool {
    !lane.is_empty() && lane.open_from.is_some_and(|at| at <= now)
}
