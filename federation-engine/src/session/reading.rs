//! Reads a stream: delimits elements, passes on the stanzas of authenticated pairs, and leaves other elements to the
//! machine.

use std::time::Instant;

use crds::xmpp::StreamCondition;
use s2s_proto::stream::error::StreamError;
use s2s_proto::xml::{Item, Progress};

use super::stream_end::StreamEnd;
use super::{Flow, Session};
use crate::sockets::turn::{self, Work};

impl Session {
    /// Counts the bytes that a stream receives before it is authenticated, then processes them.
    pub(super) async fn received(&mut self, number: usize) -> Flow {
        self.last_traffic = Instant::now();
        self.machine.traffic(self.last_traffic);
        if self.newcomer.is_some() {
            self.unauthenticated_bytes = self.unauthenticated_bytes.saturating_add(number);
            let limit = self.engine.snapshot().config.limits.pre_auth_stream_bytes;
            if self.unauthenticated_bytes > limit {
                let text = format!("the peer sent more than {limit} bytes before authentication");
                let error = StreamError::new(StreamCondition::PolicyViolation, text);
                self.machine.fail(&error, &*self.around, &mut self.out);
                return self.perform().await;
            }
        }
        self.process().await
    }

    /// Processes received data until there is no room for a stanza.
    pub(super) async fn process(&mut self) -> Flow {
        let (mut now, mut work) = (Instant::now(), Work::Element(0));
        while !self.intake.is_full() && self.may_go_on(now) {
            if turn::is_over_after(work) {
                turn::pass().await;
                now = Instant::now();
            }
            let progress = self.scanner.next_portion(&mut self.connection.input);
            let progress = progress.map(|progress| self.machine.rescoped(progress));
            work = work_of(progress.as_ref().ok());
            match progress {
                Ok(Progress::Portion) => continue,
                Ok(Progress::Item(Item::Element(element))) => {
                    if let Ok(pair) = self.machine.authorize(&element, &*self.around) {
                        self.last_stanza = now;
                        if let Some(role) = &mut self.component {
                            role.on_stanza(pair, &self.engine);
                        }
                        self.intake.take(&element, pair, now);
                        self.machine.handled();
                        self.count_stanza(now);
                        continue;
                    }
                    self.machine.on_item(Item::Element(element), now, &*self.around, &mut self.out);
                }
                Ok(Progress::Item(Item::Oversized(element))) => {
                    let limit = self.stanza_bytes();
                    if let Ok(pair) = self.machine.authorize(&element, &*self.around) {
                        self.last_stanza = now;
                        self.intake.refuse_oversized(&element, pair, limit);
                        self.machine.handled();
                        self.count_stanza(now);
                        continue;
                    }
                    let item = Item::Oversized(element);
                    self.machine.on_item(item, now, &*self.around, &mut self.out);
                }
                Ok(Progress::Item(item)) => {
                    if matches!(item, Item::Close) {
                        self.stream_end.get_or_insert(StreamEnd::ByPeer);
                    }
                    if let Item::Header(header) = &item {
                        self.intake.header(header.lang.as_deref());
                        if let Some(newcomer) = &self.newcomer {
                            newcomer.heard();
                        }
                        if !Box::pin(self.judge_ahead(header.from.as_deref())).await {
                            let text = "the server is busy";
                            let condition = StreamCondition::ResourceConstraint;
                            let error = StreamError::new(condition, text);
                            self.machine.fail(&error, &*self.around, &mut self.out);
                            return self.perform().await;
                        }
                    }
                    self.machine.on_item(item, now, &*self.around, &mut self.out);
                }
                Ok(Progress::Incomplete) => break,
                Err(error) => {
                    if let Some(omitted) = self.may_log() {
                        tracing::info!(address = %self.address, leg = ?self.leg, %error, omitted, "invalid input refused");
                    }
                    self.machine.on_xml_error(error, &*self.around, &mut self.out);
                    return self.perform().await;
                }
            }
            if self.perform().await == Flow::Stop {
                return Flow::Stop;
            }
        }
        Flow::Continue
    }
}

/// The work that a call of the scanner caused.
fn work_of(progress: Option<&Progress>) -> Work {
    match progress {
        // The earlier portions of a large element were counted before.
        Some(Progress::Item(Item::Element(element))) => Work::Element(element.bytes().len()),
        Some(Progress::Portion) => Work::Portion,
        Some(Progress::Item(_) | Progress::Incomplete) | None => Work::Input,
    }
}
