//! The actions of people in the lab, step by step; each step is verified.

pub mod conversation;
pub mod federated;
pub mod traffic;
