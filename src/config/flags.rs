//! The flags of the command line, as `--help` describes them.

use argh::FromArgs;

/// A small chat server that any WebSocket client can talk to. Alone it needs nothing else; many
/// behind one Redis are one chat.
#[derive(FromArgs, Debug, Default)]
pub(super) struct Args {
    /// address and port to listen on, [::] for every one of IPv6 and IPv4; repeatable (default
    /// [::]:8080)
    #[argh(option, arg_name = "addr")]
    pub listen: Vec<String>,
    /// redis://, rediss:// (TLS), redis+unix:// or redis+sentinel:// (default: alone, in memory)
    #[argh(option, arg_name = "url")]
    pub redis: Option<String>,
    /// PEM file of the private CA that signed Redis' certificate
    #[argh(option, arg_name = "file")]
    pub redis_ca: Option<String>,
    /// shell command that prints the password or token for Redis; run again before a token ends
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "cmd")]
    pub redis_auth_command: Option<String>,
    /// what every key and channel in Redis begins with (default chat)
    #[argh(option, arg_name = "name")]
    pub prefix: Option<String>,
    /// messages kept per room (default 1000)
    #[argh(option, arg_name = "n")]
    pub history: Option<String>,
    /// a site whose pages may connect, besides the server's own; repeatable, * for any
    #[argh(option, arg_name = "origin")]
    pub origin: Vec<String>,
    /// a name that this server goes by, requests for others being refused; repeatable (default: any)
    #[argh(option, arg_name = "name")]
    pub host: Vec<String>,
    /// bytes of the longest frame (default 16384)
    #[argh(option, arg_name = "bytes")]
    pub max_message: Option<String>,
    /// messages a second under one name, 0 for no limit (default 20)
    #[argh(option, arg_name = "n")]
    pub rate: Option<String>,
    /// kibibytes that may wait for one peer's socket (default 256)
    #[argh(option, arg_name = "kib")]
    pub outbox: Option<String>,
    /// mebibytes that may wait for all sockets together (default 64)
    #[argh(option, arg_name = "mib")]
    pub max_queued: Option<String>,
    /// connections that chat (default 10000, or what the file limit allows)
    #[argh(option, arg_name = "n")]
    pub max_peers: Option<String>,
    /// the same from one address (default: no limit)
    #[argh(option, arg_name = "n")]
    pub max_peers_per_ip: Option<String>,
    /// a reverse proxy whose X-Forwarded-For is believed, an address or ADDRESS/BITS; repeatable
    #[argh(option, arg_name = "addr")]
    pub trust_proxy: Vec<String>,
    /// seconds of silence before a ping (default 25)
    #[argh(option, arg_name = "seconds")]
    pub ping: Option<String>,
    /// rooms of more people say nothing about who comes and goes (default 500)
    #[argh(option, arg_name = "n")]
    pub notices: Option<String>,
    /// threads that serve (default: the machine's cores, at most 4)
    #[argh(option, arg_name = "n")]
    pub threads: Option<String>,
    /// PEM file of the server's certificate and those above it: speak TLS (default: plain)
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "file")]
    pub tls_cert: Option<String>,
    /// PEM file of the certificate's key
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "file")]
    pub tls_key: Option<String>,
    /// file of an HS256 secret, of a public key (P-256, Ed25519, RSA), or of a JWKS with several: who
    /// connects needs a JSON Web Token (default: names first come, first served)
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "file")]
    pub jwt_key: Option<String>,
    /// the audience that a token must have, its aud (default: it must have none)
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "name")]
    pub jwt_audience: Option<String>,
    /// who must have issued a token, its iss (default: anybody with the key)
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "name")]
    pub jwt_issuer: Option<String>,
    /// the claim of a token that is the user's name (default: sub)
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "claim")]
    pub jwt_name: Option<String>,
    /// print a token for this user, signed with --jwt-key (a secret, or a private key), and exit
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "name")]
    pub issue: Option<String>,
    /// with --issue: days until the token ends (default: 30)
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "n")]
    pub days: Option<String>,
    /// with --issue: the rooms that it is for, with commas between (default: all)
    #[cfg(feature = "full")]
    #[argh(option, arg_name = "rooms")]
    pub rooms: Option<String>,
    /// with --issue: its bearer is a moderator
    #[cfg(feature = "full")]
    #[argh(switch, long = "mod")]
    pub moderator: bool,
    /// address and port of a listener of its own, for Prometheus (default: none)
    #[argh(option, arg_name = "addr")]
    pub metrics: Option<String>,
    /// error, warn, info, debug or trace (default info)
    #[argh(option, arg_name = "level")]
    pub log: Option<String>,
    /// look at everything that could be wrong, say so, and exit
    #[argh(switch)]
    pub check: bool,
    /// ask the server that runs with these settings whether it is ready, and exit
    #[argh(switch)]
    pub probe: bool,
    /// print the version
    #[argh(switch)]
    pub version: bool,
}
