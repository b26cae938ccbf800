//! The lab: a real one-node Kubernetes cluster with a real internet around it, on one machine, in namespaces;
//! and the scenarios that run on it. The command is `lab`; the map is in [`network`].
//!
//! Beside it, without root or a cluster: scripted servers ([`peer`]), the engine as a process ([`engine`]), its
//! benchmark ([`bench`]), numbered stanzas through it ([`soak`]), attacks on it ([`attack`]), and real servers ([`launch`]) as its peers ([`interop`]).

pub mod addons;
pub mod apiserver;
pub mod attack;
pub mod audit;
pub mod bench;
pub mod cgroups;
pub mod claim;
pub mod client;
pub mod cluster;
pub mod command;
pub mod conditions;
pub mod conformance;
pub mod debian;
pub mod engine;
pub mod environment;
pub mod error;
pub mod expiring;
pub mod federation;
pub mod go;
pub mod host;
pub mod image;
pub mod interop;
pub mod kubernetes;
pub mod launch;
pub mod loopback;
pub mod manifest;
pub mod metrics;
pub mod network;
pub mod node;
pub mod packages;
pub mod partner;
pub mod partners;
pub mod parts;
pub mod paths;
pub mod peer;
pub mod person;
pub mod pipeline;
pub mod pki;
pub mod process;
pub mod program;
pub mod progress;
pub mod public_dns;
pub mod rootfs;
pub mod scenario;
pub mod soak;
pub mod wait;
