//! The input for building a federation's children: the validated resource, the names of the children, and the keys and
//! certificates that the operator issues or serves. Pure.

pub mod backend_ca;
pub mod material;
pub mod names;
pub mod reach;
pub mod serving;
pub mod stored;
pub mod validated;
pub mod watched;
