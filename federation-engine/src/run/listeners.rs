//! Sockets, bound before anything is served. An engine that cannot bind all of its ports does not start.

use std::net::SocketAddr;

use crds::engine_file::FileListen;
use tokio::net::TcpListener;

use crate::dns::synth::serve::Sockets;
use crate::run::listen::{ListenError, bind};

pub(super) struct Listeners {
    pub(super) outer: Vec<TcpListener>,
    pub(super) inner: Option<TcpListener>,
    pub(super) component: Option<TcpListener>,
    pub(super) dns: Option<Sockets>,
    pub(super) admin: Option<TcpListener>,
    pub(super) control: Option<TcpListener>,
}

impl Listeners {
    pub(super) async fn bind(wanted: &FileListen) -> Result<Self, ListenError> {
        let mut outer = Vec::new();
        for (name, address) in [("s2s", wanted.s2s), ("s2sTls", wanted.s2s_tls)] {
            outer.extend(maybe(name, address).await?);
        }
        let inner = maybe("backend", wanted.backend).await?;
        let component = maybe("component", wanted.component).await?;
        let dns = match wanted.dns {
            Some(address) => Some(
                Sockets::bind(address)
                    .await
                    .map_err(|error| ListenError::new("dns", address, error))?,
            ),
            None => None,
        };
        let admin = maybe("admin", wanted.admin).await?;
        let control = maybe("control", wanted.control.as_ref().map(|c| c.address)).await?;
        Ok(Self { outer, inner, component, dns, admin, control })
    }
}

async fn maybe(
    name: &'static str,
    address: Option<SocketAddr>,
) -> Result<Option<TcpListener>, ListenError> {
    match address {
        Some(address) => bind(name, address).await.map(Some),
        None => Ok(None),
    }
}
