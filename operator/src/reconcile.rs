//! One reconcile of one federation: dereference, validate, build, apply, judge, report. The first and last steps do I/O; the
//! steps between are pure.

pub mod apply;
pub mod dereference;
pub mod error;
pub mod pass;
pub mod replace;
pub mod report;
pub mod schedule;
pub mod status;

#[cfg(test)]
mod tests;
