//! The settings as plain values, which are also the flags of the command line. [`args`] reads them
//! from there and from the environment; a program that uses the library can set them itself.
//! Nothing else reads the environment.
//!
//! A flag is described only here. The doc comment is what `--help` says. The comment below it is
//! the manual's text: `make docs` writes it to the man page, the file of settings for systemd and
//! the manual, and its first sentence to the completions of the shells. It is Markdown with
//! paragraphs, lists with `*` and code in backticks. The first paragraph is all that the file of
//! settings has. Lines with a meaning of their own:
//!
//! * `Example:` a value for the file of settings, where the flag has no default.
//! * `Values:` all values, for the completions.
//! * `See:` the page of the manual that says more.
//! * `No variable.` the flag can't be set by a variable, because it is for one run.

pub mod args;
pub mod host;
pub mod networks;
pub mod origins;
mod redis;
#[cfg_attr(not(feature = "full"), path = "config/without_redis.rs")]
mod redis_url;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use argh::FromArgs;
use log::LevelFilter;

pub use host::Authority;
pub use networks::Network;
pub use origins::Origin;
pub use redis::{RedisAddress, RedisHost, Sentinels};
use redis_url::redis_url;
pub use values::TlsFiles;
use values::*;

/// A small chat server that any WebSocket client can talk to. Alone it needs nothing else; many
/// behind one Redis are one chat.
// The help is not Markdown: `[::]` in it is an address, and no link.
#[allow(rustdoc::broken_intra_doc_links)]
#[derive(FromArgs, Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// address and port to listen on, [::] for every one of IPv6 and IPv4; repeatable (default
    /// [::]:8080)
    // Address and port to listen on. `[::]` is every address of this machine: IPv6 and IPv4, or
    // only IPv4 on a machine without IPv6. `:8080` is port 8080 on every address. Under systemd,
    // `natterjack.socket` decides instead.
    //
    // If a service manager hands over listening sockets, all of these are used instead.
    #[argh(option, arg_name = "addr", from_str_fn(address))]
    pub listen: Vec<SocketAddr>,
    /// redis://, rediss:// (TLS), redis+unix:// or redis+sentinel:// (default: alone, in memory)
    // The Redis that makes many instances one chat. `redis://HOST:PORT`, with TLS `rediss://`, on
    // a socket `redis+unix://PATH`. `redis+sentinel://HOST,HOST/NAME` asks sentinels for the
    // primary called NAME; `rediss+sentinel://` does it with TLS. Without Redis the server runs
    // alone and keeps everything in memory.
    //
    // If the URL has no user or password, those of `REDIS_USERNAME` and `REDIS_PASSWORD` are used.
    // Example: rediss://redis.example.org:6379
    // See: redis.md
    #[argh(option, arg_name = "url", from_str_fn(redis_url))]
    pub redis: Option<RedisAddress>,
    /// PEM file of the private CA that signed Redis' certificate
    // PEM file of the private CA that signed the certificate of Redis. Without it, the built-in web
    // roots are used.
    // Example: /etc/natterjack/redis-ca.pem
    #[argh(option, arg_name = "file")]
    pub redis_ca: Option<PathBuf>,
    /// shell command that prints the password or token for Redis; run again before a token ends
    // A shell command that prints the password or token for Redis. It is used instead of
    // `REDIS_PASSWORD`, for example for Microsoft Entra ID.
    //
    // `/bin/sh` runs it. It must end within 10 seconds and print only a password, a token, or the
    // JSON of a token endpoint (`access_token`, `expires_on`). If the token says when it ends, the
    // command runs again before that, and connections stay. Any other password is asked for at each
    // connect. The user name is the token's `oid`, as Redis on Azure expects it, unless another
    // name is set.
    // Example: curl -sf -H Metadata:true 'http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fredis.azure.com'
    // See: azure.md#microsoft-entra-id
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "cmd", from_str_fn(command))]
    pub redis_auth_command: Option<String>,
    /// what every key and channel in Redis begins with (default chat)
    // Prefix of every key and channel in Redis. Chats with different prefixes can share a Redis.
    #[argh(
        option,
        arg_name = "name",
        default = "\"chat\".into()",
        from_str_fn(prefix)
    )]
    pub prefix: String,
    /// folder in which a server without Redis keeps what is said (default: only in memory)
    // Folder in which a server without Redis keeps messages, so that a restart or a power cut loses
    // none that was acknowledged. It is made if its parent exists. By default messages are kept only
    // in memory.
    //
    // Without this setting the folder is that of `STATE_DIRECTORY`, which systemd sets for a service
    // with `StateDirectory=`. With `--redis` it is not used.
    // Example: /var/lib/natterjack
    // See: data.md
    #[argh(option, arg_name = "dir", from_str_fn(folder))]
    pub data: Option<PathBuf>,
    /// messages kept per room (default 1000)
    // Messages that the log of a room keeps. In Redis, a log is deleted a week after its last
    // message, or earlier where all logs together would take more than `--max-history`.
    #[argh(option, arg_name = "n", default = "1000", from_str_fn(number::<_, 0, MILLION>))]
    pub history: usize,
    /// mebibytes that the logs of all rooms may take together (default: 128 in Redis, 16 in memory)
    // MiB that the logs of all rooms may take together. By default 128 in Redis and 16 in memory.
    // Above it, the logs that were silent longest are deleted.
    //
    // In Redis it is looked at every few seconds. A client that comes back with `since` is told that
    // messages are missing.
    // Example: 1024
    #[argh(option, arg_name = "mib", from_str_fn(mib))]
    pub max_history: Option<usize>,
    /// days for which a name and private messages wait for the holder (default 0)
    // Days for which a name waits for its holder after the last connection has ended. Private messages
    // to the holder wait for as long. With 0 it is a minute, for those who were only cut off.
    //
    // The holder is known by the session key or the token. A name without either is free at once, and
    // that of a guest after a minute.
    // Example: 30
    // See: protocol.md#private-conversations
    #[argh(option, arg_name = "days", default = "0", from_str_fn(number::<_, 0, DECADE>))]
    pub keep_names: u32,
    /// a site whose pages may connect, besides the server's own; repeatable, * for any
    // Another site whose pages may connect. Pages of the server itself always may; `*` allows all
    // sites.
    //
    // It also allows them to read rooms and to `POST` (CORS). `null` is for pages without an origin,
    // and `file://` for files on the reader's disk.
    // Example: https://chat.example.org,https://www.example.org
    // See: publishing.md#publish
    #[argh(option, arg_name = "origin", long = "origin", from_str_fn(origin))]
    pub origins: Vec<Origin>,
    /// a site whose pages may show the page in a frame; repeatable, * for any (default: nobody)
    // Site whose pages may show the page in a frame. By default no page may.
    //
    // The address of the frame may say the room and the name: `/?room=lobby&name=ann`. The page in a
    // frame connects as the server's own, so `--origin` is not needed for it. `*` allows all sites, also
    // those that lay something over the frame to misguide clicks.
    // Example: https://www.example.org
    // See: protocol.md#in-a-frame
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "origin", from_str_fn(site))]
    pub embed: Vec<Origin>,
    /// a name that this server goes by, requests for others being refused; repeatable (default: any)
    // Host name of this server. A request with another `Host` is answered with 421, also that of a
    // health check. By default every name is accepted.
    //
    // `NAME:PORT` allows the name with this port only.
    // Example: chat.example.org,localhost
    // See: security.md
    #[argh(option, arg_name = "name", long = "host", from_str_fn(host))]
    pub hosts: Vec<Authority>,
    /// bytes of the longest frame (default 16384)
    // Bytes of the longest frame. A longer one closes its connection with code 1009.
    #[argh(option, arg_name = "bytes", default = "16 * 1024", from_str_fn(number::<_, 64, MOST_MESSAGE>))]
    pub max_message: usize,
    /// messages a second under one name, 0 for no limit (default 20)
    // Messages per second of one user. It counts all connections of the user to this instance, and
    // allows bursts of three times as many. Excess messages are refused. 0 is no limit.
    //
    // Ten times the rate for 10 seconds closes the connection with code 1008. Messages of
    // connections without a name count for their address.
    #[argh(option, arg_name = "n", default = "20", from_str_fn(number::<_, 0, MILLION>))]
    pub rate: u32,
    /// kibibytes that may wait for one peer's socket (default 256)
    // KiB that may wait for one socket. A client that reads too slowly is closed with code 1013.
    #[argh(option, arg_name = "kib", default = "256 * 1024", from_str_fn(kib))]
    pub outbox: usize,
    /// mebibytes that may wait for all sockets together (default 64)
    // MiB that may wait for all sockets together. Above it, the clients with the longest queues are
    // closed with code 1013. It is at most a quarter of the memory.
    #[argh(
        option,
        arg_name = "mib",
        default = "64 * 1024 * 1024",
        from_str_fn(mib)
    )]
    pub max_queued: usize,
    /// connections that chat (default 10000, or what the file limit allows)
    // Chat connections. One more is answered with 503. There are fewer if the limit of open files
    // is lower; under systemd this is `LimitNOFILE=` in `natterjack.service`.
    #[argh(option, arg_name = "n", default = "10_000", from_str_fn(number::<_, 1, MILLION>))]
    pub max_peers: usize,
    /// the same from one address (default: no limit)
    // Chat connections from one address. One more is answered with 429. For IPv6, the addresses of
    // a /64 count as one. Behind a reverse proxy all clients have its address, unless
    // `--trust-proxy` names the proxy.
    // Example: 100
    #[argh(option, arg_name = "n", from_str_fn(number::<_, 1, MILLION>))]
    pub max_peers_per_ip: Option<usize>,
    /// a reverse proxy whose X-Forwarded-For is believed, an address or ADDRESS/BITS; repeatable
    // Reverse proxy that may tell the addresses of clients. It is an address, or a network as
    // `ADDRESS/BITS`.
    //
    // The address of a client is then the last one in `X-Forwarded-For` that is not trusted itself.
    // If there is no `X-Forwarded-For`, `Forwarded` is read. From other senders both are ignored. A
    // proxy that sets only `Forwarded` must remove `X-Forwarded-For`.
    // Example: 127.0.0.1,10.0.0.0/8
    // See: service.md#behind-a-proxy
    #[argh(option, arg_name = "addr", from_str_fn(network))]
    pub trust_proxy: Vec<Network>,
    /// seconds of silence before a ping (default 25)
    // Seconds without a byte from a client before it is pinged. After as many seconds more the
    // connection is closed.
    //
    // Who follows a room by HTTP gets a comment when nothing was sent for so long.
    //
    // A client that takes none of the bytes that wait for it in twice this time is closed with code
    // 1013.
    #[argh(option, arg_name = "seconds", default = "25", from_str_fn(number::<_, 1, 3600>))]
    pub ping: u32,
    /// rooms of more people say nothing about who comes and goes (default 500)
    // Largest room, in users, where joins and leaves are announced. In larger rooms only the leaves
    // of users whose joins were announced are, and `/who` only counts.
    #[argh(option, arg_name = "n", default = "500", from_str_fn(number::<_, 0, MILLION>))]
    pub notices: usize,
    /// threads that serve (default: the machine's cores, at most 4)
    // Threads that serve. By default as many as there are cores, at most 4.
    // Example: 4
    #[argh(option, arg_name = "n", default = "cores()", from_str_fn(number::<_, 1, 64>))]
    pub threads: usize,
    /// PEM file of the server's certificate and those above it: speak TLS (default: plain)
    // PEM file of the certificate and its chain. The port then speaks TLS 1.2 and 1.3: https:// and
    // wss://. By default it speaks plain http:// and ws://.
    //
    // Certificate and key are read again when the files change, and on `SIGHUP`. Open connections
    // stay.
    // Example: /etc/natterjack/tls-cert.pem
    // See: tls-and-tokens.md#tls
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "file")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file of the certificate's key
    // PEM file with the key of the certificate. It must not be encrypted, and the server's user
    // must be able to read it.
    // Example: /etc/natterjack/tls-key.pem
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "file")]
    pub tls_key: Option<PathBuf>,
    /// file of an HS256 secret, of a public key (P-256, Ed25519, RSA), or of a JWKS with several: who
    /// connects needs a JSON Web Token (default: names first come, first served)
    // File with the key of JSON Web Tokens. With it, every client needs a token that this key
    // verifies. By default anybody can take any free name.
    //
    // The file decides the algorithm, never the token:
    //
    // * A secret of at least 32 bytes, without white space around it, is for HS256.
    // * The PEM of a public key is for ES256 (P-256), EdDSA (Ed25519) or RS256 (RSA of at least
    //   2048 bits).
    // * A JWKS (RFC 7517), as identity providers publish it, may have several keys. The token's
    //   `kid` chooses one. A token without `kid` is tried with up to 8 keys of its algorithm. Keys
    //   for other uses and of unknown kinds are ignored.
    //
    // These claims are read:
    //
    // * `sub` is the user's name, unless `--jwt-name` names another claim.
    // * `exp` and `nbf` are the time until and from when the token is valid, with 30 seconds of
    //   tolerance. When it ends, the connection is closed with code 1008.
    // * `aud` and `iss` must be `--jwt-audience` and `--jwt-issuer`.
    // * `rooms` is a list of the rooms that the client may join.
    // * `mod` is true, or a list of rooms: there the client is a moderator.
    //
    // With a token, `POST /rooms/ROOM` sends a message without a connection. The file is read again
    // on `SIGHUP`. If the new key is not usable, the old one stays.
    // Example: /etc/natterjack/jwt.pem
    // See: tls-and-tokens.md#tokens
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "file")]
    pub jwt_key: Option<PathBuf>,
    /// the audience that a token must have, its aud (default: it must have none)
    // Audience that a token must have. It must be the claim `aud`, or one in its list. By default a
    // token with an `aud` is refused, because it is for another service.
    // Example: chat
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "name", from_str_fn(text))]
    pub jwt_audience: Option<String>,
    /// who must have issued a token, its iss (default: anybody with the key)
    // Issuer that a token must have. It must be the claim `iss`. By default every issuer that has
    // the key is accepted.
    // Example: https://id.example.org/realms/chat
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "name", from_str_fn(text))]
    pub jwt_issuer: Option<String>,
    /// the claim of a token that is the user's name (default: sub)
    // Claim of a token with the name of the user. By default it is `sub`.
    //
    // Set it if `sub` can't be a name: a UUID is too long, and an e-mail address contains an @.
    // Choose a claim that is different for every user and that users can't change, such as
    // `preferred_username` of Keycloak.
    // Example: preferred_username
    // See: tls-and-tokens.md#identity-providers
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "claim", from_str_fn(text))]
    pub jwt_name: Option<String>,
    /// with --jwt-key: let people without a token in, too
    // Lets people without a token in, too, as guests. A guest takes any name that is free, and is never a
    // moderator. A guest whose name is in a token loses it to the token's bearer. `POST` below `/rooms/`
    // needs a token all the same.
    // See: tls-and-tokens.md#tokens
    #[cfg(feature = "full")]
    #[argh(switch)]
    pub guests: bool,
    /// print a token for this user, signed with --jwt-key (a secret, or a private key), and exit
    // Prints a token for this user and exits. `--jwt-key` is then the secret, or a private key in
    // PEM (PKCS #8) whose public key the server has. `--jwt-audience`, `--jwt-issuer` and
    // `--jwt-name` must be those of the server.
    //
    // No variable.
    // See: tls-and-tokens.md#tokens
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "name")]
    pub issue: Option<String>,
    /// with --issue: days until the token ends (default: 30)
    // Days until the token of --issue ends. By default 30.
    //
    // No variable.
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "n", from_str_fn(number::<_, 1, CENTURY>))]
    pub days: Option<u32>,
    /// with --issue: the rooms that it is for, with commas between (default: all)
    // Rooms of the token of --issue, a list with commas. By default it is for all rooms.
    //
    // No variable.
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "rooms")]
    pub rooms: Option<String>,
    /// with --issue: its bearer is a moderator
    // Makes the bearer of the token of --issue a moderator. It is one in the rooms of `--rooms`, or in
    // all. The claim is `mod`.
    //
    // No variable.
    #[cfg(feature = "full")]
    #[argh(switch, long = "mod")]
    pub moderator: bool,
    /// address and port of a listener of its own, for Prometheus (default: none)
    // Address and port of a listener for Prometheus. It answers only `/metrics`.
    // Example: 127.0.0.1:9090
    // See: operations.md#metrics
    #[argh(option, arg_name = "addr", from_str_fn(metrics))]
    pub metrics: Option<SocketAddr>,
    /// error, warn, info, debug or trace (default info)
    // Lowest level that is logged. The levels are `error`, `warn`, `info`, `debug` and `trace`. Texts
    // of messages are never logged.
    // Values: error warn info debug trace
    // See: operations.md#logging
    #[argh(
        option,
        arg_name = "level",
        default = "LevelFilter::Info",
        from_str_fn(level)
    )]
    pub log: LevelFilter,
    /// look at everything that could be wrong, say so, and exit
    // Checks all settings and exits. It prints one line for each result. The exit code is 0 if the
    // server would run well with these settings.
    // See: operations.md#check
    #[argh(switch)]
    pub check: bool,
    /// ask the server that runs with these settings whether it is ready, and exit
    // Asks the running server whether it is ready and exits. It is meant for health checks of
    // containers.
    //
    // It requests `/readyz` at the address of `--listen`, or on the loopback if that is every
    // address. With `--tls-cert` it uses TLS and accepts any certificate. The exit code is 0 if the
    // server is ready. It is 1, with one line on standard error, if the server is not ready or does
    // not answer within four seconds.
    // See: operations.md#probe
    #[argh(switch)]
    pub probe: bool,
    /// print the version
    // Prints the version and exits.
    #[argh(switch)]
    pub version: bool,
}

impl Default for Config {
    fn default() -> Config {
        args::read(&[], |_| None).expect("every flag has a default")
    }
}

impl Config {
    /// The files of the certificate and its key, if the server speaks TLS.
    pub fn tls_files(&self) -> Option<TlsFiles> {
        #[cfg(feature = "full")]
        if let (Some(cert), Some(key)) = (self.tls_cert.clone(), self.tls_key.clone()) {
            return Some(TlsFiles { cert, key });
        }
        None
    }
}
