//! The lab: a real one-node Kubernetes cluster with a real internet around it, on one machine, in namespaces; and the
//! scenarios that run on it. The command is `lab`; the map is in [`network`].
//!
//! In addition, [`parts`] builds the parts that are kept between runs, and [`pipeline`] is `make test`.

pub mod addons;
pub mod apiserver;
mod audit;
pub mod backend;
pub mod behind;
pub mod bot;
pub mod capacity;
pub mod catalogue;
pub mod cert_manager;
mod cgroups;
pub mod client;
pub mod cluster;
pub mod collector;
pub mod command;
pub mod conditions;
pub mod custom_metrics;
pub mod debian;
pub mod dns_stage;
pub mod edge;
pub mod error;
pub mod external_dns;
pub mod family;
pub mod federation;
mod go;
pub mod host;
pub mod installed;
pub mod kubernetes;
pub mod manifest;
pub mod monitoring;
pub mod network;
pub mod node;
pub mod packages;
pub mod partner;
pub mod parts;
pub mod passes;
pub mod paths;
mod pending;
pub mod person;
pub mod pipeline;
pub mod pki;
pub mod policy;
mod process;
pub mod progress;
pub mod public_dns;
pub mod rollout;
mod rootfs;
pub mod scenario;
pub mod wait;
pub mod webhook;
