//! The product's manual, as tests: real servers, real sockets, a real Redis.

/// Helpers: a server, a client, a Redis, a proxy, certificates.
mod support;

/// People talk in a room, alone and over Redis.
mod talk;

/// The two JSON dialects, and one room in which all three are spoken.
mod dialects;

/// Private conversations.
mod conversation_faults;
mod conversations;

/// Names that wait for their holders, and what waits with them.
mod kept_names;

/// Order in a room: moderators kick, ban and mute.
mod moderation;

/// Messages taken back.
mod taken_back;

/// Order in a room after restarts and interruptions.
mod kept_order;

/// What the JSON dialects refuse.
mod refusals;

/// Which spellings are the same name, which names are refused, and how names are shown.
mod names;

/// One name, one connection; the members of a room.
mod presence;

/// History: replay, and pages of it.
mod history;

/// Messages sent again.
mod references;

/// The page, in a real browser.
mod page;

/// The page's module, for pages and programs of others.
mod client_module;

/// The npm package of that module: what is in it, and its examples.
mod client_package;

/// The page in a frame of another page, and where nothing can be kept.
mod page_frame;

/// What moderators do, and what is taken back, on the page and in the client.
mod page_order;

/// Texts on the page: emoji, links.
mod page_text;

/// What is new on the page, and when it counts as seen.
mod page_unread;

/// What many messages cost the page.
mod page_busy;

/// Private conversations on the page.
mod page_private;

/// Writing from right to left on the page.
mod page_directions;

/// The page in its window: Back, zoom, a dropped file, the end of a day.
mod page_window;

/// How the page looks: contrast, small screens, long and strange texts, paper.
mod page_looks;

/// Writing on the page: commands, completion, what is too long.
mod page_writing;

/// Finding rooms and people on the page, and inviting others.
mod page_finding;

/// The menu of a message or a person on the page.
mod page_menu;

/// Commands of moderators on the page.
mod page_moderation;

/// Earlier messages on the page, also after an interruption.
mod page_history;

/// Where a reader is in a conversation on the page, and stays.
mod page_reader;
mod page_speed;

/// The page on a server that needs tokens.
mod page_token;

/// The page in other browsers: Firefox, WebKit.
mod page_browsers;

/// What keeps people from using the page.
mod page_barriers;

/// Names that are called, and notifications.
mod page_notifications;

/// The page as an app: installed, and without a connection.
mod page_app;

/// The page where no WebSocket opens, or one dies in silence.
mod page_connection;

/// The descriptions of the protocol for programs.
mod descriptions;

/// The page in a frame of another site.
mod embed;

/// Pages, probes, and refused requests.
mod web;

/// Where the server listens: addresses, ports, sockets from systemd.
mod listening;

/// Many connections at once, some of them silent.
mod arrivals;

/// Bad input closes or refuses its sender and disturbs nobody else.
mod limits;

/// Rate limits.
mod rates;

/// How much the logs of all rooms may take.
mod log_limits;

/// A connection that sends without a pause does not delay the others.
mod fairness;

/// Garbage for every parser.
mod garbage;

/// Limits for all connections together.
mod crowd;

/// Many abusive clients.
mod abuse;

/// Many instances are one chat; its keys in Redis.
mod cluster;

/// Another chat server on the same Redis.
mod other_servers;

/// Rosters and names: right again soon after each fault of Redis.
mod presence_faults;

/// Instances that die, freeze and come back.
mod dead_instances;

/// TLS and passwords towards Redis.
mod secure;

/// Passwords of Redis that a command prints, such as the tokens of Microsoft Entra ID.
mod tokens_redis;

/// The command that prints the password of Redis.
mod auth_command;

/// TLS towards clients: `https://` and `wss://`.
mod tls;

/// The server's certificate: its errors, and its renewal.
mod tls_files;

/// Tokens: the name, the rooms and the time that they grant.
mod tokens;

/// Tokens as identity providers make them: sets of keys, audiences, issuers, names.
mod tokens_providers;

/// Invalid tokens and keys.
mod tokens_bad;

/// `--issue`: the program makes a token itself.
mod tokens_issue;

/// Publishing by plain HTTP.
mod publish;

/// Reading by plain HTTP.
mod reading;

/// Following by plain HTTP: server-sent events.
mod following;

/// Followers: limits, pings and a stop; `curl` and a browser.
mod followers;

/// Publishing by plain HTTP from pages of other sites.
mod other_sites;

/// Redis goes away and comes back.
mod outage;

/// Partitions of a real network.
mod partition;

/// Redis fails in passing while messages are in flight.
mod overtaking;

/// A slow line to Redis.
mod slow_line;

/// Numbers and references: what is refused is not heard, and no log is lost for it.
mod numbers;

/// Redis goes back in time.
mod rollback;

/// Redis goes back in time in the middle of a join.
mod rollback_joins;

/// `/readyz`: whether the server is ready, and why not.
mod readiness;

/// One Redis takes over from another.
mod failover;

/// A Redis Cluster: rooms on many nodes, which fail and take over.
mod redis_cluster;

/// Sentinels know who the primary is.
mod sentinel;

/// The delivery ledger: under faults, no acknowledged message is lost or repeated.
mod ledger;

/// A graceful stop.
mod shutdown;

/// A service of systemd: its socket, its credentials, its watchdog, its journal.
mod service;

/// The metrics for Prometheus, and the dashboard's queries.
mod metrics;

/// Signals, closed files, a full disk, few files, a clock that jumps.
mod system_faults;

/// `--check`: problems found before the server runs.
mod check;

/// `--probe`: whether a running server is ready.
mod probe;

/// The rights that a user of Redis needs.
mod rights;

/// The program itself: flags, variables, exit codes.
mod cli;

/// The program itself: it serves, over TLS too, and stops; also for other processors.
mod program;

/// Installed files: man page, completions, settings.
mod deploy;

/// What a lone server keeps on disk.
mod data;

/// Power cuts and failing disks of a lone server.
mod data_faults;

/// Power cuts: every state of the disk that one can leave.
mod power_cuts;

/// Reverse proxies: which client address counts.
mod trusted_proxies;

/// Behind nginx.
mod proxy_nginx;
