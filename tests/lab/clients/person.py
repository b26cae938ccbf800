"""One person at an XMPP client, told what to do by lines of JSON and telling what happens by lines of JSON.

Commands on standard input, `{"do": NAME, ...}`:
  connect    jid, password, host, port, ca (file)     log in with TLS, verified against ca
  subscribe  to                                       add to the contacts and ask for presence
  approve    to                                       let the other see this presence
  remove     to                                       take off the contacts, subscriptions both ways end
  presence   show, status                             say how one is
  message    to, body, id                             a chat message
  ping       to, id                                   XEP-0199
  roster     -                                        tell the contacts
Events on standard output, `{"event": NAME, ...}`: online, offline, failed, subscribe, subscribed, unsubscribed, presence,
message, error, pong, removed, roster. Every event of somebody else has `from` (bare address).
"""

import asyncio
import inspect
import json
import sys

from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}, ensure_ascii=False), flush=True)


def cause(stanza):
    """The condition and text of an error stanza."""
    return {"condition": stanza["error"]["condition"], "text": stanza["error"]["text"]}


class Person(ClientXMPP):
    def __init__(self, jid, password, ca):
        super().__init__(jid, password)
        self.ca_certs = ca
        # Every subscription is answered by the scenario, never by the library.
        self.roster.auto_authorize = None
        self.roster.auto_subscribe = False
        self.register_plugin("xep_0199")
        # Within TLS, every server has it. SCRAM of slixmpp 1.8 fails where a server offers channel binding over TLS 1.3.
        self["feature_mechanisms"].use_mech = "PLAIN"
        for event, handler in {
            "session_start": self.on_session,
            "disconnected": lambda reason: tell("offline", reason=str(reason or "")),
            # Not the end: the library tries again.
            "connection_failed": lambda reason: tell("offline", reason=f"no connection: {reason}"),
            "failed_auth": lambda _: tell("failed", reason="the server does not accept the password"),
            "presence_subscribe": lambda p: tell("subscribe", **{"from": p["from"].bare}),
            "presence_subscribed": lambda p: tell("subscribed", **{"from": p["from"].bare}),
            "presence_unsubscribed": lambda p: tell("unsubscribed", **{"from": p["from"].bare}),
            # The library names the event after <show/> where there is one.
            **{f"presence_{show}": self.on_presence for show in ("available", "unavailable", "away", "chat", "dnd", "xa")},
            "presence_error": lambda p: tell("error", **{"from": p["from"].bare}, of="presence", **cause(p)),
            # The library gives an error to the one, and with a copy of the body to the other as well.
            "message": self.on_message,
            "message_error": self.on_message_error,
        }.items():
            self.add_event_handler(event, handler)

    def connect_to(self, host, port):
        # slixmpp 1.8 (Debian 12) has one parameter `address`, 1.10 (Debian 13) has `host` and `port`.
        if "address" in inspect.signature(self.connect).parameters:
            self.connect((host, port))
        else:
            self.connect(host, port)
        # It takes an IPv6 address for the server's domain, and expects it in the certificate.
        self.default_domain = self.boundjid.domain

    async def on_session(self, _):
        await self.get_roster()
        self.send_presence()
        tell("online", jid=self.boundjid.full)

    def on_presence(self, presence):
        if presence["from"].bare != self.boundjid.bare:
            kind = "unavailable" if presence["type"] == "unavailable" else presence["show"] or "available"
            tell("presence", **{"from": presence["from"].bare}, show=kind, status=presence["status"])

    def on_message(self, message):
        if message["type"] != "error":
            tell("message", **{"from": message["from"].bare}, id=message["id"], body=message["body"])

    def on_message_error(self, message):
        tell("error", of="message", **{"from": message["from"].bare}, id=message["id"], **cause(message))

    async def ask(self, to, number):
        try:
            await self["xep_0199"].send_ping(to, timeout=20)
            tell("pong", **{"from": to}, id=number)
        except IqError as error:
            tell("error", of="ping", **{"from": to}, id=number, **cause(error.iq))
        except IqTimeout:
            tell("error", of="ping", **{"from": to}, id=number, condition="timeout", text="")

    async def tell_roster(self):
        # Without a version: the library's own get_roster() asks only for what has changed (RFC 6121 section 2.6).
        query = self.make_iq_get()
        query.enable("roster")
        items = (await query.send())["roster"]["items"]
        tell("roster", contacts={jid.bare: item["subscription"] for jid, item in items.items()})

    def do(self, command):
        to = command.get("to")
        match command["do"]:
            case "subscribe":
                self.send_presence_subscription(pto=to, ptype="subscribe")
            case "approve":
                self.send_presence_subscription(pto=to, ptype="subscribed")
            case "remove":
                asyncio.ensure_future(self.forget(to))
            case "presence":
                self.send_presence(pshow=command.get("show"), pstatus=command.get("status"))
            case "message":
                message = self.make_message(mto=to, mbody=command["body"], mtype="chat")
                message["id"] = command["id"]
                message.send()
            case "ping":
                asyncio.ensure_future(self.ask(to, command["id"]))
            case "roster":
                asyncio.ensure_future(self.tell_roster())
            case other:
                tell("failed", reason=f"there is no command {other!r}")

    async def forget(self, to):
        query = self.make_iq_set()
        query["roster"]["items"] = {to: {"subscription": "remove"}}
        await query.send()
        tell("removed", **{"from": to})


async def main():
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    person = None
    while line := await lines.readline():
        command = json.loads(line)
        if command["do"] == "connect":
            person = Person(command["jid"], command["password"], command["ca"])
            person.connect_to(command["host"], command["port"])
        elif person is None:
            tell("failed", reason="the first command must be connect")
        else:
            person.do(command)
    if person is not None:
        await person.disconnect(wait=2.0)


asyncio.run(main())
