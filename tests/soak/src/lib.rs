//! Conservation by identity: numbered stanzas through a real engine whose peers, backend, configuration and process are
//! disturbed at random. Each stanza is delivered, comes back as one error, or is refused under a name; order per pair is
//! kept; a stanza arrives twice only where a resend was due.
//!
//! [`ledger`] is the bookkeeping, pure. [`sender`] and [`receiver`] are the two ends of a flow, [`world`] the engine
//! between them, [`plan`] the disturbances, [`run`] the experiment. The program is `soak`.

pub mod books;
pub mod control;
pub mod error;
pub mod flow;
pub mod ledger;
pub mod plan;
pub mod random;
pub mod receiver;
pub mod report;
pub mod run;
pub mod sender;
pub mod splitter;
pub mod stanza;
pub mod world;
