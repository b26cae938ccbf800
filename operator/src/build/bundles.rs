//! CA bundles that the resource refers to: each object is mounted once, in its own directory.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crds::federation::XmppFederationSpec;
use crds::federation::backend::Attachment;
use crds::federation::reference::BundleRef;
use crds::peer::PeerSettings;
use k8s_openapi::api::core::v1::{ConfigMapVolumeSource, SecretVolumeSource, Volume, VolumeMount};

use super::paths;

/// A ConfigMap or Secret with CA certificates.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum BundleObject {
    /// Name of a ConfigMap.
    ConfigMap(String),
    /// Name of a Secret.
    Secret(String),
}

impl From<&BundleRef> for BundleObject {
    fn from(bundle: &BundleRef) -> Self {
        match bundle {
            BundleRef::ConfigMap(key) => Self::ConfigMap(key.name.clone()),
            BundleRef::Secret(key) => Self::Secret(key.name.clone()),
        }
    }
}

/// The objects in the order of their directories. They are sorted by kind and name, so that an edit of the resource that
/// does not change the set does not restart the pods.
#[derive(Clone, Debug, Default)]
pub struct Bundles {
    objects: Vec<BundleObject>,
}

/// Every reference to a CA bundle.
pub fn references(spec: &XmppFederationSpec) -> impl Iterator<Item = &BundleRef> {
    let of_backends = spec.backends.iter().filter_map(|backend| match &backend.attachment {
        Attachment::Server(server) => server.trust.as_ref(),
        Attachment::Component(_) => None,
    });
    let of_peers = std::iter::once(&spec.peer_defaults)
        .chain(spec.peers.iter().map(|peer| &peer.settings))
        .filter_map(|settings| settings.tls.as_ref())
        .flat_map(|tls| &tls.bundles);
    spec.tls.trust.bundles.iter().chain(of_backends).chain(of_peers)
}

impl Bundles {
    /// The objects that the resource refers to.
    pub fn of(spec: &XmppFederationSpec) -> Self {
        let objects: BTreeSet<BundleObject> = references(spec).map(BundleObject::from).collect();
        Self { objects: objects.into_iter().collect() }
    }

    /// The file of a bundle in the engine's container.
    pub fn path(&self, bundle: &BundleRef) -> PathBuf {
        let object = BundleObject::from(bundle);
        let folder = self.objects.iter().position(|known| *known == object).unwrap_or_default();
        let (BundleRef::ConfigMap(key) | BundleRef::Secret(key)) = bundle;
        PathBuf::from(format!("{}/{folder}/{}", paths::BUNDLES, key.key))
    }

    /// The settings of a peer with files in place of references.
    pub fn settings(&self, settings: &PeerSettings<BundleRef>) -> PeerSettings<PathBuf> {
        settings.map_bundles(|bundle| self.path(bundle))
    }

    /// Volumes and their mounts. They are optional: an engine that lacks one bundle still serves all other peers, and reports
    /// which file is missing.
    pub fn volumes(&self) -> Vec<(Volume, VolumeMount)> {
        let volume = |(folder, object): (usize, &BundleObject)| {
            let name = format!("bundle-{folder}");
            let mut volume = Volume { name: name.clone(), ..Volume::default() };
            match object {
                BundleObject::ConfigMap(source) => {
                    volume.config_map = Some(ConfigMapVolumeSource {
                        name: source.clone(),
                        optional: Some(true),
                        ..ConfigMapVolumeSource::default()
                    });
                }
                BundleObject::Secret(source) => {
                    volume.secret = Some(SecretVolumeSource {
                        secret_name: Some(source.clone()),
                        optional: Some(true),
                        ..SecretVolumeSource::default()
                    });
                }
            }
            let mount = VolumeMount {
                name,
                mount_path: format!("{}/{folder}", paths::BUNDLES),
                read_only: Some(true),
                ..VolumeMount::default()
            };
            (volume, mount)
        };
        self.objects.iter().enumerate().map(volume).collect()
    }
}
