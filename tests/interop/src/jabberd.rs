//! jabberd2 2.7: a router, and three programs that connect to it.

use std::net::{Ipv4Addr, SocketAddr};

use harness::launch::{Launch, Program};

use super::cell::Encryption;
use super::site::{CLIENTS, SERVERS, Site};

/// Directory of its modules.
const MODULES: &str = "/usr/lib/x86_64-linux-gnu/jabberd2";
/// Shared secret of its programs.
const SECRET: &str = "among ourselves";
/// The router's port.
const ROUTER: u16 = 5347;

/// Its settings and commands. The session manager listens on no port; a client's login shows that it runs.
pub(crate) fn launch(site: &Site) -> Launch {
    let file = |name: &str, content: String| (name.to_owned(), content);
    let router = router_address(site);
    let users =
        format!("<users><user><name>jabberd</name><secret>{SECRET}</secret></user></users>");
    Launch {
        files: vec![
            file("router.xml", router_config(router)),
            file("router-users.xml", users),
            file("sm.xml", session_manager(&site.domain, router)),
            file("c2s.xml", clients(site, router)),
            file("s2s.xml", servers(site, router)),
            file("peer.pem", format!("{}{}", site.identity.certificate, site.identity.key)),
            file("ca.pem", site.authority.clone()),
            file("resolv.conf", format!("nameserver {}\n", site.dns)),
            file("hosts", "127.0.0.1 localhost\n".to_owned()),
            file("store/.keep", String::new()),
        ],
        programs: vec![
            program("router", vec![router]),
            program("sm", Vec::new()),
            program("s2s", vec![site.at(SERVERS)]),
            program("c2s", vec![site.at(CLIENTS)]),
        ],
    }
}

fn program(name: &'static str, listens: Vec<SocketAddr>) -> Program {
    Program {
        name,
        command: vec![
            format!("/usr/sbin/jabberd2-{name}"),
            "-c".to_owned(),
            format!("/run/{name}.xml"),
        ],
        environment: Vec::new(),
        listens,
        says: None,
    }
}

/// Every cell has its own router, on the address of the cell's name server.
fn router_address(site: &Site) -> SocketAddr {
    let address: Ipv4Addr = site.dns;
    SocketAddr::from((address, ROUTER))
}

fn router_config(router: SocketAddr) -> String {
    let (ip, port) = (router.ip(), router.port());
    format!(
        "<router><id>router</id>{LOG}
<local><ip>{ip}</ip><port>{port}</port><users>/run/router-users.xml</users><secret>{SECRET}</secret></local>
<check><interval>60</interval></check>
<io><max_fds>256</max_fds><access><order>allow,deny</order></access></io>
<aci><acl type='all'><user>jabberd</user></acl></aci></router>
"
    )
}

const LOG: &str = "<log type='stdout'/>";

/// How a program finds the router.
fn to_router(router: SocketAddr) -> String {
    let (ip, port) = (router.ip(), router.port());
    format!(
        "<router><ip>{ip}</ip><port>{port}</port><user>jabberd</user><pass>{SECRET}</pass>
<retry><init>20</init><lost>1</lost><sleep>1</sleep></retry></router>{LOG}"
    )
}

fn session_manager(domain: &str, router: SocketAddr) -> String {
    let to_router = to_router(router);
    let chain = |id: &str, modules: &[&str]| {
        let modules = format!("<module>{}</module>", modules.join("</module><module>"));
        format!("<chain id='{id}'>{modules}</chain>")
    };
    let chains = [
        chain("in-sess", &["validate", "roster", "iq-ping", "presence", "deliver"]),
        chain("in-router", &["session", "validate", "presence"]),
        chain("pkt-sm", &["iq-ping", "presence"]),
        chain("pkt-user", &["roster", "presence", "deliver"]),
        chain("pkt-router", &["session"]),
        chain("user-load", &["active", "roster"]),
        chain("user-create", &["active"]),
    ]
    .concat();
    format!(
        "<sm><id>sm</id>{to_router}
<local><id>{domain}</id></local>
<storage><path>{MODULES}</path><driver>fs</driver><fs><path>/run/store</path></fs></storage>
<modules><path>{MODULES}</path>{chains}</modules>
<user><auto-create/></user></sm>
"
    )
}

/// Any user may log in.
fn clients(site: &Site, router: SocketAddr) -> String {
    let (to_router, domain, address) = (to_router(router), &site.domain, site.address);
    format!(
        "<c2s><id>c2s</id>{to_router}
<local><id>{domain}</id><ip>{address}</ip><port>{CLIENTS}</port></local>
<io><max_fds>256</max_fds><access><order>allow,deny</order></access></io>
<authreg><path>{MODULES}</path><module>anon</module>
<mechanisms><sasl><anonymous/></sasl></mechanisms></authreg></c2s>
"
    )
}

fn servers(site: &Site, router: SocketAddr) -> String {
    let (to_router, address) = (to_router(router), site.address);
    let tls = match site.settings.encryption {
        Encryption::Off => "",
        Encryption::Optional | Encryption::Required => "<pemfile>/run/peer.pem</pemfile>",
    };
    let required = match site.settings.encryption {
        Encryption::Required => "<require_tls/>",
        Encryption::Optional | Encryption::Off => "",
    };
    format!(
        "<s2s><id>s2s</id>{to_router}
<local><ip>{address}</ip><port>{SERVERS}</port><origins><ip>{address}</ip></origins>
<secret>{SECRET}</secret>{tls}</local>
<io><max_fds>256</max_fds></io>
<check><interval>1</interval><queue>8</queue></check>
<lookup><srv>xmpp-server</srv><resolve-ipv6/></lookup>
<security>{required}</security></s2s>
"
    )
}
