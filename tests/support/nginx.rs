//! nginx as deploy/nginx.conf sets it up.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, ServerName};
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Request;
use tungstenite::{Error, HandshakeError, WebSocket};

use super::{Certs, DEADLINE, connect_from, eventually, free_port};

const SNIPPET: &str = include_str!("../../deploy/nginx.conf");
const NAME: &str = "chat.example.org";

/// A connection to it.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A running nginx; it ends when this is dropped.
pub struct Nginx {
    child: Child,
    /// The port that sends people to the other one.
    pub plain: u16,
    /// The port of `https`.
    pub tls: u16,
    roots: Arc<ClientConfig>,
    _folder: TempDir,
}

impl Nginx {
    /// In front of this server, with our snippet as it is but for ports, paths and addresses.
    pub fn before(server: SocketAddr) -> Nginx {
        Nginx::with(server, SNIPPET)
    }

    /// The same without this line of the snippet.
    pub fn without(server: SocketAddr, line: &str) -> Nginx {
        Nginx::replacing(server, line, "")
    }

    /// The same with something else in the place of this line of the snippet.
    pub fn replacing(server: SocketAddr, line: &str, other: &str) -> Nginx {
        assert!(SNIPPET.contains(line), "{line} is not in deploy/nginx.conf");
        Nginx::with(server, &SNIPPET.replace(line, other))
    }

    fn with(server: SocketAddr, snippet: &str) -> Nginx {
        let (folder, certs) = (tempfile::tempdir().unwrap(), Certs::for_host(NAME));
        let (plain, tls) = (free_port(), free_port());
        let path = |name: &str| certs.path(name).display().to_string();
        let mut snippet = snippet.to_string();
        for (ours, here) in [
            ("server 127.0.0.1:8080;", format!("server {server};")),
            ("listen 443 ssl;", format!("listen 127.0.0.1:{tls} ssl;")),
            ("listen [::]:443 ssl;", String::new()),
            ("listen 80;", format!("listen 127.0.0.1:{plain};")),
            ("listen [::]:80;", String::new()),
            (
                "/etc/letsencrypt/live/chat.example.org/fullchain.pem",
                path("cert.pem"),
            ),
            (
                "/etc/letsencrypt/live/chat.example.org/privkey.pem",
                path("key.pem"),
            ),
        ] {
            assert!(snippet.contains(ours), "{ours} is not in deploy/nginx.conf");
            snippet = snippet.replace(ours, &here);
        }
        let at = folder.path().display();
        let own = ["client_body", "proxy", "fastcgi", "scgi", "uwsgi"]
            .map(|what| format!("{what}_temp_path {at}/{what};"));
        let config = format!(
            "daemon off; worker_processes 1; pid {at}/pid; error_log {at}/log; events {{}}\n\
             http {{ access_log off; {} include {at}/natterjack.conf; }}\n",
            own.join(" ")
        );
        fs::write(folder.path().join("natterjack.conf"), snippet).unwrap();
        fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let log = folder.path().join("log");
        let child = Command::new("/usr/sbin/nginx")
            .arg("-e")
            .arg(&log)
            .arg("-c")
            .arg(folder.path().join("nginx.conf"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed: make tools");
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(certs.path("ca.pem")).unwrap();
        roots.add(ca).unwrap();
        let roots = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let nginx = Nginx {
            child,
            plain,
            tls,
            roots: Arc::new(roots),
            _folder: folder,
        };
        eventually("nginx listens", || {
            TcpStream::connect(("127.0.0.1", tls)).map_or_else(
                |error| {
                    let said = fs::read_to_string(&log).unwrap_or_default();
                    assert!(!said.contains("[emerg]"), "{error}: {said}");
                    None
                },
                Some,
            )
        });
        nginx
    }

    pub fn connect(&self) -> Tls {
        self.connect_from([127, 0, 0, 1])
    }

    /// From this address of this machine.
    pub fn connect_from(&self, from: [u8; 4]) -> Tls {
        let stream = connect_from(from, ([127, 0, 0, 1], self.tls).into());
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        let connection = ClientConnection::new(self.roots.clone(), name).unwrap();
        StreamOwned::new(connection, stream)
    }

    /// The answer to a request, as it comes.
    pub fn request(&self, request: &str) -> String {
        let mut tls = self.connect();
        tls.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // nginx does not always send close_notify.
        let _ = tls.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A WebSocket of a page from this origin, which calls the server `host`; the error is the
    /// status it is refused with.
    pub fn join(&self, host: &str, origin: &str) -> Result<WebSocket<Tls>, u16> {
        let mut request = format!("wss://{host}/chat/foo")
            .into_client_request()
            .unwrap();
        request
            .headers_mut()
            .insert("origin", origin.parse().unwrap());
        upgrade(request, self.connect())
    }

    /// The same of a program at this address, which says that it is somebody else's proxy.
    pub fn join_from(&self, from: [u8; 4], user: &str, says: &str) -> Result<WebSocket<Tls>, u16> {
        let mut request = format!("wss://{NAME}/chat/{user}")
            .into_client_request()
            .unwrap();
        let headers = request.headers_mut();
        headers.insert("x-forwarded-for", says.parse().unwrap());
        headers.insert("forwarded", format!("for={says}").parse().unwrap());
        upgrade(request, self.connect_from(from))
    }
}

/// A WebSocket over a connection, or the status it is refused with.
fn upgrade(request: Request, connection: Tls) -> Result<WebSocket<Tls>, u16> {
    match tungstenite::client(request, connection) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(Error::Http(answer))) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with it only if it is asked.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &id]).status();
        let _ = self.child.wait();
    }
}
