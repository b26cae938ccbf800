//! What is known of a federation before anything is built: the validated resource, the names of its children, and the
//! keys and certificates that the operator makes for it. Pure.

pub mod material;
pub mod names;
pub mod validated;
