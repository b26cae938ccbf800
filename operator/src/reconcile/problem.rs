//! Why objects could not be read, applied or deleted: the API server's answers, reduced to what the user must do. Pure.

use super::replacement::Replacement;
use crate::causes::Causes;
use crate::contest::Writer;

/// What was tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Reading an object that the verdicts depend on.
    Read,
    /// Creating or changing a child.
    Apply,
    /// Deleting a child that is no longer needed.
    Delete,
}

/// An object that could not be read, applied or deleted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// What was tried.
    pub step: Step,
    /// Kind of the object.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// The cause, as far as it decides what to do.
    pub cause: Cause,
    /// The words of the API server, or of the connection to it.
    pub message: String,
}

/// The cause of a problem, most specific first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Cause {
    /// An object of that name exists and is not controlled by this federation.
    Foreign,
    /// Another program changes the object again and again.
    Contested,
    /// The operator's service account lacks a permission.
    NotPermitted,
    /// The object, which is built from the spec, is not valid.
    Invalid,
    /// A resource quota of the namespace is exhausted.
    Quota,
    /// An admission webhook, policy or plugin denied the request.
    Denied,
    /// The cluster has no address or port left for a Service.
    Exhausted,
    /// The API server could not call an admission webhook.
    WebhookFailed,
    /// The namespace is being deleted.
    Terminating,
    /// The API server does not have the kind.
    KindMissing,
    /// Anything else, such as an API server that does not answer.
    Failed,
}

/// The result of reading and applying, as far as the user must know it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Applied {
    /// `spec.paused`.
    pub paused: bool,
    /// The API server has not answered to every request yet, and no earlier result is known.
    pub pending: bool,
    /// Objects that could not be read, applied or deleted.
    pub problems: Vec<Problem>,
    /// A Service must be deleted and created anew.
    pub replacement: Option<Replacement>,
}

impl Applied {
    /// The problem with an object, if there is one.
    pub fn problem(&self, step: Step, kind: &str, name: &str) -> Option<&Problem> {
        self.problems
            .iter()
            .find(|problem| problem.step == step && problem.kind == kind && problem.name == name)
    }
}

impl Problem {
    /// A problem from the error of a call.
    pub fn of(step: Step, kind: &str, name: &str, error: &kube::Error) -> Self {
        let (cause, message) = match error {
            kube::Error::Api(status) => {
                (cause(status.code, &status.message), status.message.clone())
            }
            other => (Cause::Failed, Causes(other).to_string()),
        };
        Self { step, kind: kind.to_owned(), name: name.to_owned(), cause, message }
    }

    /// An object of that name belongs to someone else.
    pub fn foreign(kind: &str, name: &str) -> Self {
        let message = "it already exists and does not belong to this federation".to_owned();
        Self {
            step: Step::Apply,
            kind: kind.to_owned(),
            name: name.to_owned(),
            cause: Cause::Foreign,
            message,
        }
    }

    /// Another program changes the object again and again, so the operator pauses.
    pub fn contested(kind: &str, name: &str, writer: Option<&Writer>) -> Self {
        let message = writer.map_or_else(|| "another client".to_owned(), Writer::to_string);
        Self {
            step: Step::Apply,
            kind: kind.to_owned(),
            name: name.to_owned(),
            cause: Cause::Contested,
            message,
        }
    }

    /// A problem of the operator itself, or an answer that did not come in time.
    pub fn failed(step: Step, kind: &str, name: &str, message: String) -> Self {
        Self { step, kind: kind.to_owned(), name: name.to_owned(), cause: Cause::Failed, message }
    }

    /// Kind and name, or the objects of the kind if there is no name.
    pub fn object(&self) -> String {
        if self.name.is_empty() {
            format!("{}s", self.kind)
        } else {
            format!("{} {}", self.kind, self.name)
        }
    }

    /// The words of the API server without the name of the object: the same for all objects that have the same problem.
    pub fn general_words(&self) -> String {
        self.message.replace(&format!("\"{}\"", self.name), "it")
    }

    /// What was tried, for "Cannot ...".
    pub fn action(&self) -> String {
        let verb = match self.step {
            Step::Read => "read",
            Step::Apply => "apply",
            Step::Delete => "delete",
        };
        format!("{verb} {}", self.object())
    }
}

/// The cause that follows from the API server's answer. Admission webhooks choose their own codes, and quota, permissions
/// and admission plugins share code 403, so the fixed words of the API server decide.
fn cause(code: u16, message: &str) -> Cause {
    let has = |words: &str| message.contains(words);
    if has("failed calling webhook") {
        Cause::WebhookFailed
    } else if (has("admission webhook") && has("denied the request"))
        || (has("ValidatingAdmissionPolicy") && has("denied request"))
    {
        Cause::Denied
    } else if has("exceeded quota") || has("failed quota") {
        Cause::Quota
    } else if has("because it is being terminated") {
        Cause::Terminating
    } else if has("range is full") {
        Cause::Exhausted
    } else {
        match code {
            // `User "..." cannot patch resource "..."`, and the check of owner references.
            403 if has("\" cannot ") || has("cannot set blockOwnerDeletion") => Cause::NotPermitted,
            401 => Cause::NotPermitted,
            403 => Cause::Denied,
            400 | 422 => Cause::Invalid,
            404 | 405 => Cause::KindMissing,
            _ => Cause::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of Kubernetes 1.36.
    fn full(name: &str) -> String {
        format!(
            "Internal error occurred: failed to allocate a serviceIP for Service \"{name}\": range is full"
        )
    }

    #[test]
    fn two_objects_that_lack_an_address_have_the_same_problem() {
        let words =
            |name| Problem::failed(Step::Apply, "Service", name, full(name)).general_words();
        assert_eq!(words("one"), words("one-backend"));
    }

    #[test]
    fn the_words_of_the_api_server_decide_before_its_code() {
        let webhook = r#"Internal error occurred: failed calling webhook "a.example": failed to call webhook: Post "https://a": context deadline exceeded"#;
        let denied = r#"admission webhook "a.example" denied the request: no Services today"#;
        let policy = "services \"example\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no";
        let quota = "services \"example\" is forbidden: exceeded quota: q, requested: services=1, used: services=0, limited: services=0";
        let full = full("example");
        let full = full.as_str();
        let rbac = "services \"example\" is forbidden: User \"system:serviceaccount:a:b\" cannot patch resource \"services\" in API group \"\" in the namespace \"im\"";
        let ending = "services \"example\" is forbidden: unable to create new content in namespace im because it is being terminated";
        for (code, message, expected) in [
            (500, webhook, Cause::WebhookFailed),
            (400, denied, Cause::Denied),
            (403, denied, Cause::Denied),
            (500, denied, Cause::Denied),
            (422, policy, Cause::Denied),
            (403, quota, Cause::Quota),
            (403, rbac, Cause::NotPermitted),
            (500, full, Cause::Exhausted),
            (403, ending, Cause::Terminating),
            (403, "maximum cpu usage per Container is 1", Cause::Denied),
            (422, "spec.ports[0].nodePort: Invalid value", Cause::Invalid),
            (400, "unknown field \"spec.x\"", Cause::Invalid),
            (404, "404 page not found", Cause::KindMissing),
            (500, "etcdserver: leader changed", Cause::Failed),
            (503, "the server is currently unable to handle the request", Cause::Failed),
        ] {
            assert_eq!(cause(code, message), expected, "{code} {message}");
        }
    }
}
