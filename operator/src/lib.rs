//! Controller that deploys each `XmppFederation` and verifies that federation works.
//!
//! ```text
//!   watch ─▶ reconcile::pass: validate ─▶ observe ─▶ build ─▶ apply ─▶ ladder ─▶ status
//!                             (pure)      (stores)   (pure)   (I/O)    (pure)    (I/O)
//!   in the background: DNS queries, probes, long polls of the engines
//! ```

pub mod admin;
pub mod args;
pub mod build;
pub mod causes;
pub mod check;
pub mod children;
pub mod client;
pub mod configure;
pub mod contest;
pub mod context;
pub mod controller;
pub mod definition;
pub mod discovery;
pub mod dns;
pub mod domain_policy;
pub mod evidence;
pub mod federation;
#[cfg(test)]
mod fixtures;
pub mod kept;
pub mod ladder;
pub mod lease;
pub mod logging;
pub mod memory;
pub mod metrics;
pub mod objects;
pub mod plugin;
pub mod probe_reports;
pub mod reconcile;
pub mod relist;
pub mod rivals;
pub mod run;
pub mod schema;
pub mod shortages;
pub mod territory;
pub mod turns;
pub mod watches;
pub mod waves;
