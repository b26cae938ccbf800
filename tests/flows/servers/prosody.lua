-- Follows the settings of the host ${DOMAIN}: what people use.
modules_enabled = {
  "blocklist"; "carbons"; "disco"; "lastactivity"; "offline"; "pep"; "ping"; "private"; "register"; "time"; "uptime";
  "vcard4"; "vcard_legacy"; "version";
}
allow_registration = true
-- XEP-0191 section 3.2 requires it.
bounce_blocked_messages = true
