// A component (XEP-0114) by an unmodified library: it answers every message with an echo from the address that the message was sent to.
//
// Arguments: domain, secret, address of the server.
package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"log"
	"net"
	"os"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/component"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

type message struct {
	stanza.Message
	Body string `xml:"body"`
}

func echo(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	if start.Name.Local != "message" {
		return nil
	}
	var got message
	whole := xmlstream.MultiReader(xmlstream.Token(*start), t)
	if err := xml.NewTokenDecoder(whole).Decode(&got); err != nil {
		return err
	}
	if got.Type == stanza.ErrorMessage || got.Body == "" {
		return nil
	}
	reply := message{
		Message: stanza.Message{ID: got.ID, To: got.From, From: got.To, Type: got.Type},
		Body:    "echo: " + got.Body,
	}
	return t.Encode(reply)
}

func run(domain, secret, server string) error {
	address, err := jid.Parse(domain)
	if err != nil {
		return err
	}
	connection, err := net.Dial("tcp", server)
	if err != nil {
		return err
	}
	session, err := component.NewSession(context.Background(), address, []byte(secret), connection)
	if err != nil {
		return err
	}
	fmt.Println("connected")
	return session.Serve(xmpp.HandlerFunc(echo))
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: components DOMAIN SECRET SERVER")
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}
