//! The benchmark: the engine, and Prosody under the same load in the same run.
//!
//! Throughput, in stanzas per CPU-second: one scripted peer sends, over STARTTLS and SASL EXTERNAL, as fast as the server
//! under test takes; at its other side everything is counted, in order, over TLS again. [`measure`] is the experiment,
//! [`report`] what is said about it.
//!
//! Delay of the first stanza to a peer never met before: a stanza enters at the inner side, a scripted peer
//! ([`stranger`]) tells when it has it. [`first_stanza`] is the experiment, [`delay`] what is said about it.

pub mod delay;
pub mod error;
pub mod first_stanza;
mod inside;
pub mod load;
pub mod measure;
pub mod null;
pub mod prosody;
pub mod relay;
pub mod report;
mod sink;
pub mod stranger;
pub mod subject;
mod tally;
