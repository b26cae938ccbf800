//! `make test`: which steps it has, in which order they may run, what is reported of them.
//!
//! [`schedule`] decides, without a process or a clock; [`run`] starts and ends the programs; [`report`] says what came of it.
//! No failure hides another: a step runs unless something that it needs has failed, and what was not reached is reported.

pub mod error;
pub mod history;
pub mod junit;
pub mod plan;
pub mod report;
pub mod run;
pub mod schedule;
pub mod status;
pub mod step;
