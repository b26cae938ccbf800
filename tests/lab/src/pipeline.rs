//! `make test`: its steps, their order, and the report.
//!
//! [`schedule`] decides, without a process or a clock; [`run`] starts and ends the programs; [`report`] reports the
//! results. No failure hides another failure. A step runs unless one of its prerequisites has failed, and steps that
//! were not reached are reported.

pub mod error;
pub mod history;
pub mod junit;
pub mod plan;
pub mod report;
pub mod run;
pub mod schedule;
pub mod status;
pub mod step;
