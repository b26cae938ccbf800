//! Namespaces in XML 1.0, and RFC 6120 §4.8.

use super::*;
use crate::xml::{Name, Namespace};

#[test]
fn the_expanded_name_does_not_depend_on_the_prefix() {
    for (input, namespace, local) in [
        ("<message/>", Namespace::Server, "message"),
        ("<message xmlns='jabber:client'/>", Namespace::Client, "message"),
        ("<message xmlns=''/>", Namespace::None, "message"),
        ("<message xmlns='urn:x'/>", Namespace::Other, "message"),
        ("<n:message xmlns:n='jabber:server'/>", Namespace::Server, "message"),
        ("<n:message xmlns:n='http://x/'/>", Namespace::Other, "message"),
        ("<db:result/>", Namespace::Dialback, "result"),
        ("<result xmlns='jabber:server:dialback'/>", Namespace::Dialback, "result"),
        ("<stream:features/>", Namespace::Stream, "features"),
        ("<x xmlns='jabber:&#115;erver'/>", Namespace::Server, "x"),
        ("<x xmlns='jabber:Server'/>", Namespace::Other, "x"),
    ] {
        assert_eq!(element(input).name(), Name { namespace, local }, "{input}");
    }
}

#[test]
fn namespaces_5_prefixes_are_declared() {
    for input in [
        "<x:a/>",
        "<a x:b=''/>",
        "<a><x:b/></a>",
        "<a><b xmlns:x='u'/><x:c/></a>",
        "<xmlns:a/>",
        "<a><b xmlns:x='u'><x:c/></b><d x:e=''/></a>",
    ] {
        refused(input, Malformation::UndeclaredPrefix);
    }
    accepted("<a xml:lang='en' xml:space='x'><b xmlns:x='u'><x:c x:d=''/></b></a>");
}

#[test]
fn namespaces_3_reserved_names_and_no_undeclaring() {
    for declaration in [
        "xmlns:xml='urn:x'",
        "xmlns:xmlns='urn:x'",
        "xmlns:xmlns='http://www.w3.org/2000/xmlns/'",
        "xmlns:x='http://www.w3.org/XML/1998/namespace'",
        "xmlns:x='http://www.w3.org/2000/xmlns/'",
        "xmlns='http://www.w3.org/XML/1998/namespace'",
        "xmlns='http://www.w3.org/2000/xmlns/'",
        "xmlns:x=''",
    ] {
        refused(format!("<a {declaration}/>"), Malformation::NamespaceDeclaration);
        refused(format!("<a><b {declaration}/></a>"), Malformation::NamespaceDeclaration);
    }
    accepted("<a xmlns:xml='http://www.w3.org/XML/1998/namespace'/>");
}

#[test]
fn namespaces_2_a_namespace_name_has_no_white_space_and_no_control_character() {
    let written = [
        '\t', '\n', '\r', ' ', '\u{7F}', '\u{80}', '\u{85}', '\u{9F}', '\u{A0}', '\u{2028}',
        '\u{3000}',
    ];
    for c in written {
        for value in [format!("urn:{c}x"), format!("{c}urn:x"), format!("urn:x&#{};", u32::from(c))]
        {
            for declaration in [format!("xmlns='{value}'"), format!("xmlns:p='{value}'")] {
                refused(format!("<a {declaration}/>"), Malformation::NamespaceDeclaration);
                refused(format!("<a><b {declaration}/></a>"), Malformation::NamespaceDeclaration);
            }
            let header = HEADER.replace("to=", &format!("xmlns:p='{value}' to="));
            assert_eq!(scan(header), [Seen::Error(Malformation::NamespaceDeclaration.into())]);
        }
    }
    accepted("<a xmlns='urn:\u{E9}\u{4E00}%20x'/>");
}

#[test]
fn xml_2_3_names_are_those_of_the_fourth_edition() {
    for name in ["\u{E9}", "a\u{B7}", "\u{4E00}\u{3005}", "\u{AC00}", "a\u{300}"] {
        for input in
            [format!("<{name}/>"), format!("<a {name}=''/>"), format!("<a xmlns:{name}='u'/>")]
        {
            accepted(&input);
        }
    }
    for name in [
        "\u{2C00}",
        "a\u{218F}",
        "\u{10000}",
        "a\u{20000}",
        "\u{200C}",
        "\u{B7}",
        "\u{300}",
        "\u{3005}",
    ] {
        for input in
            [format!("<{name}/>"), format!("<a {name}=''/>"), format!("<a xmlns:{name}='u'/>")]
        {
            refused(input, Malformation::Name);
        }
    }
}

#[test]
fn namespaces_4_a_qualified_name_has_one_colon_inside() {
    for input in
        ["<:a/>", "<a:/>", "<stream:a:b/>", "<a stream:b:c=''/>", "<a :b=''/>", "<stream:1/>"]
    {
        refused(input, Malformation::Name);
    }
}

#[test]
fn namespaces_6_3_attributes_are_unique_by_expanded_name() {
    let twice = "<a xmlns:x='urn:u' xmlns:y='urn:u' x:b='' y:b=''/>";
    refused(twice, Malformation::DuplicateAttribute);
    refused(twice.replacen("urn:u", "urn:&#117;", 1), Malformation::DuplicateAttribute);
    refused(
        "<a xmlns:d='jabber:server:dialback' d:b='' db:b=''/>",
        Malformation::DuplicateAttribute,
    );
    accepted("<a xmlns:x='urn:u' xmlns:y='urn:v' x:b='' y:b='' b=''/>");
}

#[test]
fn only_unprefixed_attributes_address_a_stanza() {
    let message = element("<message xmlns:x='u' x:from='a' x:to='b' xml:lang='de' lang='en'/>");
    assert_eq!((message.from(), message.to()), (None, None));
    assert_eq!(message.lang().as_deref(), Some("de"));
}

#[test]
fn rfc6120_4_8_5_prefixes_of_the_header_that_an_element_uses_are_known() {
    for (input, prefixes) in [
        ("<message><body/></message>", vec![]),
        ("<message xmlns:db='urn:x'><db:b/></message>", vec![]),
        ("<message><x xmlns:db='urn:x'><db:b/></x></message>", vec![]),
        ("<message><db:b/></message>", vec!["db"]),
        ("<message db:a=''/>", vec!["db"]),
        ("<message><x xmlns:db='urn:x'/><db:b/></message>", vec!["db"]),
        ("<stream:x><db:b/></stream:x>", vec!["stream", "db"]),
    ] {
        let element = element(input);
        let mut used: Vec<&str> = element.outer_prefixes().map(|(prefix, _)| prefix).collect();
        used.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(used, prefixes, "{input}");
        assert_eq!(element.is_self_contained(), prefixes.is_empty(), "{input}");
    }
    let seen = content("<a><db:b/></a><a/>");
    assert_eq!(seen.len(), 2);
    let (_, elements) =
        scan_with(Bounds::AUTHENTICATED, format!("{HEADER}<a><db:b/></a><a/>").as_bytes());
    assert!(!elements[0].is_self_contained() && elements[1].is_self_contained());
}

#[test]
fn a_tree_resolves_prefixes_of_the_header() {
    let tree = element(
        "<stream:features><db:x a='&lt;'>t&amp;<![CDATA[<]]>&#65;</db:x><y/></stream:features>",
    )
    .tree()
    .unwrap();
    assert!(tree.is(Namespace::Stream, "features"));
    let x = tree.child(Namespace::Dialback, "x").unwrap();
    assert_eq!((x.attribute("a"), x.text.as_str()), (Some("<"), "t&<A"));
    assert!(tree.child(Namespace::Server, "y").is_some());
    let plain = element("<iq><ping xmlns='urn:xmpp:ping'/><z/></iq>").tree().unwrap();
    assert!(plain.is(Namespace::Server, "iq"));
    assert!(plain.child(Namespace::Ping, "ping").is_some());
    assert!(plain.child(Namespace::Server, "z").is_some());
}

#[test]
fn a_tree_is_small() {
    let wide = format!("<a>{}</a>", "<b/>".repeat(512));
    assert!(element(&wide).tree().is_err());
    assert!(element(&wide.replacen("<b/>", "", 1)).tree().is_ok());
}

#[test]
fn rfc6120_4_7_attributes_of_the_header_in_any_order_and_quotes() {
    let input = "<s:stream to=\"b.example\" xmlns:s = 'http://etherx.jabber.org/streams'\n \
                 xmlns:other='urn:x' from='&#97;.example' version='1.0' id='' xml:lang='de' \
                 xmlns=\"jabber:server\">";
    let mut scanner = Scanner::new(Bounds::PRE_AUTHENTICATION);
    let Ok(Some(Item::Header(header))) = scanner.next(&mut BytesMut::from(input)) else { panic!() };
    assert_eq!((header.namespace, header.content), (Namespace::Stream, Namespace::Server));
    assert_eq!((header.local.as_str(), header.prefix.as_str()), ("stream", "s"));
    assert_eq!(header.from.as_deref(), Some("a.example"));
    assert_eq!(header.to.as_deref(), Some("b.example"));
    assert_eq!(header.id.as_deref(), Some(""));
    assert_eq!((header.version.as_deref(), header.lang.as_deref()), (Some("1.0"), Some("de")));
    assert!(!header.declares_dialback);
}
