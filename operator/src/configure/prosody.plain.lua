s2s_require_encryption = false
s2s_secure_auth = false
