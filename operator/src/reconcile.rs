//! One reconcile of one federation: validate, observe, build, apply, judge, report. What fails on the way is evidence, so a
//! status is always written.

pub mod apply;
pub mod away;
pub mod contents;
pub mod creation;
pub mod dereference;
pub mod error;
pub mod issued;
pub mod observe;
pub mod pass;
mod patch;
mod plan;
pub mod problem;
pub mod replace;
pub mod replacement;
pub mod report;
pub mod schedule;
mod shortage;
pub mod status;

#[cfg(test)]
mod tests;
