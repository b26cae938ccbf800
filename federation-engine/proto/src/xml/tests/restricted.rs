//! RFC 6120 §11.1: features that XML allows and XMPP does not.

use super::*;

#[test]
fn rfc6120_11_1_comments_and_processing_instructions_are_restricted_everywhere() {
    for place in ["{}", "<a>{}</a>", "<a><b/>{}</a>", "<a/>{}"] {
        for (what, name) in [
            ("<!-- x -->", "comments"),
            ("<!--", "comments"),
            ("<?x y?>", "processing instructions"),
            ("<?xml version='1.0'?>", "processing instructions"),
            ("<!DOCTYPE a>", "document type declarations"),
            ("<!ENTITY a 'b'>", "document type declarations"),
        ] {
            let seen = content(place.replace("{}", what));
            assert_eq!(
                seen.last(),
                Some(&Seen::Error(XmlError::Restricted(name))),
                "{place} {what}"
            );
        }
    }
    // Inside a tag they are not markup.
    refused("<a <!-- x --> b=''/>", Malformation::Name);
    refused("<a b='<!-- x -->'/>", Malformation::LessThanInAttribute);
}

#[test]
fn rfc6120_11_1_the_prolog_has_no_document_type() {
    for input in [
        "<!DOCTYPE stream [<!ENTITY a 'b'>]>",
        "<?xml version='1.0'?><!DOCTYPE stream>",
        "<?xml version='1.0'?>\n<!DOCTYPE stream>",
    ] {
        let error = XmlError::Restricted("document type declarations");
        assert_eq!(scan(format!("{input}{HEADER}")), [Seen::Error(error)], "{input}");
    }
    let comment = XmlError::Restricted("comments");
    assert_eq!(scan(format!("<!-- x -->{HEADER}")), [Seen::Error(comment)]);
    let instruction = XmlError::Restricted("processing instructions");
    for input in ["<?xml-stylesheet href='x'?>", "<?x?>", "<?xmlx?>"] {
        assert_eq!(scan(format!("{input}{HEADER}")), [Seen::Error(instruction)], "{input}");
    }
}

#[test]
fn rfc6120_11_1_only_the_five_entities() {
    let error = XmlError::Restricted("entities other than the predefined ones");
    refused("<a>&nbsp;</a>", error);
    refused("<a b='&lol9;'/>", error);
    refused("<a>&AMP;</a>", error);
}

#[test]
fn rfc6120_11_5_the_declaration_is_optional_first_and_of_version_1_0() {
    for input in [
        "<?xml version='1.0'?>",
        "<?xml version=\"1.0\" ?>\n",
        "<?xml version='1.0' encoding='UTF-8'?>",
        "<?xml version='1.0' encoding='utf-8' standalone='no' ?>",
        "<?xml version='1.0' standalone='yes'?>",
        "\n ",
    ] {
        assert_eq!(scan(format!("{input}{HEADER}")), [Seen::Header], "{input:?}");
    }
    for input in [
        "<?xml version='1.1'?>",
        "<?xml version='1.0'encoding='UTF-8'?>",
        "<?xml encoding='UTF-8'?>",
        "<?xml version='1.0' standalone='no' encoding='UTF-8'?>",
        "<?xml version='1.0' standalone='maybe'?>",
        "<?xml version='1.0' version='1.0'?>",
        "<?xml version='1.0' x='y'?>",
        "<?xml version='1.0' \u{e9}=''?>",
        "<?xml ?>",
    ] {
        let seen = scan(format!("{input}{HEADER}"));
        assert_eq!(seen, [Seen::Error(Malformation::Declaration.into())], "{input:?}");
    }
    let late = XmlError::Restricted("processing instructions");
    assert_eq!(scan(format!(" <?xml version='1.0'?>{HEADER}")), [Seen::Error(late)]);
    let endless = format!("<?xml version='1.0'{}", " ".repeat(1000));
    assert_eq!(scan(endless), [Seen::Error(Malformation::Declaration.into())]);
}
