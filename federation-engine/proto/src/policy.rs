//! Which remote domains may exchange stanzas with the local ones.

pub mod decide;
