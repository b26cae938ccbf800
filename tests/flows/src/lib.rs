//! The flows of people and rooms through the engine: real servers and real clients on both sides.
//!
//! A [`scene`] has two [sides](side): our server behind the real engine program, and a server outside. People log in on
//! the client port of either ([`client`]), with an unmodified library. A [`flow`] is a list of stanzas that they exchange,
//! asserted one by one; it runs twice, with the sides exchanged. A flow that a server cannot do is found out from its own
//! service discovery and reported with the feature that is missing.

mod accounts;
pub mod client;
pub mod cluster;
pub mod contacts;
mod domain;
mod driver;
pub mod error;
pub mod features;
pub mod files;
pub mod flow;
mod hall;
pub mod messages;
pub mod people;
pub mod presence;
pub mod profiles;
pub mod pubsub;
mod room;
pub mod room_crowd;
pub mod room_rights;
pub mod rooms;
pub mod run;
pub mod scene;
mod server;
pub mod side;
mod stage;
pub mod table;
