//! The experiment: rounds of stanzas with disturbances. Each is followed by a quiet moment at which the accounts must
//! balance.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use harness::usage;

use super::control::{ReceiverOrder, SenderOrder, State, set};
use super::error::{Result, SoakError};
use super::ledger::Loss;
use super::plan::{self, Disturbance};
use super::random::Random;
use super::report::Report;
use super::stanza::Kind;
use super::world::{Metered, World};

/// Maximum time without progress of the stanzas, and maximum time to reach a quiet moment.
const MAX_STANDSTILL: Duration = Duration::from_mins(3);
/// Maximum time to wait for a stanza that shows that a queue is empty, before another one is sent.
const MARKER_INTERVAL: Duration = Duration::from_secs(3);
/// Interval of the checks of state without notifications.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Extent of the experiment.
#[derive(Debug, Clone)]
pub struct Options {
    /// The engine.
    pub engine: PathBuf,
    /// Approximate total number of stanzas.
    pub stanzas: u64,
    /// Number of stanzas in one round.
    pub round: u64,
    /// Number of disturbances in one round.
    pub disturbances: u64,
    /// Number of rounds between restarts of the engine; 0: never.
    pub restart_every: u64,
    /// Number of peers; each has a flow in each direction.
    pub peers: usize,
    /// Maximum number of stanzas in a queue of the engine.
    pub queue_stanzas: u64,
    /// The seed of the disturbances.
    pub seed: u64,
    /// Losses that are forbidden for this engine, in addition to unexplained ones.
    pub forbidden: Vec<Loss>,
    /// Print a line for each round.
    pub verbose: bool,
}

/// Runs the experiment to its end, or to the first round with a fault.
pub fn run(options: &Options) -> Result<Report> {
    let begun = Instant::now();
    let mut world = World::start(&options.engine, options.peers, options.queue_stanzas)?;
    let mut random = Random::new(options.seed);
    let mut report = Report { seed: options.seed, ..Report::default() };
    let (mut round, mut no_room) = (0, 0);
    while report.totals.sent < options.stanzas && report.faults.count == 0 {
        round += 1;
        let restart = options.restart_every > 0 && round % options.restart_every == 0;
        let disturbances =
            plan::round(&mut random, options.peers, options.round, options.disturbances, restart);
        let mut experiment = Experiment { world: &mut world, applied: &mut report.disturbances };
        experiment.round(options, &disturbances)?;
        let metered = experiment.quiet()?;
        if !metered.balance() {
            world
                .shared
                .books
                .fault(format!("the engine's own counters do not balance: {metered:?}"));
        }
        // A new engine counts from 0.
        let new = if restart { metered.no_room } else { metered.no_room.saturating_sub(no_room) };
        no_room = metered.no_room;
        world.shared.books.close(new);
        report.rounds = round;
        report.totals = world.shared.books.totals();
        if let Some(pid) = world.pid() {
            let resident = usage::resident(pid).unwrap_or_default();
            report.resident_kib = report.resident_kib.max(resident);
        }
        for loss in &options.forbidden {
            let lost = report.totals.lost(*loss);
            if lost > 0 {
                world.shared.books.fault(format!("{lost} stanzas: {loss}"));
            }
        }
        if !report.totals.balance() {
            world.shared.books.fault("the sums over all flows do not balance".to_owned());
        }
        report.faults = world.shared.books.faults();
        report.took = begun.elapsed();
        if options.verbose {
            eprintln!("{}", report.line());
        }
    }
    if report.faults.count > 0 {
        report.log = world.log();
    }
    world.stop();
    Ok(report)
}

struct Experiment<'a> {
    world: &'a mut World,
    applied: &'a mut BTreeMap<&'static str, u64>,
}

impl Experiment<'_> {
    /// Lets the senders send `options.round` stanzas in total, and disturbs them meanwhile.
    fn round(&mut self, options: &Options, disturbances: &[(u64, Disturbance)]) -> Result<()> {
        let flows = self.world.shared.flows.iter().filter(|flow| !flow.is_silent).count() as u64;
        let before = self.sent();
        self.allow(options.round.div_ceil(flows.max(1)));
        for (at, disturbance) in disturbances {
            // Markers of the last quiet moment do not belong to this round.
            self.progress("the next disturbance", |sent, rested| rested || sent >= before + at)?;
            self.disturb(*disturbance, options)?;
        }
        self.progress("the end of the round", |_, rested| rested)
    }

    fn sent(&self) -> u64 {
        self.world.shared.control.see(|state| state.sent.iter().sum())
    }

    /// Raises the quota of every flow.
    fn allow(&self, stanzas: u64) {
        let flows = self.world.shared.flows.iter();
        self.world.shared.control.change(|state| {
            for ((quota, rested), flow) in state.quota.iter_mut().zip(&mut state.rested).zip(flows)
            {
                if !flow.is_silent {
                    *quota += stanzas;
                    *rested = false;
                }
            }
        });
    }

    /// Waits for a number of stanzas, or for all senders, as long as there is progress.
    fn progress(
        &self,
        awaited: &'static str,
        mut done: impl FnMut(u64, bool) -> bool,
    ) -> Result<()> {
        let control = &self.world.shared.control;
        let mut last = (self.sent(), Instant::now());
        loop {
            let seen = control.wait(LOOK_INTERVAL * 20, |state| {
                let rested = state.rested.iter().all(|rested| *rested);
                done(state.sent.iter().sum(), rested).then_some(())
            });
            if seen.is_some() {
                return Ok(());
            }
            let sent = self.sent();
            if sent > last.0 {
                last = (sent, Instant::now());
            } else if last.1.elapsed() > MAX_STANDSTILL {
                return Err(self.stuck(awaited));
            }
        }
    }

    fn disturb(&mut self, disturbance: Disturbance, options: &Options) -> Result<()> {
        *self.applied.entry(disturbance.name()).or_default() += 1;
        match disturbance {
            Disturbance::ResetReceiving(flow) => self.receiver(flow, ReceiverOrder::Reset),
            Disturbance::HalfClose(flow) => self.receiver(flow, ReceiverOrder::HalfClose),
            Disturbance::CloseReceiving(flow) => self.receiver(flow, ReceiverOrder::Close),
            Disturbance::FailReceiving(flow) => self.receiver(flow, ReceiverOrder::Fail),
            Disturbance::Pause(flow, time) => self.receiver(flow, ReceiverOrder::Pause(time)),
            Disturbance::ResetSending(flow) => self.sender(flow, SenderOrder::Reset),
            Disturbance::CloseSending(flow) => self.sender(flow, SenderOrder::Close),
            Disturbance::PeerDown(peer, time) => {
                self.world.set_down(Some(peer), true);
                thread::sleep(time);
                self.world.set_down(Some(peer), false);
                // A server that is up again opens its own stream as well.
                self.sender(peer * 2 + 1, SenderOrder::Reset);
            }
            Disturbance::BackendDown(time) => {
                self.world.set_down(None, true);
                for peer in 0..options.peers {
                    self.sender(peer * 2, SenderOrder::Reset);
                }
                thread::sleep(time);
                self.world.set_down(None, false);
            }
            Disturbance::RenewCertificate => self.world.renew_certificate()?,
            Disturbance::ChangePolicy => self.world.change_policy()?,
            Disturbance::Restart => self.world.restart()?,
        }
        Ok(())
    }

    fn receiver(&self, flow: usize, order: ReceiverOrder) {
        self.world.shared.control.change(|state| set(&mut state.receive, flow, Some(order)));
    }

    fn sender(&self, flow: usize, order: SenderOrder) {
        self.world.shared.control.change(|state| {
            set(&mut state.send, flow, Some(order));
            set(&mut state.rested, flow, false);
        });
    }

    /// Waits until every queue is empty, and returns the engine's counters at that time. Order per pair shows it. If a
    /// stanza arrives, all earlier ones have left the queue. If one of the reverse pair then arrives, so has every
    /// error.
    fn quiet(&mut self) -> Result<Metered> {
        self.world.shared.control.change(|state| state.receive.fill(None));
        self.world.allow_all()?;
        // The engine may resend stanzas of a stream that is being closed.
        let control = &self.world.shared.control;
        let closed = |state: &mut State| (state.closing == 0).then_some(());
        control.wait(MAX_STANDSTILL, closed).ok_or_else(|| self.stuck("the end of streams"))?;
        for _ in 0..2 {
            self.markers()?;
        }
        let begun = Instant::now();
        loop {
            let open: usize = self.world.shared.books.open().iter().sum();
            let metered = self.world.metered()?;
            // A stanza that is still missing found no room, or becomes a fault. Accounts that do not balance become a
            // fault as well, but not at once: counters are read one by one, and the engine may ping the backend
            // meanwhile.
            let settled = open == 0 && metered.balance();
            if metered.queued == 0 && (settled || begun.elapsed() > LOOK_INTERVAL * 20) {
                return Ok(metered);
            }
            if begun.elapsed() > MAX_STANDSTILL {
                return Err(self.stuck("an empty queue"));
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Sends a stanza on each flow until one has arrived on each.
    fn markers(&mut self) -> Result<()> {
        let shared = &self.world.shared;
        let sending = shared.flows.iter().filter(|flow| !flow.is_silent);
        let mut waiting: Vec<usize> = sending.map(|flow| flow.index).collect();
        let begun = Instant::now();
        while !waiting.is_empty() {
            let markers: Vec<(usize, u64)> =
                waiting.iter().map(|flow| (*flow, self.marker(*flow))).collect();
            let sent = Instant::now();
            while !waiting.is_empty() && sent.elapsed() < MARKER_INTERVAL {
                waiting.retain(|flow| {
                    let marker =
                        markers.iter().find(|(of, _)| of == flow).map(|(_, marker)| *marker);
                    let marker = marker.unwrap_or_default();
                    !shared.books.with(*flow, |account| account.has_passed(marker))
                });
                thread::sleep(LOOK_INTERVAL);
            }
            if begun.elapsed() > MAX_STANDSTILL {
                return Err(self.stuck("stanzas that show that the queues are empty"));
            }
        }
        self.progress("the senders", |_, rested| rested)
    }

    /// Raises the quota of a flow up to its next message, and returns the number of that message.
    fn marker(&self, flow: usize) -> u64 {
        self.world.shared.control.change(|state| {
            let Some(quota) = state.quota.get_mut(flow) else { return 0 };
            let marker =
                (*quota..*quota + 1_000).find(|number| Kind::of(flow, *number) == Kind::Message);
            let marker = marker.unwrap_or(*quota);
            *quota = marker + 1;
            set(&mut state.rested, flow, false);
            marker
        })
    }

    fn stuck(&self, awaited: &'static str) -> SoakError {
        let shared = &self.world.shared;
        let state = shared.control.see(|state| format!("{state:?}"));
        let seen = format!(
            "without an outcome: {:?}\nof the engine: {:?}\n{state}\nfaults: {:#?}\n{}",
            shared.books.open(),
            self.world.metered(),
            shared.books.faults(),
            self.world.log()
        );
        SoakError::Stuck { awaited, seen }
    }
}
