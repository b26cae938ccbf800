//! What people do in the lab, step by step, each step seen to happen.

pub mod conversation;
pub mod federated;
