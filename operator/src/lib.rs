//! Controller that deploys each `XmppFederation` and verifies that federation works.
//!
//! ```text
//!   watch ─▶ reconcile::pass: dereference ─▶ validate ─▶ build ─▶ apply ─▶ evidence ─▶ ladder ─▶ status
//!                             (I/O)          (pure)      (pure)   (I/O)    (I/O)       (pure)    (I/O)
//! ```

pub mod admin;
pub mod args;
pub mod build;
pub mod causes;
pub mod children;
pub mod client;
pub mod configure;
pub mod context;
pub mod controller;
pub mod discovery;
pub mod dns;
pub mod evidence;
pub mod federation;
#[cfg(test)]
mod fixtures;
pub mod ladder;
pub mod lease;
pub mod memory;
pub mod metrics;
pub mod reconcile;
pub mod run;
pub mod watches;
