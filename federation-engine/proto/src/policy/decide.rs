//! The ordered rules of `policy`: the first match wins, like a firewall.

use crds::policy::{Action, Direction as RuleDirection, Policy, PolicyRule};

use crate::Domain;
use crate::direction::Direction;

/// What the policy says about one remote domain and direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// Stanzas pass.
    pub allowed: bool,
    /// Index in `policy.rules` of the rule that decided; `None`: `policy.default` did.
    pub rule: Option<usize>,
}

/// Decides by the first rule that covers the remote domain in this direction, else by the default.
pub fn decide(policy: &Policy, remote: &Domain, direction: Direction) -> Verdict {
    let matching =
        policy.rules.iter().enumerate().find(|(_, rule)| matches(rule, remote, direction));
    let (rule, action) = match matching {
        Some((index, rule)) => (Some(index), rule.action),
        None => (None, policy.default),
    };
    Verdict { allowed: action == Action::Allow, rule }
}

fn matches(rule: &PolicyRule, remote: &Domain, direction: Direction) -> bool {
    let direction_matches = matches!(
        (rule.direction, direction),
        (RuleDirection::Both, _)
            | (RuleDirection::Inbound, Direction::Inbound)
            | (RuleDirection::Outbound, Direction::Outbound)
    );
    direction_matches && rule.domains.iter().any(|pattern| pattern.covers(remote))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(yaml: &str) -> Policy {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn first_match_wins_and_the_default_decides_the_rest() {
        let policy = policy(
            "default: Deny
rules:
  - {domains: [good.bad.example], action: Allow}
  - {domains: ['*.bad.example', spam.example], action: Deny}
  - {domains: [half.example], direction: Inbound, action: Allow}
  - {domains: ['*.example'], direction: Outbound, action: Allow}
",
        );
        let table = [
            ("good.bad.example", Direction::Inbound, true, Some(0)),
            ("good.bad.example", Direction::Outbound, true, Some(0)),
            ("x.bad.example", Direction::Outbound, false, Some(1)),
            ("spam.example", Direction::Outbound, false, Some(1)),
            ("half.example", Direction::Inbound, true, Some(2)),
            ("half.example", Direction::Outbound, true, Some(3)),
            ("other.example", Direction::Outbound, true, Some(3)),
            ("other.example", Direction::Inbound, false, None),
            ("elsewhere.test", Direction::Outbound, false, None),
        ];
        for (domain, direction, allowed, rule) in table {
            let remote = Domain::parse(domain).unwrap();
            assert_eq!(
                decide(&policy, &remote, direction),
                Verdict { allowed, rule },
                "{domain} {direction:?}"
            );
        }
    }

    #[test]
    fn a_suffix_rule_never_covers_the_suffix_itself() {
        let policy = policy("rules: [{domains: ['*.bad.example'], action: Deny}]");
        let verdict =
            |name: &str| decide(&policy, &Domain::parse(name).unwrap(), Direction::Inbound);
        assert_eq!(verdict("bad.example"), Verdict { allowed: true, rule: None });
        assert_eq!(verdict("notbad.example"), Verdict { allowed: true, rule: None });
        assert_eq!(verdict("a.b.bad.example"), Verdict { allowed: false, rule: Some(0) });
    }

    #[test]
    fn without_a_word_everybody_may() {
        let verdict =
            decide(&Policy::default(), &Domain::parse("any.example").unwrap(), Direction::Outbound);
        assert_eq!(verdict, Verdict { allowed: true, rule: None });
    }
}
