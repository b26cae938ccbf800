"""A component (XEP-0114) by the unmodified library slixmpp: it answers every message with an echo, from the address that
the message was sent to.

Arguments: domain, secret, host and port of the server.
"""

import sys

import slixmpp


class Echo(slixmpp.ComponentXMPP):
    def __init__(self, domain, secret, host, port):
        super().__init__(domain, secret, host, port)
        self.add_event_handler("session_start", lambda _: print("connected", flush=True))
        self.add_event_handler("message", self.echo)

    def echo(self, message):
        if message["type"] != "error" and message["body"]:
            reply = message.reply("echo: " + message["body"])
            reply["id"] = message["id"]
            reply.send()


domain, secret, host, port = sys.argv[1:]
echo = Echo(domain, secret, host, int(port))
echo.connect()
echo.process(forever=True)
