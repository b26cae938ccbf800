"""Many people at XMPP clients, told what to do by lines of JSON and telling what happens by lines of JSON.

src/driver.rs has the commands and events. Each client answers by itself what its library answers: service discovery,
version, ping, last activity, and receipts. Everything else is up to the scenario.
"""

import asyncio
import inspect
import json
import sys
import xml.etree.ElementTree as ET

from slixmpp import ClientXMPP

PLUGINS = {
    "xep_0012": {},  # last activity
    "xep_0030": {},  # service discovery
    "xep_0084": {},  # avatar, which announces urn:xmpp:avatar:metadata+notify
    "xep_0092": {"software_name": "flows", "version": "1"},
    "xep_0115": {},  # capabilities
    "xep_0184": {"auto_ack": True, "auto_request": False},
    "xep_0199": {},  # ping
}
STANZAS = {f"{{jabber:client}}{name}" for name in ("message", "presence", "iq")}


def tell(event, client, **fields):
    print(json.dumps({"event": event, "client": client, **fields}), flush=True)


class Person(ClientXMPP):
    def __init__(self, number, jid, password, ca):
        super().__init__(jid, password)
        self.number = number
        self.ca_certs = ca
        # Every subscription is answered by the scenario, never by the library.
        self.roster.auto_authorize = None
        self.roster.auto_subscribe = False
        for name, settings in PLUGINS.items():
            self.register_plugin(name, settings)
        # Within TLS, every server has it. SCRAM of slixmpp 1.8 fails where a server offers channel binding over TLS 1.3.
        self["feature_mechanisms"].use_mech = "PLAIN"
        self.add_event_handler("session_start", self.on_session)
        self.add_event_handler("disconnected", lambda _: tell("offline", number))
        self.add_event_handler("connection_failed", lambda reason: tell("failed", number, reason=str(reason)))
        self.add_event_handler("failed_auth", lambda _: tell("failed", number, reason="the password is not accepted"))

    def connect_to(self, host, port):
        # slixmpp 1.8 (Debian 12) has one parameter `address`, 1.10 (Debian 13) has `host` and `port`.
        if "address" in inspect.signature(self.connect).parameters:
            self.connect((host, port))
        else:
            self.connect(host, port)
        self.default_domain = self.boundjid.domain

    async def on_session(self, _):
        await self.get_roster()
        # Active now; without it, the library has no answer.
        self["xep_0012"].begin_idle(self.boundjid)
        tell("online", self.number, jid=self.boundjid.full)

    def _spawn_event(self, xml):
        # Before any handler, and whatever the handlers do.
        if xml.tag in STANZAS:
            tell("stanza", self.number, xml=ET.tostring(xml, encoding="unicode"))
        super()._spawn_event(xml)

    async def present(self, fields):
        # The library adds its capabilities.
        await self["xep_0115"].update_caps(broadcast=False)
        self.send_presence(**fields)


people = {}


def do(command):
    number = command["client"]
    match command["do"]:
        case "login":
            person = people[number] = Person(number, command["jid"], command["password"], command["ca"])
            person.connect_to(command["host"], command["port"])
        case "send":
            people[number].send_raw(command["xml"])
        case "present":
            asyncio.ensure_future(people[number].present({}))
        case "logout":
            people[number].disconnect(wait=2.0)


async def main():
    lines = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        command = json.loads(line)
        try:
            do(command)
        except Exception as error:
            tell("failed", command["client"], reason=f"{command['do']}: {error!r}")


asyncio.run(main())
