//! Sockets, bound before anything is served: an engine that cannot have all of its ports does not start.

use tokio::net::TcpListener;

use crate::config::model::FileListen;
use crate::dns::synth::serve::Sockets;
use crate::task::listen::{ListenError, bind};

pub(super) struct Listeners {
    pub(super) outer: Vec<TcpListener>,
    pub(super) inner: Option<TcpListener>,
    pub(super) dns: Option<Sockets>,
    pub(super) admin: Option<TcpListener>,
    pub(super) control: Option<TcpListener>,
}

impl Listeners {
    pub(super) async fn bind(wanted: &FileListen) -> Result<Self, ListenError> {
        let mut outer = Vec::new();
        for (name, address) in [("s2s", wanted.s2s), ("s2sTls", wanted.s2s_tls)] {
            if let Some(address) = address {
                outer.push(bind(name, address).await?);
            }
        }
        let inner = match wanted.backend {
            Some(address) => Some(bind("backend", address).await?),
            None => None,
        };
        let dns = match wanted.dns {
            Some(address) => Some(
                Sockets::bind(address)
                    .await
                    .map_err(|error| ListenError::new("dns", address, error))?,
            ),
            None => None,
        };
        let admin = match wanted.admin {
            Some(address) => Some(bind("admin", address).await?),
            None => None,
        };
        let control = match &wanted.control {
            Some(control) => Some(bind("control", control.address).await?),
            None => None,
        };
        Ok(Self { outer, inner, dns, admin, control })
    }
}
