//! Types of the `XmppFederation` custom resource.
//!
//! The modules below the first line of this list hold the *vocabulary*: peer settings, policy, limits. The engine's
//! configuration file speaks the same words, so these types know neither Kubernetes nor I/O and compile without the
//! `kube` feature.

pub mod backend;
pub mod domain;
pub mod effective;
pub mod egress;
pub mod limits;
pub mod pattern;
pub mod peer;
pub mod policy;
pub mod target;
mod text;
