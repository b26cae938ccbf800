//! The benchmark: the engine, and Prosody under the same load in the same run.
//!
//! Throughput, in stanzas per CPU-second: one scripted peer sends, over STARTTLS and SASL EXTERNAL, as fast as the
//! server under test accepts. On its other side all stanzas are counted, in order, over TLS again. [`measure`] is the
//! experiment, and [`report`] presents its results.
//!
//! Delay of the first stanza to a peer without earlier contact: a stanza enters at the inner side, and a scripted peer
//! ([`stranger`]) reports its arrival. [`first_stanza`] is the experiment, and [`delay`] presents its results.
//!
//! Time that the engine adds to a stanza: [`latency`] is the experiment, and [`added`] presents its results.
//!
//! Presences of a room through two engines: [`room`] is the experiment.

pub mod added;
pub mod delay;
pub mod error;
pub mod first_stanza;
mod inside;
pub mod latency;
pub mod load;
pub mod measure;
pub mod names;
pub mod null;
mod presences;
pub mod prosody;
pub mod relay;
pub mod report;
pub mod room;
mod room_reader;
mod room_world;
mod sender;
mod sink;
pub mod stranger;
pub mod subject;
mod tally;
