//! The admission rule of contact addresses.

use kube::core::Rule;

use crate::contact::{Contact, ContactAddressError, SCHEMES};

/// Rejects anything that is not a contact address, as the type does on reading.
pub(super) fn addresses() -> Rule {
    let uri = format!(r"^({})[A-Za-z0-9._~:/?#@!$&'()*+,;=%\\[\\]-]+$", SCHEMES.join("|"));
    let possible = Contact::default().roles().map(|(role, _)| {
        format!("(!has(self.{role}) || self.{role}.all(a, a.matches(\"{uri}\")))")
    });
    Rule::new(possible.join(" && ")).message(ContactAddressError::SENTENCE)
}
