"""Many people in one component (XEP-0114), told what to do by lines of JSON and telling what happens by lines of JSON.

src/driver.rs has the commands and events. Arguments: the domain, the file of the secret, the host and port of the engine.
The component does for its people what a server does: their contact lists, subscriptions and presence (RFC 6121). For each
client it answers service discovery, version, ping, last activity and receipts.
"""

import asyncio
import json
import re
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path
from xml.sax.saxutils import quoteattr

from slixmpp import JID, ComponentXMPP
from slixmpp.xmlstream import tostring

DOMAIN, SECRET, HOST, PORT = sys.argv[1:]
NS = "jabber:component:accept"
ROSTER = "jabber:iq:roster"
FEATURES = [
    "http://jabber.org/protocol/disco#info",
    "jabber:iq:last",
    "jabber:iq:version",
    "urn:xmpp:avatar:metadata+notify",
    "urn:xmpp:ping",
]


def tell(event, client, **fields):
    print(json.dumps({"event": event, "client": client, **fields}), flush=True)


class Contact:
    def __init__(self):
        self.to = self.since = self.ask = self.waiting = False  # `since`: the contact sees us, `waiting`: wants to
        self.name, self.groups, self.listed = None, [], False

    def subscription(self):
        return {(False, False): "none", (True, False): "to", (False, True): "from"}.get((self.to, self.since), "both")

    def item(self, jid):
        fields = {"jid": jid, "subscription": self.subscription()}
        fields |= {"name": self.name} if self.name else {}
        fields |= {"ask": "subscribe"} if self.ask else {}
        item = ET.Element(f"{{{ROSTER}}}item", fields)
        for group in self.groups:
            ET.SubElement(item, f"{{{ROSTER}}}group").text = group
        return item


class Component(ComponentXMPP):
    def __init__(self):
        super().__init__(DOMAIN, Path(SECRET).read_text().strip(), HOST, int(PORT))
        self.roster.auto_authorize = None
        self.roster.auto_subscribe = False
        # Not the time (XEP-0202): the library cannot read what it writes.
        for name in ("xep_0012", "xep_0030", "xep_0115", "xep_0199"):
            self.register_plugin(name)
        self.register_plugin("xep_0092", {"software_name": "flows", "version": "1"})
        self.add_filter("out", self.answered)
        self.ready = asyncio.Event()
        self.add_event_handler("session_start", self.on_session)
        self.clients = {}  # address of each client -> its number
        self.presence = {}  # address of each available client -> its last presence
        self.directed = defaultdict(set)  # address of each client -> to whom else it is available
        self.contacts = defaultdict(lambda: defaultdict(Contact))  # account -> contact -> state

    def on_session(self, _):
        # Active since now; without it, the library has no answer.
        self["xep_0012"].begin_idle(JID(DOMAIN))
        self.ready.set()

    # What clients do.

    async def login(self, number, address):
        await self.ready.wait()
        self.clients[address] = number
        self.contacts[JID(address).bare]  # The account exists from now on.
        disco = self["xep_0030"]
        await disco.add_identity(category="client", itype="bot", name="flows", jid=JID(address))
        for feature in FEATURES:
            await disco.add_feature(feature, jid=JID(address))
        self["xep_0012"].begin_idle(JID(address))
        tell("online", number, jid=address)

    async def present(self, address):
        """Presence with the capabilities of the client (XEP-0115)."""
        caps = self["xep_0115"]
        await caps.update_caps(jid=JID(address), broadcast=False)
        ver = await caps.get_verstring(JID(address))
        self.say(
            address,
            f"<presence><c xmlns='http://jabber.org/protocol/caps' hash='{caps.hash}' node='{caps.caps_node}' ver='{ver}'/></presence>",
        )

    def logout(self, address):
        if address in self.presence:
            self.say(address, "<presence type='unavailable'/>")
        # RFC 6121 section 4.6.3.
        for contact in self.directed.pop(address, ()):
            self.pass_on(address, "<presence type='unavailable'/>", contact)
        self.clients.pop(address, None)

    def say(self, address, text):
        stanza = ET.fromstring(f"<s xmlns='{NS}'>{text}</s>")[0]
        me, to, kind = JID(address).bare, stanza.get("to"), stanza.get("type")
        name = stanza.tag.partition("}")[2]
        if name == "presence" and kind in ("subscribe", "subscribed", "unsubscribe", "unsubscribed"):
            self.subscribe(me, JID(to).bare, kind, text)
        elif name == "presence" and to is None:
            self.broadcast(address, text, kind)
        elif name == "presence" and kind is None:
            self.directed[address].add(to)
            self.pass_on(address, text)
        elif name == "iq" and to in (None, me) and kind in ("get", "set"):
            self.own(address, stanza)
        else:
            self.pass_on(address, text)

    def pass_on(self, sender, text, to=None):
        """The bytes of a client's stanza, with its sender."""
        start = f" from={quoteattr(sender)}" + (f" to={quoteattr(to)}" if to else "")
        text = re.sub(r"^<(\w+)", lambda tag: tag.group(0) + start, text)
        stanza = ET.fromstring(f"<s xmlns='{NS}'>{text}</s>")[0]
        if JID(stanza.get("to")).domain == DOMAIN:
            self.loop.call_soon(self._spawn_event, stanza)
        else:
            self.send_raw(text)

    def broadcast(self, address, text, kind):
        me, known = JID(address).bare, address in self.presence
        if kind == "unavailable":
            self.presence.pop(address, None)
        else:
            self.presence[address] = text
        for contact, state in self.contacts[me].items():
            if state.since:
                self.pass_on(address, text, contact)
            if not known and kind is None:
                if state.to:
                    self.pass_on(me, "<presence type='probe'/>", contact)
                if state.waiting:
                    self.show(address, f"<presence type='subscribe' from={quoteattr(contact)} to={quoteattr(me)}/>")

    def own(self, address, stanza):
        """A request to the own account: only the contact list exists."""
        me, answer = JID(address).bare, ET.Element(f"{{{NS}}}iq", {"id": stanza.get("id"), "to": address})
        query = stanza.find(f"{{{ROSTER}}}query")
        answer.set("type", "error" if query is None else "result")
        if query is None:
            error = ET.SubElement(answer, f"{{{NS}}}error", {"type": "cancel"})
            ET.SubElement(error, "{urn:ietf:params:xml:ns:xmpp-stanzas}service-unavailable")
        elif stanza.get("type") == "get":
            result = ET.SubElement(answer, f"{{{ROSTER}}}query")
            result.extend(state.item(jid) for jid, state in self.contacts[me].items() if state.listed)
        else:
            for item in query:
                self.change(me, item)
        self.report(address, answer)

    def change(self, me, item):
        contact = JID(item.get("jid")).bare
        state = self.contacts[me][contact]
        if item.get("subscription") == "remove":
            if state.to or state.ask:
                self.pass_on(me, "<presence type='unsubscribe'/>", contact)
            if state.since:
                self.pass_on(me, "<presence type='unsubscribed'/>", contact)
                self.disappear(me, contact)
            del self.contacts[me][contact]
            self.push(me, ET.Element(f"{{{ROSTER}}}item", {"jid": contact, "subscription": "remove"}))
            return
        state.listed, state.name = True, item.get("name")
        state.groups = [group.text for group in item]
        self.push(me, state.item(contact))

    def subscribe(self, me, contact, kind, text):
        """RFC 6121 section 3 and appendix A, of the one who sends."""
        state = self.contacts[me][contact]
        before = (state.subscription(), state.ask)
        if kind == "subscribe":
            state.ask, state.listed = not state.to, True
        elif kind == "unsubscribe":
            state.to = state.ask = False
        elif kind == "subscribed":
            state.since, state.waiting, state.listed = state.since or state.waiting, False, True
        self.pass_on(me, text)
        if kind == "subscribed":
            for address, presence in self.presence.items():
                if state.since and JID(address).bare == me:
                    self.pass_on(address, presence, contact)
        if kind == "unsubscribed":
            if state.since:
                self.disappear(me, contact)
            state.since = state.waiting = False
        if before != (state.subscription(), state.ask):
            self.push(me, state.item(contact))

    def disappear(self, me, contact):
        for address in self.presence:
            if JID(address).bare == me:
                self.pass_on(address, "<presence type='unavailable'/>", contact)

    # What clients receive.

    def show(self, address, text):
        self.report(address, ET.fromstring(f"<s xmlns='{NS}'>{text}</s>")[0])

    def report(self, address, stanza):
        if address in self.clients:
            text = tostring(stanza, xmlns=NS).replace(f'xmlns="{NS}"', "")
            text = re.sub(r"^<(\w+)", r'<\1 xmlns="jabber:client"', text)
            tell("stanza", self.clients[address], xml=text)

    def push(self, me, item):
        for address in self.clients:
            if JID(address).bare == me:
                push = ET.Element(f"{{{NS}}}iq", {"type": "set", "id": "push", "to": address})
                ET.SubElement(push, f"{{{ROSTER}}}query").append(item)
                self.report(address, push)

    def answered(self, stanza):
        """An answer of the library to one of our own people does not leave."""
        to = stanza.xml.get("to")
        if to and JID(to).domain == DOMAIN:
            self.loop.call_soon(self._spawn_event, stanza.xml)
            return None
        return stanza

    def _spawn_event(self, xml):
        # Before any handler of the library.
        to, kind, name = JID(xml.get("to") or DOMAIN), xml.get("type"), xml.tag.partition("}")[2]
        if not to.local or name not in ("message", "presence", "iq"):
            return super()._spawn_event(xml)
        if name == "presence" and self.received(to.bare, JID(xml.get("from")).bare, kind, xml):
            return
        if name == "iq":
            if to.bare not in self.contacts and kind in ("get", "set"):
                return self.refuse(xml)
            self.report(to.full, xml)
            return super()._spawn_event(xml)
        there = [to.full] if to.full in self.clients else [one for one in self.presence if JID(one).bare == to.bare]
        for address in there:
            self.report(address, xml)
        if there and name == "message" and xml.find("{urn:xmpp:receipts}request") is not None and kind != "error":
            # By itself, the library answers without an address.
            received = f"<received xmlns='urn:xmpp:receipts' id={quoteattr(xml.get('id'))}/>"
            self.pass_on(there[0], f"<message>{received}</message>", xml.get("from"))
        if name == "message" and not there and kind != "error":
            self.refuse(xml)

    def refuse(self, xml):
        refusal = self._build_stanza(xml).reply(clear=False)
        refusal["type"], refusal["id"] = "error", xml.get("id")
        refusal["error"]["type"], refusal["error"]["condition"] = "cancel", "service-unavailable"
        refusal.send()

    def received(self, me, contact, kind, xml):
        """RFC 6121 section 3 and appendix A, of the one who receives. Whether nothing is to be shown."""
        if me not in self.contacts:
            if kind in ("subscribe", "probe"):
                self.pass_on(me, "<presence type='unsubscribed'/>", contact)
            return True
        known = self.contacts[me]
        state = known[contact] if kind == "subscribe" else known.get(contact, Contact())
        before = (state.subscription(), state.ask)
        if kind == "probe":
            for address, presence in self.presence.items():
                if state.since and JID(address).bare == me:
                    self.pass_on(address, presence, xml.get("from"))
            return True
        if kind == "subscribe":
            if state.since:
                self.pass_on(me, "<presence type='subscribed'/>", contact)
            state.waiting = not state.since
            return state.since
        if kind == "subscribed":
            state.to, state.ask = state.to or state.ask, False
        elif kind == "unsubscribed":
            state.to = state.ask = False
        elif kind == "unsubscribe":
            if state.since:
                self.disappear(me, contact)
            state.since = state.waiting = False
        if before != (state.subscription(), state.ask):
            self.push(me, state.item(contact))
        return False


async def main():
    component, addresses = Component(), {}
    component.add_event_handler("disconnected", lambda _: asyncio.get_running_loop().call_later(1, component.connect))
    component.connect()
    lines = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        command = json.loads(line)
        number = command["client"]
        try:
            match command["do"]:
                case "login":
                    addresses[number] = command["jid"]
                    await component.login(number, command["jid"])
                case "send":
                    component.say(addresses[number], command["xml"])
                case "present":
                    await component.present(addresses[number])
                case "logout":
                    component.logout(addresses[number])
        except Exception as error:
            tell("failed", number, reason=f"{command['do']}: {error!r}")


asyncio.run(main())
