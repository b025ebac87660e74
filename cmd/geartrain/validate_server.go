package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/geartrain/geartrain/flow/form"
	"github.com/geartrain/geartrain/flow/form/document"
	"github.com/geartrain/geartrain/gearman"
)

// serverCheckTime is how long asking the servers may take.
const serverCheckTime = 10 * time.Second

// serverCheck compares pipelines with what job servers offer. They are asked once.
type serverCheck struct {
	std     *streams
	logging *logFlags
	servers []string // none: nobody is asked

	facts *form.ServerFacts
}

// check finds what a file asks of the servers that they do not have.
func (c *serverCheck) check(ctx context.Context, file *form.File) ([]document.Problem, error) {
	if len(c.servers) == 0 {
		return nil, nil
	}
	if c.facts == nil {
		facts, err := c.ask(ctx)
		if err != nil {
			return nil, &codedError{exitNoServer, fmt.Errorf("ask the server what it offers: %w", err)}
		}
		c.facts = facts
	}
	return file.CheckServer(*c.facts), nil
}

// ask gives what all servers together offer: a function that one has, and a guarantee that all give.
func (c *serverCheck) ask(ctx context.Context) (*form.ServerFacts, error) {
	ctx, cancel := context.WithTimeout(ctx, serverCheckTime)
	defer cancel()
	client, err := newClient(c.std, c.logging, c.servers)
	if err != nil {
		return nil, err
	}
	guarantees, err := client.Guarantees(ctx)
	if err := errors.Join(err, client.Close()); err != nil {
		return nil, err
	}
	facts := &form.ServerFacts{Retention: true, Cancel: true, Late: true}
	for _, g := range guarantees {
		facts.Retention = facts.Retention && (g.Retention == gearman.Yes || g.Extension)
		facts.Cancel = facts.Cancel && g.Cancel == gearman.Yes
		facts.Late = facts.Late && g.Extension
	}
	for _, server := range c.servers {
		if err := offered(ctx, server, facts); err != nil {
			return nil, err
		}
	}
	return facts, nil
}

// offered adds the functions that workers of a server offer.
func offered(ctx context.Context, server string, facts *form.ServerFacts) error {
	admin, err := gearman.DialAdmin(ctx, gearman.AdminConfig{Server: server})
	if err != nil {
		return err
	}
	functions, err := admin.Functions(ctx)
	if err := errors.Join(err, admin.Close()); err != nil {
		return err
	}
	for _, f := range functions {
		if f.Available > 0 {
			facts.Functions = append(facts.Functions, f.Function)
		}
	}
	return nil
}
