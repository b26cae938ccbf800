//! Helpers that the suites share: claimed ports ([`claim`]), open files ([`descriptors`]), programs of this tree
//! ([`program`]) and the engine as a process ([`engine`]). Also the engine alone between scripted servers on loopback
//! ([`loopback`]), and real servers ([`launch`]).

pub mod claim;
pub mod descriptors;
pub mod engine;
pub mod environment;
pub mod evidence;
pub mod launch;
pub mod log;
pub mod loopback;
pub mod metrics;
pub mod program;
pub mod usage;
