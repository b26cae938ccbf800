use super::*;

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> SrvRecord {
    let target = (target != ".").then(|| Arc::from(target));
    SrvRecord { priority, weight, port, target }
}

fn records(list: &[SrvRecord]) -> Answer<SrvRecord> {
    Answer::Records(list.to_vec())
}

fn domain() -> Domain {
    Domain::parse("partner.example").unwrap()
}

fn failed() -> Answer<SrvRecord> {
    Answer::Failed("SERVFAIL".to_owned())
}

/// Plan with the lowest number always drawn, shown as `host:port/start`.
fn planned(answers: &Answers) -> Result<Vec<String>, DnsReason> {
    let targets = plan(&domain(), answers, &mut |_| 0)?;
    Ok(targets.iter().map(|t| format!("{t}/{:?}", t.start)).collect())
}

fn answers(xmpp: Answer<SrvRecord>, xmpps: Answer<SrvRecord>) -> Answers {
    Answers { xmpp: xmpp.into(), xmpps: Some(xmpps.into()), jabber: None }
}

fn validated(answer: Answer<SrvRecord>) -> ValidatedAnswer<SrvRecord> {
    ValidatedAnswer { answer, secure: true }
}

#[test]
fn xep0368_3_both_services_are_one_list_by_priority() {
    let xmpp = records(&[srv(10, 0, 5269, "b.example"), srv(30, 0, 5269, "d.example")]);
    let xmpps = records(&[srv(20, 0, 443, "c.example"), srv(5, 0, 5270, "a.example")]);
    assert_eq!(
        planned(&answers(xmpp, xmpps)).unwrap(),
        [
            "a.example:5270/Direct",
            "b.example:5269/StartTls",
            "c.example:443/Direct",
            "d.example:5269/StartTls"
        ]
    );
}

#[test]
fn rfc6120_3_2_2_the_domain_itself_is_tried_only_when_no_srv_record_exists() {
    let fallback = vec!["partner.example:5269/StartTls".to_owned()];
    assert_eq!(planned(&answers(Answer::Absent, Answer::Absent)), Ok(fallback.clone()));
    let not_asked = Answers { xmpp: Answer::Absent.into(), xmpps: None, jabber: None };
    assert_eq!(planned(&not_asked), Ok(fallback));
    let direct_only = answers(Answer::Absent, records(&[srv(0, 0, 5270, "a.example")]));
    assert_eq!(planned(&direct_only).unwrap(), ["a.example:5270/Direct"]);
    let international = Domain::parse("bücher.example").unwrap();
    let none = Answers { xmpp: Answer::Absent.into(), xmpps: None, jabber: None };
    let targets = plan(&international, &none, &mut |_| 0).unwrap();
    assert_eq!(targets[0].host, Host::Name("xn--bcher-kva.example".into()));
    assert_eq!(targets[0].origin, Origin::Fallback);
}

#[test]
fn rfc6120_3_2_1_rule_3_a_root_target_ends_it() {
    let root = || records(&[srv(0, 0, 0, ".")]);
    let disabled = Err(DnsReason::ServiceDisabled { name: "partner.example".to_owned() });
    assert_eq!(planned(&answers(root(), Answer::Absent)), disabled);
    assert_eq!(planned(&answers(root(), root())), disabled);
    // XEP-0368 §5: it disables Direct TLS only, and a published SRV record still forbids the fallback.
    assert_eq!(planned(&answers(Answer::Absent, root())), disabled);
    let xmpp = || records(&[srv(0, 0, 5269, "a.example")]);
    assert_eq!(planned(&answers(xmpp(), root())).unwrap(), ["a.example:5269/StartTls"]);
    let xmpps = records(&[srv(0, 0, 5270, "a.example")]);
    assert_eq!(planned(&answers(root(), xmpps)).unwrap(), ["a.example:5270/Direct"]);
}

#[test]
fn a_failed_look_up_is_never_taken_for_absence() {
    let unavailable = Err(DnsReason::ResolverUnavailable {
        name: "partner.example".to_owned(),
        detail: "SERVFAIL".to_owned(),
    });
    assert_eq!(planned(&answers(failed(), Answer::Absent)), unavailable);
    assert_eq!(planned(&answers(Answer::Absent, failed())), unavailable);
    assert_eq!(planned(&answers(failed(), records(&[srv(0, 0, 0, ".")]))), unavailable);
    let legacy =
        Answers { xmpp: Answer::Absent.into(), xmpps: None, jabber: Some(failed().into()) };
    assert_eq!(planned(&legacy), unavailable);
    let half = answers(failed(), records(&[srv(0, 0, 5270, "a.example")]));
    assert_eq!(planned(&half).unwrap(), ["a.example:5270/Direct"], "what is known is used");
}

#[test]
fn rfc7673_3_1_bogus_srv_records_end_the_search() {
    let good = || records(&[srv(0, 0, 5270, "a.example")]);
    let bogus =
        Err(DnsReason::Bogus { name: "partner.example".to_owned(), records: Records::Service });
    assert_eq!(planned(&answers(Answer::Bogus, Answer::Absent)), bogus);
    assert_eq!(planned(&answers(Answer::Bogus, good())), bogus, "what else is known is not used");
    assert_eq!(planned(&answers(good(), Answer::Bogus)), bogus);
    let legacy =
        Answers { xmpp: Answer::Absent.into(), xmpps: None, jabber: Some(Answer::Bogus.into()) };
    assert_eq!(planned(&legacy), bogus);
}

#[test]
fn rfc7673_3_1_a_target_is_secure_by_its_own_service_and_a_fallback_never_is() {
    let one = |target| records(&[srv(0, 0, 5269, target)]);
    let mixed = Answers {
        xmpp: validated(one("a.example")),
        xmpps: Some(one("b.example").into()),
        jabber: None,
    };
    let targets = plan(&domain(), &mixed, &mut |_| 0).unwrap();
    let shown: Vec<_> = targets.iter().map(|t| (t.to_string(), t.validated_for.clone())).collect();
    assert_eq!(
        shown,
        [("a.example:5269".to_owned(), Some(domain())), ("b.example:5269".to_owned(), None)]
    );
    let absent = Answers { xmpp: validated(Answer::Absent), xmpps: None, jabber: None };
    assert_eq!(plan(&domain(), &absent, &mut |_| 0).unwrap()[0].validated_for, None);
}

#[test]
fn the_legacy_record_counts_only_when_the_current_ones_are_absent() {
    let jabber = Some(records(&[srv(0, 0, 5269, "old.example")]).into());
    let legacy = Answers { xmpp: Answer::Absent.into(), xmpps: None, jabber: jabber.clone() };
    assert_eq!(planned(&legacy).unwrap(), ["old.example:5269/StartTls"]);
    let xmpp = records(&[srv(0, 0, 5269, "new.example")]);
    let both = Answers { xmpp: xmpp.into(), xmpps: None, jabber };
    assert_eq!(planned(&both).unwrap(), ["new.example:5269/StartTls"]);
}

#[test]
fn useless_and_repeated_records_are_left_out() {
    let list = [
        srv(0, 0, 0, "port-zero.example"),
        srv(0, 0, 5269, "."),
        srv(1, 5, 5269, "a.example"),
        srv(2, 5, 5269, "a.example"),
    ];
    assert_eq!(
        planned(&answers(records(&list), Answer::Absent)).unwrap(),
        ["a.example:5269/StartTls"]
    );
    assert_eq!(
        planned(&answers(records(&list[..2]), Answer::Absent)),
        Err(DnsReason::NoAddress { name: "partner.example".to_owned() })
    );
}

#[test]
fn five_hundred_records_are_bounded_to_the_best() {
    let list: Vec<_> = (0..500).rev().map(|n| srv(n, 0, 5269, &format!("h{n}.example"))).collect();
    let targets = planned(&answers(records(&list), Answer::Absent)).unwrap();
    assert_eq!(targets.len(), MAX_TARGETS);
    assert_eq!(targets[0], "h0.example:5269/StartTls");
}

#[test]
fn rfc2782_the_draw_selects_by_running_sum_of_weights() {
    let list = [
        srv(0, 10, 1, "ten.example"),
        srv(0, 0, 1, "zero.example"),
        srv(0, 30, 1, "thirty.example"),
    ];
    let answers = answers(records(&list), Answer::Absent);
    for (first_draw, first) in [
        (0, "zero.example:1"),
        (1, "ten.example:1"),
        (10, "ten.example:1"),
        (11, "thirty.example:1"),
        (40, "thirty.example:1"),
    ] {
        let mut sums = Vec::new();
        let mut random = |sum| {
            sums.push(sum);
            if sums.len() == 1 { first_draw } else { 0 }
        };
        let targets = plan(&domain(), &answers, &mut random).unwrap();
        assert_eq!(targets[0].to_string(), first, "{first_draw}");
        assert_eq!(targets.len(), 3);
        assert_eq!(sums[0], 40);
    }
}

#[test]
fn rfc2782_over_many_draws_the_shares_are_the_weights() {
    use rand::{Rng, SeedableRng, rngs::StdRng};
    let mut rng = StdRng::seed_from_u64(1);
    let list = [srv(0, 1, 1, "light.example"), srv(0, 3, 1, "heavy.example")];
    let answers = answers(records(&list), Answer::Absent);
    let heavy_first = (0..4000)
        .filter(|_| {
            let targets = plan(&domain(), &answers, &mut |n| rng.random_range(0..=n)).unwrap();
            targets[0].to_string() == "heavy.example:1"
        })
        .count();
    // Drawing 0 of 0..=4 falls to the first as well: 2 of 5 for the light one.
    assert!((2280..2520).contains(&heavy_first), "{heavy_first}");
}

#[test]
fn a_route_is_taken_as_it_stands() {
    for text in ["im.partner.example:5299", "198.18.0.7:5269", "[2001:db8::7]:5270"] {
        let target = Target::from(&text.parse::<RouteTarget>().unwrap());
        assert_eq!(target.to_string(), text);
        assert_eq!(target.origin, Origin::Route);
    }
}
