//! The benchmark: stanzas per CPU-second of the engine, and of Prosody under the same load in the same run.
//!
//! One scripted peer sends, over STARTTLS and SASL EXTERNAL, as fast as the server under test takes; at its other side
//! everything is counted, in order, over TLS again. [`measure`] is the experiment, [`report`] what is said about it.

pub mod error;
pub mod load;
pub mod measure;
pub mod null;
pub mod prosody;
pub mod relay;
pub mod report;
pub mod sink;
pub mod subject;
pub mod tally;
pub mod usage;
