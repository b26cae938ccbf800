//! The settings of a server for people: those of the interoperability matrix, with accounts and the modules of the files in
//! `servers/`.

use std::net::IpAddr;

use harness::launch::Launch;
use interop::release::Release;
use interop::site::{CLIENTS, Site};
use lab::manifest::fill;

use crate::domain::Domain;
use crate::error::{FlowError, Result};

const PROSODY: &str = include_str!("../servers/prosody.lua");
const PROSODY_HOST: &str = "VirtualHost \"${DOMAIN}\"\nssl = { certificate = \"${KEY_PAIR}.crt\", key = \"${KEY_PAIR}.key\" }\n";
/// Follows the service of files: several of them have one address.
const PROSODY_PATH: &str = "  http_paths = { file_share = \"/${DNS_NAME}\" }\n";
const EJABBERD: &str = include_str!("../servers/ejabberd.yml");
const PROSODY_SERVICES: &str = include_str!("../servers/prosody.services.lua");
const PROSODY_HTTP: &str = include_str!("../servers/prosody.http.lua");
const EJABBERD_SERVICES: &str = include_str!("../servers/ejabberd.services.yml");
const EJABBERD_HTTP: &str = include_str!("../servers/ejabberd.http.yml");
const JABBERD2_SM: &str = include_str!("../servers/jabberd2.sm.xml");
const JABBERD2_C2S: &str = include_str!("../servers/jabberd2.c2s.xml");

/// Accounts may follow each other quickly. The access rule is that of the default configuration.
const EJABBERD_RULES: &str = "registration_timeout: infinity\nacl: {local: {user_regexp: \"\"}}\naccess_rules: {local: {allow: local}}\n";

/// The port of links to files.
pub(crate) const HTTP: u16 = 5280;

/// Its files and commands.
pub(crate) fn launch(release: Release, site: &Site) -> Result<Launch> {
    let mut launch = release.launch(site)?;
    let domain = ("DOMAIN", site.domain.as_str());
    let address = site.address.to_string();
    let upload = format!("http://{address}:{HTTP}");
    let services = [
        domain,
        ("ADDRESS", address.as_str()),
        ("INTERFACE", address.as_str()),
        ("DATA", "/run"),
        ("KEY_PAIR", "/run/peer"),
        ("UPLOAD_HOST", address.as_str()),
        ("UPLOAD_URL", upload.as_str()),
    ];
    match release {
        Release::Prosody0_12 | Release::Prosody13 => {
            change(&mut launch, "prosody.cfg.lua", |settings| {
                let http = fill(PROSODY_HTTP, &services);
                let (people, services) =
                    (fill(PROSODY, &[domain]), fill(PROSODY_SERVICES, &services));
                format!("{http}{settings}{people}{services}")
            })
        }
        Release::Ejabberd23 | Release::Ejabberd24 => {
            change(&mut launch, "ejabberd.yml", |settings| {
                // Accounts that clients register, instead of any name without a password.
                let http = fill(EJABBERD_HTTP, &services);
                let settings = settings
                    .replace("[anonymous]", "[internal]")
                    .replace("module: ejabberd_c2s}", "module: ejabberd_c2s, starttls: true}")
                    .replace("modules:\n", &format!("{http}modules:\n"));
                let (people, services) =
                    (fill(EJABBERD, &[domain]), fill(EJABBERD_SERVICES, &services));
                format!("{EJABBERD_RULES}{settings}{people}{services}")
            })
        }
        Release::Jabberd2 => {
            change(&mut launch, "sm.xml", |settings| {
                session_manager(settings, &site.domain, "/run/store")
            })?;
            change(&mut launch, "c2s.xml", |settings| {
                let at = [
                    ("KEY_PAIR", "/run/peer.pem"),
                    ("ACCOUNTS", "/run/accounts"),
                    ("ADDRESS", address.as_str()),
                ];
                clients(settings, &site.domain, &at)
            })?;
            // Where its accounts are.
            launch.files.push(("accounts/.keep".to_owned(), String::new()));
            Ok(())
        }
    }?;
    Ok(launch)
}

/// The manifest of a server in a pod of the lab, with the same settings for people. Links to files lead to `upload`.
pub(crate) fn in_pod(release: Release, manifest: &str, domain: &str, upload: IpAddr) -> String {
    let (host, url) = (upload.to_string(), format!("http://{upload}:{HTTP}"));
    let prosody = matches!(release, Release::Prosody0_12 | Release::Prosody13);
    let values = [
        ("DOMAIN", domain),
        ("ADDRESS", "0.0.0.0"),
        ("INTERFACE", "*"),
        ("DATA", if prosody { "/var/lib/prosody" } else { "/var/lib/ejabberd" }),
        ("KEY_PAIR", "/etc/federation/tls/tls"),
        ("UPLOAD_HOST", &host),
        ("UPLOAD_URL", &url),
    ];
    let filled = |text: &str| in_manifest(text, &values);
    if release == Release::Jabberd2 {
        return jabberd2_in_pod(manifest, domain);
    }
    if prosody {
        let (head, rest) = manifest.split_once("\n---\n").unwrap_or((manifest, ""));
        let head = head
            .replace("c2s_require_encryption = true", "c2s_require_encryption = false")
            .replace("debug = ", "info = ")
            .replacen("    data_path", &format!("{}    data_path", filled(PROSODY_HTTP)), 1);
        let (people, services) = (filled(PROSODY), filled(PROSODY_SERVICES));
        return format!("{head}\n{people}{services}---\n{rest}");
    }
    let (people, services) = (filled(EJABBERD), filled(EJABBERD_SERVICES));
    let usual = between(manifest, "    modules:\n", "  # Erlang");
    let modules = format!("      mod_ping: {{}}\n      mod_s2s_dialback: {{}}\n{people}{services}");
    manifest
        .replace("[anonymous]", "[internal]")
        .replace("starttls_required: true", "starttls: true")
        .replace(usual, &modules)
        .replacen("    listen:\n", &format!("{}    listen:\n", filled(EJABBERD_RULES)), 1)
        .replacen("    modules:\n", &format!("{}    modules:\n", filled(EJABBERD_HTTP)), 1)
}

/// The same for jabberd2, whose settings for people are in two files.
fn jabberd2_in_pod(manifest: &str, domain: &str) -> String {
    const SM_FILE: &str = "  sm.xml: |\n";
    const C2S_FILE: &str = "  c2s.xml: |\n";
    /// A directory that it may write to.
    const DATA: &str = "/var/lib/jabberd2";
    let sm = between(manifest, SM_FILE, C2S_FILE);
    let c2s = between(manifest, C2S_FILE, "---\n");
    let at = [
        ("KEY_PAIR", "/etc/federation/tls/tls-combined.pem"),
        ("ACCOUNTS", DATA),
        ("ADDRESS", "0.0.0.0"),
    ];
    manifest
        .replace(sm, &in_manifest(&session_manager(sm, domain, DATA), &[]))
        .replace(c2s, &in_manifest(&clients(c2s, domain, &at), &[]))
}

/// The settings of jabberd2's session manager for people, with what other settings of it say about the router.
fn session_manager(settings: &str, domain: &str, store: &str) -> String {
    let values = [("DOMAIN", domain), ("STORE", store)];
    fill(JABBERD2_SM, &[&values[..], &from_settings(settings)].concat())
}

/// The same for the program that its clients connect to.
fn clients(settings: &str, domain: &str, at: &[(&str, &str)]) -> String {
    let port = CLIENTS.to_string();
    let values = [("DOMAIN", domain), ("PORT", port.as_str())];
    fill(JABBERD2_C2S, &[&values[..], &from_settings(settings), at].concat())
}

/// How a program of jabberd2 finds the router, its log, and the directory of its modules.
fn from_settings(settings: &str) -> [(&'static str, &str); 2] {
    [
        ("ROUTER", between(settings, "</id>", "<local>").trim()),
        ("MODULES", between(settings, "<path>", "</path>")),
    ]
}

/// The settings are a text in the manifest, four spaces deep.
fn in_manifest(text: &str, values: &[(&str, &str)]) -> String {
    fill("    ${TEXT}\n", &[("TEXT", &fill(text, values))])
}

/// The settings of the partner of the lab for people of these domains, with the key pair in that file. Links to
/// files lead to `upload`.
pub(crate) fn outside(
    settings: &str,
    domains: &[&Domain],
    key_pair: &str,
    upload: IpAddr,
) -> String {
    let (host, url) = (upload.to_string(), format!("http://{upload}:{HTTP}"));
    let settings = settings
        .replace("c2s_require_encryption = true", "c2s_require_encryption = false")
        .replace("debug = ", "info = ");
    let mut text = format!("{}{settings}", fill(PROSODY_HTTP, &[("INTERFACE", "*")]));
    for domain in domains {
        let values = [
            ("DOMAIN", domain.address.as_str()),
            // A path of HTTP has no other characters than ASCII (RFC 3986 §2).
            ("DNS_NAME", &domain.dns),
            ("KEY_PAIR", key_pair),
            ("UPLOAD_HOST", &host),
            ("UPLOAD_URL", &url),
        ];
        for part in [PROSODY_HOST, PROSODY, PROSODY_SERVICES, PROSODY_PATH] {
            text.push_str(&fill(part, &values));
        }
    }
    text
}

/// Changes one of its files.
fn change(launch: &mut Launch, name: &str, to: impl FnOnce(&str) -> String) -> Result<()> {
    let file = launch.files.iter_mut().find(|(file, _)| file == name);
    let (_, content) = file.ok_or_else(|| FlowError::Client {
        who: name.to_owned(),
        reason: "the server has no such file".to_owned(),
    })?;
    *content = to(content);
    Ok(())
}

/// The text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).map_or("", |(_, rest)| rest);
    rest.split_once(after).map_or("", |(found, _)| found)
}
