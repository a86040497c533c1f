//! TLS in the smallest build: neither type can have a value.

pub mod error;

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::task::{Context, Poll};

use smol::future;

use crate::config::TlsFiles;
use crate::count::Counters;
use crate::count::text::MetricsText;
use crate::reactor::Async;
use error::ReadOutcome;

/// The TLS state of a connection. There is none.
#[derive(Debug)]
pub enum TlsConnection {}

/// The TLS state of the server. There is none.
#[derive(Debug)]
pub struct Tls {
    never: Infallible,
    /// Never counted.
    pub failures: Counters,
}

impl TlsConnection {
    /// Never.
    ///
    /// # Errors
    /// Never.
    pub fn poll_handshake(
        &mut self,
        _: &mut Context<'_>,
        _: &Async<TcpStream>,
    ) -> Poll<Result<(), &'static str>> {
        match *self {}
    }

    /// Never.
    ///
    /// # Errors
    /// Never.
    pub fn read(&mut self, _: &TcpStream, _: &mut dyn FnMut(&[u8])) -> io::Result<ReadOutcome> {
        match *self {}
    }

    /// Never.
    ///
    /// # Errors
    /// Never.
    pub fn write(&mut self, _: &TcpStream, _: &[IoSlice<'_>]) -> io::Result<usize> {
        match *self {}
    }

    /// Never.
    pub fn is_new(&self) -> bool {
        match *self {}
    }

    /// Never.
    pub fn is_handshaking(&self) -> bool {
        match *self {}
    }

    /// Never.
    pub fn unwritten(&self) -> usize {
        match *self {}
    }

    /// Never.
    pub fn close_notify(&mut self, _: &TcpStream) {
        match *self {}
    }
}

impl Tls {
    /// Always `None`: the settings refuse TLS.
    ///
    /// # Errors
    /// Never.
    pub fn open(_: Option<&TlsFiles>) -> Result<Option<Tls>, String> {
        Ok(None)
    }

    /// Never.
    ///
    /// # Errors
    /// Never.
    pub fn connection(&self) -> io::Result<TlsConnection> {
        match self.never {}
    }

    /// Never.
    pub fn reload(&self) {
        match self.never {}
    }

    /// Never.
    pub fn write_metrics(&self, _: &mut MetricsText) {
        match self.never {}
    }
}

/// Never returns.
pub async fn watch(_: Option<&Tls>) -> Infallible {
    future::pending().await
}
