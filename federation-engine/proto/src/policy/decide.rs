//! The ordered rules of `policy`: the first match wins, like a firewall.

use crds::policy::{Action, Policy, PolicyRule, RuleDirection};

use crate::Domain;
use crate::direction::Direction;

/// Whether stanzas pass between a local domain and this remote one: by the first rule that covers it in this direction, else
/// by the default.
pub fn allows(policy: &Policy, remote: &Domain, direction: Direction) -> bool {
    let first = policy.rules.iter().find(|rule| matches(rule, remote, direction));
    first.map_or(policy.default, |rule| rule.action) == Action::Allow
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
            ("good.bad.example", Direction::Inbound, true),
            ("good.bad.example", Direction::Outbound, true),
            ("x.bad.example", Direction::Outbound, false),
            ("spam.example", Direction::Outbound, false),
            ("half.example", Direction::Inbound, true),
            ("half.example", Direction::Outbound, true),
            ("other.example", Direction::Outbound, true),
            ("other.example", Direction::Inbound, false),
            ("elsewhere.test", Direction::Outbound, false),
        ];
        for (domain, direction, allowed) in table {
            let remote = Domain::parse(domain).unwrap();
            assert_eq!(allows(&policy, &remote, direction), allowed, "{domain} {direction:?}");
        }
    }

    #[test]
    fn a_suffix_rule_never_covers_the_suffix_itself() {
        let policy = policy("rules: [{domains: ['*.bad.example'], action: Deny}]");
        let verdict =
            |name: &str| allows(&policy, &Domain::parse(name).unwrap(), Direction::Inbound);
        assert!(verdict("bad.example"));
        assert!(verdict("notbad.example"));
        assert!(!verdict("a.b.bad.example"));
    }

    #[test]
    fn without_a_word_everybody_may() {
        let verdict =
            allows(&Policy::default(), &Domain::parse("any.example").unwrap(), Direction::Outbound);
        assert!(verdict);
    }
}
