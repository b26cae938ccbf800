//! Runs all flows between two sides, each with the sides in both orders.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::flow::{ALL, Flow, Outcome};
use crate::side::Side;

/// Number of flows at the same time: they mostly wait.
const AT_A_TIME: usize = 4;
/// Environment variable that selects flows by a part of their names.
const SELECTED: &str = "XFED_FLOW";

/// The outcome of one flow.
#[derive(Debug)]
pub struct Row {
    /// The flow.
    pub flow: &'static str,
    /// Our side acts, theirs responds.
    pub out: Result<Outcome>,
    /// Their side acts, ours responds.
    pub back: Result<Outcome>,
    /// How long both took.
    pub took: Duration,
}

/// Runs the flows that the environment selects, or all. Returns them in the order of [`ALL`].
pub fn run(ours: &Side, theirs: &Side) -> Vec<Row> {
    let selected = std::env::var(SELECTED).unwrap_or_default();
    let flows = ALL.iter().copied().flatten().filter(|flow| flow.name.contains(&selected));
    let waiting: Mutex<VecDeque<(usize, &Flow)>> = Mutex::new(flows.enumerate().collect());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            let (mut ours, mut theirs) = (ours.clone(), theirs.clone());
            let (waiting, done) = (&waiting, &done);
            scope.spawn(move || {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((number, flow)) = next else { return };
                    let begun = Instant::now();
                    let out = (flow.run)(&mut ours, &mut theirs);
                    let back = (flow.run)(&mut theirs, &mut ours);
                    let row = Row { flow: flow.name, out, back, took: begun.elapsed() };
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((number, row));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, row)| row).collect()
}
