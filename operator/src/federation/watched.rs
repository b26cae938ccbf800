//! A federation as the watch delivers it.

use crds::XmppFederation;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;

/// A federation as received from the watch. One that cannot be parsed does not block the others.
pub type Federation = DeserializeGuard<XmppFederation>;
/// Identifies a federation.
pub type FederationRef = ObjectRef<Federation>;

/// A federation as logs and traces name it: `namespace/name`.
pub fn path(federation: &Federation) -> String {
    let namespace = federation.namespace().unwrap_or_default();
    format!("{namespace}/{}", federation.name_any())
}
