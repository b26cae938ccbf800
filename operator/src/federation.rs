//! The input for building a federation's children: the validated resource, the names of the children, and the keys and
//! certificates that the operator issues. Pure.

pub mod material;
pub mod names;
pub mod validated;
pub mod watched;
