s2s_require_encryption = true
s2s_secure_auth = false
