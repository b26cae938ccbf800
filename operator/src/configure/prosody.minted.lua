-- For server-to-server streams only. Every server that connects is the engine, with a valid certificate.
s2s_ssl = { cafile = "/etc/federation/ca/ca.crt" }
s2s_require_encryption = true
s2s_secure_auth = true
