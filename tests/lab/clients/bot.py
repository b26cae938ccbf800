"""An echo bot as a component. Arguments: its domain, the file of its secret, the engine's host."""

import asyncio
import sys
from pathlib import Path

from slixmpp import ComponentXMPP

DOMAIN, SECRET, HOST = sys.argv[1:]


class Echo(ComponentXMPP):
    def __init__(self):
        super().__init__(DOMAIN, "", HOST, 5347)
        self.auto_authorize = None  # greet() approves
        self.auto_subscribe = False
        self.register_plugin("xep_0030")  # service discovery
        self.register_plugin("xep_0199")  # ping, which BackendReady needs
        self.add_event_handler("message", self.echo)
        self.add_event_handler("presence_subscribe", self.greet)
        self.add_event_handler("disconnected", lambda _: asyncio.get_event_loop().call_later(1, self.enter))

    def enter(self):
        # It may have been replaced.
        self.secret = Path(SECRET).read_text().strip()
        self.connect()

    def echo(self, message):
        if message["type"] in ("chat", "normal") and message["body"]:
            message.reply(message["body"]).send()

    def greet(self, presence):
        pair = {"pto": presence["from"].bare, "pfrom": presence["to"].bare}
        self.send_presence(ptype="subscribed", **pair)
        self.send_presence(pstatus="I repeat what you say", **pair)


bot = Echo()
bot.enter()
asyncio.get_event_loop().run_forever()
