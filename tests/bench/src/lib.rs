//! The benchmark: the engine, and Prosody under the same load in the same run.
//!
//! Throughput, in stanzas per CPU-second: one scripted peer sends, over STARTTLS and SASL EXTERNAL, as fast as the
//! server under test accepts. On its other side all stanzas are counted, in order, over TLS again. [`measure`] is the
//! experiment, and [`report`] presents its results.
//!
//! Delay of the first stanza to a peer without earlier contact: a stanza enters at the inner side, and a scripted peer
//! ([`stranger`]) reports its arrival. [`first_stanza`] is the experiment, and [`delay`] presents its results.

pub mod delay;
pub mod error;
pub mod first_stanza;
mod inside;
pub mod load;
pub mod measure;
pub mod names;
pub mod null;
pub mod prosody;
pub mod relay;
pub mod report;
mod sink;
pub mod stranger;
pub mod subject;
mod tally;
