-- The partner's server: an ordinary federating Prosody on the internet.
-- Peers prove themselves by certificate or, like our self-signed ones, by dialback over TLS.
data_path = "/var/lib/prosody"
certificates = "/etc/prosody"
log = { debug = "*console" }
interfaces = { "*", "::" }
authentication = "internal_hashed"
modules_enabled = { "roster", "saslauth", "tls", "dialback", "disco", "ping", "posix" }

c2s_require_encryption = true
s2s_require_encryption = true
s2s_secure_auth = false

VirtualHost "partner.example"
  ssl = { key = "/etc/prosody/partner.key", certificate = "/etc/prosody/partner.crt" }
