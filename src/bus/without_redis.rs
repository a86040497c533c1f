//! Redis in the smallest build: the type can have no value. It has the methods of the real one, so
//! that the callers are the same in both builds.

use std::convert::Infallible;
use std::sync::Arc;

use smol::channel::Sender;
use smol::future;

use super::{Claim, NewMessage};
use crate::chat::dialect::Roster;
use crate::chat::event::Event;
use crate::chat::id::Id;
use crate::chat::name::{Room, SessionKeyHash, User};
use crate::chat::peer::Peer;
use crate::chat::peers::{PeerKey, Peers};
use crate::chat::replay::Stretch;
use crate::config::{Config, RedisAddress};
use crate::count::text::MetricsText;
use crate::report::Report;

/// Nobody has one.
#[derive(Debug)]
pub struct Redis {
    pub(super) peers: Arc<Peers>,
    never: Infallible,
}

impl Redis {
    pub(super) fn new(
        _: &RedisAddress,
        _: &Config,
        _: Arc<Peers>,
        _: Sender<Event>,
    ) -> Result<Redis, String> {
        Err("this build has no redis".into())
    }

    /// There is none to look at.
    pub(super) async fn check(_: &RedisAddress, _: &Config, report: &mut Report) {
        report.fail("this build has no redis");
    }

    /// Never.
    pub async fn run(&self, _: Sender<Result<(), String>>) -> String {
        match self.never {}
    }

    pub(super) fn health(&self) -> Result<(), String> {
        match self.never {}
    }

    pub(super) fn health_changed(&self) -> future::Pending<()> {
        match self.never {}
    }

    pub(super) fn write_metrics(&self, _: &mut MetricsText) {
        match self.never {}
    }

    pub(super) fn name(&self) -> String {
        match self.never {}
    }

    pub(super) async fn claim(
        &self,
        _: &PeerKey,
        _: &Peer,
        _: &User,
        _: Option<SessionKeyHash>,
    ) -> Claim {
        match self.never {}
    }

    pub(super) fn release(&self, _: &Peer, _: &User) {
        match self.never {}
    }

    pub(super) async fn subscribe(&self, _: &Room) -> bool {
        match self.never {}
    }

    pub(super) fn unsubscribe(&self, _: &Room) {
        match self.never {}
    }

    pub(super) async fn announce_join(&self, _: &Peer, _: Option<&User>, _: &Room) -> bool {
        match self.never {}
    }

    pub(super) fn announce_leave(&self, _: &Peer, _: &User, _: &Room) {
        match self.never {}
    }

    pub(super) async fn publish(&self, _: &Room, _: NewMessage) {
        match self.never {}
    }

    pub(super) async fn send_private(&self, _: String, _: NewMessage) {
        match self.never {}
    }

    pub(super) async fn roster(&self, _: &Room) -> Option<Roster> {
        match self.never {}
    }

    pub(super) async fn read(&self, _: &Room, _: Stretch, _: usize) -> Option<Vec<Event>> {
        match self.never {}
    }

    pub(super) async fn history_before(
        &self,
        _: &Room,
        _: Option<Id>,
        _: usize,
    ) -> Option<Vec<Event>> {
        match self.never {}
    }

    pub(super) async fn drain(&self) {
        match self.never {}
    }

    pub(super) fn reject_pending(&self) {
        match self.never {}
    }

    pub(super) async fn close(&self) {
        match self.never {}
    }
}
