//! The product's manual, as tests: real servers, real sockets, a real Redis.

/// Helpers: a server, a client, a Redis, a proxy, certificates.
mod support;

/// People talk in a room, alone and over Redis.
mod talk;

/// The two JSON dialects, and one room in which all three are spoken.
mod dialects;

/// What the JSON dialects refuse.
mod refusals;

/// One name, one connection; who is here.
mod presence;

/// The page, in a real browser.
mod page;

/// Pages, probes, and what is refused at the door.
mod web;

/// Bad input, and what it costs: its sender something, others nothing.
mod limits;

/// Many instances, one chat; what Redis shows of it.
mod cluster;

/// TLS and passwords towards Redis.
mod secure;

/// Redis goes away and comes back.
mod outage;

/// Stopping in good order.
mod shutdown;

/// The program itself: flags, variables, exit codes.
mod cli;
