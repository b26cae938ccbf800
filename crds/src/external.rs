//! Kinds of other projects: only the fields that the operator writes or reads.

pub mod certificate;
pub mod dns_endpoint;
pub mod service_monitor;
