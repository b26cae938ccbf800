//! Traces of both programs: spans are batched and exported by OTLP over HTTP. Export can be switched on and off while the
//! process runs. While it is off, each span costs one comparison.
//!
//! Nothing waits for the export: a thread of its own sends the batches, and spans that its full queue has no room for are
//! dropped.

mod http;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use crds::observability::Traces;
use opentelemetry::trace::{Link, SpanKind, TraceId, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, Sampler, SamplingResult, SdkTracerProvider, ShouldSample, Span, SpanData,
    SpanProcessor,
};
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{self, Filter};
use tracing_subscriber::registry::LookupSpan;

use self::http::Client;

/// Time that the last batch may take when the export ends.
const LAST_BATCH_TIMEOUT: Duration = Duration::from_secs(3);
/// Spans of these targets are recorded. The requests of the Kubernetes client are parts of a pass.
const TARGETS: [&str; 3] = ["federation_engine", "operator", "kube_client"];

/// What identifies the process in traces.
#[derive(Clone, Debug)]
pub struct Service {
    /// Name of the program.
    pub name: &'static str,
    /// Namespace and name of the federation that the process serves.
    pub federation: Option<String>,
}

impl Service {
    fn resource(&self) -> Resource {
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let federation = self.federation.clone();
        let federation = federation.map(|federation| KeyValue::new("xmpp.federation", federation));
        // Kubernetes sets it to the name of the pod.
        let instance = std::env::var("HOSTNAME").ok();
        let instance = instance.map(|instance| KeyValue::new("service.instance.id", instance));
        Resource::builder_empty()
            .with_service_name(self.name)
            .with_attributes([Some(version), federation, instance].into_iter().flatten())
            .build()
    }
}

/// The exporter cannot be created.
#[derive(Debug, thiserror::Error)]
#[error("cannot export traces to {collector}: {problem}")]
pub struct TracesError {
    collector: String,
    problem: String,
}

/// The export, off or on.
#[derive(Debug)]
pub struct Export {
    service: Service,
    /// The settings in effect.
    traces: Mutex<Option<Traces>>,
    is_on: AtomicBool,
    sampler: ArcSwap<Sampler>,
    batches: ArcSwapOption<BatchSpanProcessor>,
}

impl Export {
    /// Switched off.
    pub fn new(service: Service) -> Arc<Self> {
        Arc::new(Self {
            service,
            traces: Mutex::new(None),
            is_on: AtomicBool::new(false),
            sampler: ArcSwap::from_pointee(Sampler::AlwaysOff),
            batches: ArcSwapOption::empty(),
        })
    }

    /// The layer that records the spans.
    pub fn layer<S>(self: &Arc<Self>) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampling(Arc::clone(self)))
            .with_span_processor(Batches(Arc::clone(self)))
            .with_resource(self.service.resource())
            .build();
        tracing_opentelemetry::layer()
            .with_location(false)
            .with_threads(false)
            .with_tracer(provider.tracer(self.service.name))
            .with_filter(Recorded(Arc::clone(self)))
    }

    /// Exports as `wanted` from now on; `None` exports nothing. Needs a runtime.
    ///
    /// # Errors
    /// When the exporter cannot be created. The previous one stays.
    pub fn set(&self, wanted: Option<&Traces>) -> Result<(), TracesError> {
        let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        if traces.as_ref() == wanted {
            return Ok(());
        }
        let batches = wanted.map(|wanted| self.batches(wanted)).transpose()?;
        if let Some(wanted) = wanted {
            let ratio = f64::from(wanted.sample_percent) / 100.0;
            let root = Box::new(Sampler::TraceIdRatioBased(ratio));
            self.sampler.store(Arc::new(Sampler::ParentBased(root)));
        }
        let last = self.batches.swap(batches.map(Arc::new));
        self.is_on.store(wanted.is_some(), Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
        *traces = wanted.cloned();
        if let Some(last) = last {
            tokio::task::spawn_blocking(move || last.shutdown_with_timeout(LAST_BATCH_TIMEOUT));
        }
        Ok(())
    }

    /// Sends the last batch. Blocks the thread; the runtime must still run.
    pub fn end(&self) {
        self.is_on.store(false, Ordering::Relaxed);
        if let Some(last) = self.batches.swap(None) {
            // The client has reported a failure.
            drop(last.shutdown_with_timeout(LAST_BATCH_TIMEOUT));
        }
    }

    fn batches(&self, wanted: &Traces) -> Result<BatchSpanProcessor, TracesError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new(wanted.collector.clone()))
            .with_endpoint(format!("http://{}/v1/traces", wanted.collector))
            .build()
            .map_err(|error| TracesError {
                collector: wanted.collector.to_string(),
                problem: error.to_string(),
            })?;
        let mut batches = BatchSpanProcessor::builder(exporter).build();
        batches.set_resource(&self.service.resource());
        Ok(batches)
    }
}

/// Hands ended spans to the batches in effect.
#[derive(Debug)]
struct Batches(Arc<Export>);

impl SpanProcessor for Batches {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if let Some(batches) = self.0.batches.load().as_ref() {
            batches.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.batches.load_full().map_or(Ok(()), |batches| batches.force_flush())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let batches = self.0.batches.load_full();
        batches.map_or(Ok(()), |batches| batches.shutdown_with_timeout(timeout))
    }
}

/// The sampler in effect.
#[derive(Clone, Debug)]
struct Sampling(Arc<Export>);

impl ShouldSample for Sampling {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let sampler = self.0.sampler.load();
        sampler.should_sample(parent_context, trace_id, name, span_kind, attributes, links)
    }
}

/// Spans of [`TARGETS`] while the export is on. Log lines are no part of traces.
struct Recorded(Arc<Export>);

impl Recorded {
    fn records(&self, metadata: &Metadata<'_>) -> bool {
        self.0.is_on.load(Ordering::Relaxed)
            && metadata.is_span()
            && *metadata.level() <= Level::DEBUG
            && TARGETS.iter().any(|target| metadata.target().starts_with(target))
    }
}

impl<S> Filter<S> for Recorded {
    fn enabled(&self, metadata: &Metadata<'_>, _: &layer::Context<'_, S>) -> bool {
        self.records(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.records(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let is_on = self.0.is_on.load(Ordering::Relaxed);
        Some(if is_on { LevelFilter::DEBUG } else { LevelFilter::OFF })
    }
}

#[cfg(test)]
mod tests;
