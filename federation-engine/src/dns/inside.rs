//! Names inside the cluster: the system's resolver with its search domains, so that `prosody.im.svc` means the same as
//! in every other pod. Never used for names from remote servers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use hickory_resolver::TokioResolver;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use s2s_proto::plan::Answer;
use tokio::time::timeout;

use super::resolve::ResolverError;
use crate::dial::dialler::Addresses;

/// Timeout for one name.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum delay until a new Service is found.
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(2);
/// Maximum delay until the new address of a recreated Service is found.
const MAX_POSITIVE_TTL: Duration = Duration::from_secs(10);

/// The system's resolver.
#[derive(Clone)]
pub struct Inside(TokioResolver);

impl Inside {
    /// Reads the system's configuration.
    ///
    /// # Errors
    /// When there is none.
    pub fn new() -> Result<Self, ResolverError> {
        let mut builder = TokioResolver::builder(TokioRuntimeProvider::default())
            .map_err(|error| ResolverError::System(error.to_string()))?;
        let options = builder.options_mut();
        options.try_tcp_on_error = true;
        options.negative_max_ttl = Some(MAX_NEGATIVE_TTL);
        options.positive_max_ttl = Some(MAX_POSITIVE_TTL);
        builder.build().map(Self).map_err(|error| ResolverError::Start(error.to_string()))
    }
}

impl Addresses for Inside {
    /// One answer for both families: with search domains, each alone could be found under another name.
    fn addresses(&self, name: Arc<str>) -> impl Stream<Item = Answer<IpAddr>> + Send {
        stream::once(async move {
            match timeout(LOOKUP_TIMEOUT, self.0.lookup_ip(name.as_ref())).await {
                Err(_) => {
                    Answer::Failed(format!("no answer within {} s", LOOKUP_TIMEOUT.as_secs()))
                }
                Ok(Ok(found)) => Answer::Records(found.iter().collect()),
                Ok(Err(NetError::Dns(DnsError::NoRecordsFound(_)))) => Answer::Absent,
                Ok(Err(error)) => Answer::Failed(error.to_string()),
            }
        })
    }
}
