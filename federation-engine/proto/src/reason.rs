//! Why a request was refused, a stream failed or was closed, or a stanza was bounced. Closed enums: the `Display` text
//! completes a sentence, and `word()` is the same CamelCase word in the log, the metric, the evidence and the status of
//! the resource.

mod certificate;
mod connect;
mod dns;
mod failure;
mod refusal;
mod remote_text;
mod setting;
mod stanza_error;
mod step;

pub use certificate::CertificateReason;
pub use connect::ConnectReason;
pub use dns::{DnsReason, Records};
pub use failure::Failure;
pub use refusal::Refusal;
pub use setting::{AgainstExternal, NoDialback, NoExternal, NoMethod, SetBy, Setting};
pub use stanza_error::StanzaError;
pub use step::Step;
