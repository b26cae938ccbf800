//! A prober: an engine elsewhere that connects to a federation from outside, because a connection from a pod to the load
//! balancer's address proves nothing. The operator requests a probe by HTTPS. Request and answer are signed with a token
//! that both have, so neither the certificate of the prober nor the network between them must be trusted.

pub mod message;
pub mod serve;
pub mod signature;
pub mod visit;
