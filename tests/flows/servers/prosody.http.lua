-- In the global section. Without it, port 5280 is open on loopback only.
http_interfaces = { "${INTERFACE}" }
