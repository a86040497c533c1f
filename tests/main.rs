//! The product's manual, as tests: real servers, real sockets, a real Redis.

/// Helpers: a server, a client, a Redis, a proxy, certificates.
mod support;

/// People talk in a room, alone and over Redis.
mod talk;

/// The two JSON dialects, and one room in which all three are spoken.
mod dialects;

/// What the JSON dialects refuse.
mod refusals;

/// Which names are one, which are none, and how they are shown.
mod names;

/// One name, one connection; who is here.
mod presence;

/// What was said before: replay, and pages of it.
mod history;

/// Messages sent again.
mod references;

/// The page, in a real browser.
mod page;

/// The page again: what was said before, and while it was away.
mod page_past;

/// The page once more: the token that it was opened with.
mod page_token;

/// Pages, probes, and what is refused.
mod web;

/// Where it listens: addresses, ports, sockets of systemd.
mod listening;

/// Many who come at once, and some of them say nothing.
mod arrivals;

/// Bad input, and what it costs: its sender something, others nothing.
mod limits;

/// How fast somebody may speak.
mod rates;

/// The others have their turns, also beside a connection that sends without a pause.
mod fairness;

/// Garbage, for everything that parses.
mod garbage;

/// Many at once: what all of them together may take.
mod crowd;

/// Many who mean harm.
mod siege;

/// Many instances, one chat; what Redis shows of it.
mod cluster;

/// Instances that die, freeze and come back.
mod ghosts;

/// TLS and passwords towards Redis.
mod secure;

/// Passwords of Redis that a command prints, such as the tokens of Microsoft Entra ID.
mod tokens_redis;

/// The command that prints them.
mod auth_command;

/// TLS towards people: `https://` and `wss://`.
mod tls;

/// Their certificate: what is wrong with it, and how it is renewed.
mod tls_files;

/// Tokens: who may connect, as whom, where, and how long.
mod tokens;

/// Tokens as identity providers make them: sets of keys, audiences, issuers, names.
mod tokens_providers;

/// Tokens and keys that are not good.
mod tokens_bad;

/// `--issue`: the program makes a token itself.
mod tokens_issue;

/// Saying something by plain HTTP.
mod publish;

/// The same from pages of other sites.
mod other_sites;

/// Redis goes away and comes back.
mod outage;

/// Whether it is ready, and why not.
mod readiness;

/// One Redis takes over from another.
mod failover;

/// A Redis Cluster: rooms on many nodes, which die and change places.
mod redis_cluster;

/// Sentinels know who the primary is.
mod sentinel;

/// Everything goes wrong, and the books must balance.
mod ledger;

/// Stopping in good order.
mod shutdown;

/// A service of systemd: its socket, its credentials, its watchdog, its journal.
mod service;

/// What Prometheus is told, and what the dashboard asks for.
mod metrics;

/// What else may happen to a program.
mod hardship;

/// `--check`: what could be wrong, before it is.
mod check;

/// `--probe`: whether a server that runs is ready.
mod probe;

/// What a user of Redis must be allowed to.
mod rights;

/// The program itself: flags, variables, exit codes.
mod cli;

/// The program itself: it serves, over TLS as well, and stops; also one built for another processor.
mod program;

/// What is installed with it: man page, completions, the file of settings.
mod deploy;

/// Behind reverse proxies: whose address counts.
mod trusted_proxies;

/// Behind nginx.
mod proxy_nginx;
