//! The smallest build keeps messages only in memory.

use smol::future::Boxed;

use super::kept::{Kept, Message};
use super::log::Party;
use super::references::Reference;
use crate::chat::address::Address;
use crate::chat::event::{Event, Refusal};
use crate::chat::moderation::Measure;
use crate::chat::name::{Room, SessionKeyHash, User};
use crate::config::Config;
use crate::count::text::MetricsText;

/// There is none.
#[derive(Debug)]
pub enum Journal {}

/// What it would say.
#[allow(missing_docs)]
#[derive(Debug)]
pub enum Record {
    Message(Event, Option<Reference>),
    Measure(Room, Measure, Option<u64>),
    Address(Room, User, Address),
    Party(Room, Party),
    Name(User, SessionKeyHash, Option<u64>),
    Free(User),
}

#[allow(missing_docs, clippy::missing_errors_doc)]
impl Journal {
    pub fn open(_: &Config, _: &Kept) -> Result<Option<Journal>, String> {
        Ok(None)
    }

    pub async fn ready(&self) -> Result<(), Refusal> {
        match *self {}
    }

    pub fn append(&self, _: &Record, _: Message) {
        match *self {}
    }

    pub fn note(&self, _: &Record) {
        match *self {}
    }

    pub fn accept(&self, _: Message) {
        match *self {}
    }

    pub async fn run(&self, _: &Kept) -> Result<(), Vec<Message>> {
        match *self {}
    }

    pub fn health(&self) -> Result<(), String> {
        match *self {}
    }

    pub fn health_changed(&self) -> Boxed<()> {
        match *self {}
    }

    pub async fn written(&self) {
        match *self {}
    }

    pub async fn stop(&self) {
        match *self {}
    }

    pub fn write_metrics(&self, _: &mut MetricsText) {
        match *self {}
    }
}
