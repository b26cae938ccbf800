-- Rooms, nodes and files. Each is a domain of its own: list it in spec.domains.
Component "conference.${DOMAIN}" "muc"
  ssl = { certificate = "${KEY_PAIR}.crt", key = "${KEY_PAIR}.key" }
Component "pubsub.${DOMAIN}" "pubsub"
  ssl = { certificate = "${KEY_PAIR}.crt", key = "${KEY_PAIR}.key" }
  -- Who may create nodes.
  admins = { "publisher@${DOMAIN}" }
Component "upload.${DOMAIN}" "http_file_share"
  ssl = { certificate = "${KEY_PAIR}.crt", key = "${KEY_PAIR}.key" }
  -- The place that links lead to. HTTP does not pass the engine: send it to the server's port 5280.
  http_host = "${UPLOAD_HOST}"
  http_external_url = "${UPLOAD_URL}/"
