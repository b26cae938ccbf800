VirtualHost "${DOMAIN}"
  ssl = { certificate = "/etc/federation/tls/tls.crt", key = "/etc/federation/tls/tls.key" }
