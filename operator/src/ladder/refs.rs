//! `ResolvedRefs`: everything that the spec refers to exists and is usable.

use crds::reason::ResolvedRefsReason;

use super::View;
use super::certificate::keeps_serving;
use super::verdict::Verdict;

/// Judges the references; the first problem in the order of the spec is named.
pub fn check(view: View<'_>) -> Verdict {
    let references = &view.seen.references;
    let mut verdict = match references.problems.split_first() {
        None => {
            return Verdict::new(
                ResolvedRefsReason::ResolvedRefs,
                "Every referenced Secret and ConfigMap exists and is valid.",
            );
        }
        Some((first, [])) => Verdict::new(first.reason, first.message.clone()),
        Some((first, rest)) => {
            let others: Vec<&str> = rest.iter().map(|problem| problem.message.as_str()).collect();
            Verdict::new(first.reason, format!("{}; also: {}", first.message, others.join("; ")))
        }
    };
    let certificate_unread =
        view.federation.spec.tls.certificate.is_some() && references.certificate.is_none();
    if let Some(served) = references.served.as_ref().filter(|_| certificate_unread) {
        verdict.message = format!("{}. {}", verdict.message, keeps_serving(served));
    }
    verdict
}
