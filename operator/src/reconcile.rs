//! One pass over one federation: dereference, validate, build, apply, judge, report. I/O stands at both ends; what lies
//! between is pure.

pub mod apply;
pub mod dereference;
pub mod error;
pub mod pass;
pub mod report;
pub mod schedule;
pub mod status;

#[cfg(test)]
mod tests;
