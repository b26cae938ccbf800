//! Conservation by identity: numbered stanzas pass through a real engine. Its peers, backend, configuration and process
//! are disturbed at random. Each stanza is delivered, comes back as one error, or is refused for a named reason. Order
//! per pair is kept. A stanza arrives twice only if a resend was due.
//!
//! [`ledger`] is the accounting, pure. [`sender`] and [`receiver`] are the two ends of a flow, [`world`] the engine
//! between them, [`plan`] the disturbances, [`run`] the experiment. The program is `soak`.

mod books;
mod control;
pub mod error;
mod flow;
pub mod ledger;
mod plan;
mod random;
mod receiver;
pub mod report;
pub mod run;
mod sender;
mod splitter;
mod stanza;
mod world;
